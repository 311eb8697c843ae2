"""A local web server that serves given bytes and misbehaves on request."""

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Serves `files[path]` at `url(path)`. `cuts[path]`: how many more answers to cut in half; `resumes`: whether it
    understands Range; `crumb`: most bytes of an answer (0: no limit). `requests` and `sent` count per path."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cuts: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.resumes, self.crumb = True, 0
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/{path}"

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _handler(server) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.lstrip("/")
                server.requests[name] += 1
                if name not in server.files:
                    return self.send_error(404)
                content, start = server.files[name], 0
                if (wanted := self.headers.get("Range")) and server.resumes:
                    start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                    if start >= len(content):
                        self.send_response(416)
                        self.send_header("Content-Range", f"bytes */{len(content)}")
                        return self.end_headers()
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                else:
                    self.send_response(200)
                body = content[start:]
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if server.cuts[name] > 0:
                    server.cuts[name] -= 1
                    body = body[: len(body) // 2]
                    self.close_connection = True
                if server.crumb:
                    body, self.close_connection = body[: server.crumb], True
                server.sent[name] += len(body)
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
