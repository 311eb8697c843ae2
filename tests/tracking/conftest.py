"""A local W&B server, and run folders as training leaves them."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from skipln.configuration.composition import compose
from tests.tables import fakes
from tests.tracking.server import KEY, Server


@pytest.fixture(scope="session")
def session_server() -> Iterator[Server]:
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.awake.set()
    server.shutdown()


@pytest.fixture
def server(session_server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """The session's server (W&B reads its settings once per process), with a key for it, without the user's account."""
    pytest.importorskip("wandb", reason="the extra `wandb` is not installed")
    for name, value in {"WANDB_BASE_URL": session_server.url, "WANDB_API_KEY": KEY, "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    session_server.runs.clear()
    session_server.operations.clear()
    yield session_server


@pytest.fixture(scope="session")
def configuration() -> dict[str, Any]:
    return compose(["scale=test", "skip=rskip_ln", "seed=3"]).model_dump()


class Folder:
    """A run folder in progress. `log` adds lines of updates, `save` is a checkpoint, and `crash` goes back to it."""

    def __init__(self, path: Path, configuration: dict[str, Any]) -> None:
        self.path = path
        self.metrics = path / "metrics.jsonl"
        (path / "checkpoints").mkdir(parents=True)
        (path / "config.yaml").write_text(yaml.safe_dump(configuration))
        self.metrics.touch()
        self.saved = 0
        self.lives = 1
        fakes.write_status(path, "interrupted")

    def log(self, *updates: int) -> None:
        for update in updates:
            where = {"update": update, "epoch": update / 10, "tokens": 100 * update, "wall": update / self.lives}
            lines = [where | {"train/loss": 5 / update, "lr": 1e-3}, where | {"valid/bleu": 2.0 * update}]
            with self.metrics.open("a") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)

    def save(self) -> None:
        self.saved = self.metrics.stat().st_size
        (self.path / "checkpoints" / f"state-{self.points()[-1]['update']:08d}.pt").touch()

    def crash(self) -> None:
        """Go back to the checkpoint, as a resumed run does first; its clock then differs from before."""
        with self.metrics.open("a") as file:
            file.truncate(self.saved)
        self.lives += 1

    def finish(self) -> None:
        metrics = self.metrics.read_bytes()
        config = (self.path / "config.yaml").read_bytes()
        fakes.finish(self.path)
        self.metrics.write_bytes(metrics)
        (self.path / "config.yaml").write_bytes(config)

    def points(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.metrics.read_text().splitlines()]


@pytest.fixture
def folder(tmp_path: Path, configuration: dict[str, Any], request: pytest.FixtureRequest) -> Folder:
    return Folder(tmp_path / "runs" / f"{abs(hash(request.node.name)):012x}"[:12], configuration)
