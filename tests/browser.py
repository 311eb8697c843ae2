"""Drive headless Chromium by its DevTools protocol over a pipe, without a port, a driver or a package."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe",
    "--window-size=1280,1000",
)  # fmt: skip


class Page:
    """One page. `requests`: every address it requested; `errors`: the exceptions of its scripts."""

    def __init__(self, profile: Path) -> None:
        to_browser, self.write = os.pipe()
        self.read, from_browser = os.pipe()
        # Chromium reads commands from descriptor 3 and answers on 4, whatever numbers our descriptors have.
        shell = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        self.process = subprocess.Popen(
            ["bash", "-c", shell, "bash", str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        self.incoming = os.fdopen(self.read, "rb")
        self.number = 0
        self.session: str | None = None
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.events: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, path: Path) -> None:
        """Load a file and wait for its load event."""
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        while "Page.loadEventFired" not in self.events:
            self._next()

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression after the page has been drawn."""
        drawn = "new Promise(done => requestAnimationFrame(() => setTimeout(done)))"
        found = self.call(
            "Runtime.evaluate", expression=f"{drawn}.then(() => ({script}))", awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def move(self, x: float, y: float) -> None:
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def show(self, width: int, scheme: str) -> None:
        """Show pages from now on as on a screen of `width` × 800 pixels, in this scheme, light or dark."""
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path: Path, most: int = 4000) -> None:
        """Save a picture of the page from its top, at most `most` pixels of it."""
        width, height = self.run("[innerWidth, Math.ceil(document.documentElement.scrollHeight)]")
        clip = {"x": 0, "y": 0, "width": width, "height": min(height, most), "scale": 1}
        taken = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(taken["data"]))

    def close(self) -> None:
        os.close(self.write)  # Chromium exits when its command pipe is closed
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.process.kill()
        self.process.wait()
        self.incoming.close()

    def _next(self) -> dict[str, Any]:
        content = bytearray()
        while (byte := self.incoming.read(1)) != b"\0":
            assert byte, "Chromium has exited"
            content += byte
        message = json.loads(content)
        if method := message.get("method"):
            self.events.append(method)
            if method == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            elif method == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(message["params"]))
        return message
