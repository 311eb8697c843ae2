"""A local stand-in for the W&B server, with the part of its protocol that runs use, and a record of what they sent."""

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0123456789" * 4  # has the form of W&B's keys, but opens nothing


@dataclass
class SentRun:
    """What one run has sent. `history`: one dictionary per step, in order."""

    name: str
    project: str = ""
    label: str = ""
    group: str | None = None
    job_type: str | None = None
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None

    @property
    def values(self) -> dict[str, Any]:
        """Return the configuration without W&B's own wrapping."""
        return {key: item["value"] for key, item in self.config.items() if not key.startswith("_")}

    @property
    def points(self) -> list[dict[str, Any]]:
        """Return the history without W&B's own keys."""
        return [{key: value for key, value in line.items() if not key.startswith("_")} for line in self.history]


class Server(ThreadingHTTPServer):
    """`runs` by name; `operations`: the GraphQL calls in order."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.runs: dict[str, SentRun] = {}
        self.operations: list[str] = []
        self.awake = threading.Event()
        self.awake.set()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Accept connections but answer none."""
        self.awake.clear()
        try:
            yield
        finally:
            self.awake.set()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that hang up."""

    def answer(self, operation: str, given: dict[str, Any]) -> dict[str, Any] | None:
        entity = {"id": "entity", "name": "tester"}
        if operation == "Viewer":
            user = {"id": "user", "entity": "tester", "username": "tester", "flags": "{}"}
            return {"viewer": user | {"teams": {"edges": []}}}
        if operation == "ServerFeaturesQuery":
            return {"serverInfo": {"features": []}}
        if operation == "UpsertBucket":
            new = given["name"] not in self.runs
            run = self.runs.setdefault(given["name"], SentRun(given["name"]))
            run.project = given["project"]
            run.config |= json.loads(given.get("config") or "{}")
            run.label = given.get("displayName") or run.label
            run.group = given.get("groupName") or run.group
            run.job_type = given.get("jobType") or run.job_type
            run.tags = given.get("tags") or run.tags
            project = {"id": "project", "name": given["project"], "entity": entity}
            bucket = {"id": run.name, "name": run.name, "displayName": run.label, "project": project}
            return {"upsertBucket": {"bucket": bucket | {"config": json.dumps(run.config)}, "inserted": new}}
        if operation == "RunResumeStatus":
            found = self.runs.get(given["name"])
            return {"model": {"id": "project", "name": "project", "entity": entity, "bucket": found and _resume(found)}}
        if operation == "CreateRunFiles":
            run = given["run"]
            files = [{"name": name, "uploadUrl": f"{self.url}/upload/{run}/{name}"} for name in given["files"]]
            return {"createRunFiles": {"runID": run, "uploadHeaders": [], "files": files}}
        return None

    def stream(self, name: str, sent: dict[str, Any]) -> None:
        """Store lines of files; a piece has the number of its first line, so one sent twice overwrites itself."""
        run = self.runs[name]
        for file, piece in (sent.get("files") or {}).items():
            if file == "wandb-history.jsonl":
                lines = [json.loads(line) for line in piece["content"]]
                run.history[piece["offset"] : piece["offset"] + len(lines)] = lines
            elif file == "wandb-summary.json":
                run.summary = json.loads(piece["content"][-1])
        if sent.get("complete"):
            run.exit_code = sent["exitcode"]


def _resume(run: SentRun) -> dict[str, Any]:
    tail = json.dumps([json.dumps(line) for line in run.history[-1:]])
    counts = {"historyLineCount": len(run.history), "eventsLineCount": 0, "logLineCount": 0}
    return {
        **counts,
        "id": run.name,
        "name": run.name,
        "historyTail": tail,
        "eventsTail": "[]",
        "summaryMetrics": json.dumps(run.summary),
        "config": json.dumps(run.config),
        "tags": [],
        "wandbConfig": json.dumps({"t": 1}),
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: Any) -> None:
        """Print nothing."""

    def do_POST(self) -> None:
        body = self._body()
        if body is None:
            return
        if self.path == "/graphql":
            sent = json.loads(body)
            operation = re.search(r"(?:query|mutation)\s+(\w+)", sent["query"])[1]
            with self.server.lock:
                self.server.operations.append(operation)
                data = self.server.answer(operation, sent.get("variables") or {})
            self._reply({"data": data} if data is not None else {"errors": [{"message": f"no {operation} here"}]})
        elif stream := re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path):
            with self.server.lock:
                self.server.stream(stream[1], json.loads(body))
            self._reply({})
        else:
            self._reply({}, 404)

    def do_PUT(self) -> None:
        body = self._body()
        if body is not None:
            _, _, run, name = self.path.split("/", 3)
            with self.server.lock:
                self.server.runs[run].files[name] = body
            self._reply({})

    def _body(self) -> bytes | None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.server.awake.is_set():
            self.server.awake.wait()
            self.close_connection = True
            return None
        return gzip.decompress(content) if self.headers.get("Content-Encoding") == "gzip" else content

    def _reply(self, content: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
