"""A folder in which real processes make a small table, and the results that must not depend on any attack."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CLOCKS = ("wall", "tokens_per_second")
TABLE = """
title: Two runs
metrics: [bleu, chrf]
baseline: post_ln
seeds: {{test: 1}}
columns:
  test:
    - name: text
      label: Text
      overrides:
{overrides}
rows:
  - {{name: post_ln, label: xSkip+LN, overrides: [skip=xskip_ln]}}
  - {{name: rskip_ln, label: rSkip+LN, overrides: [skip=rskip_ln]}}
"""


@dataclass
class Desk:
    """`overrides`: those of both runs."""

    path: Path
    overrides: list[str]

    def __post_init__(self) -> None:
        (self.path / "experiments").mkdir(parents=True, exist_ok=True)
        listed = "\n".join(f"        - {text}" for text in self.overrides)
        (self.path / "experiments" / "table9.yaml").write_text(TABLE.format(overrides=listed))

    @property
    def arguments(self) -> list[str]:
        return ["--experiments=experiments", "--results=results", "run", "table9", "--scale=test"]

    @property
    def results(self) -> Path:
        return self.path / "runs" / "tables" / "test" / "table9"

    def table(self) -> subprocess.Popen:
        return self.start("-m", "skipln.tables", *self.arguments)

    def start(self, *words: str) -> subprocess.Popen:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, *words], cwd=self.path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True, preexec_fn=_hear_ctrl_c,
        )  # fmt: skip

    def made(self) -> dict[str, Any]:
        """Collect hash, state, metrics, data, curve, translations and example statistics of each record."""
        records = [json.loads(line) for line in (self.results / "records.jsonl").read_text("utf-8").splitlines()]
        found: dict[str, Any] = {"runs": [record["hash"] for record in records]}
        for record in records:
            folder = self.path / "runs" / record["hash"]
            text = (folder / "translations.txt").read_text("utf-8")
            found[record["row"]] = record["state"], record["metrics"], record["data"], text
        for line in (self.results / "curves.jsonl").read_text("utf-8").splitlines():
            drawn = json.loads(line)
            found[drawn["hash"]] = [{k: v for k, v in group.items() if k not in CLOCKS} for group in drawn["groups"]]
        return found | {path.name: path.read_bytes() for path in (self.results / "examples").glob("*.xz")}

    def clear(self) -> None:
        shutil.rmtree(self.path / "runs", ignore_errors=True)


def _hear_ctrl_c() -> None:
    """Restore SIGINT's default: a shell that starts tests in the background makes them ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def offspring(pid: int) -> list[int]:
    """Return the processes that `pid` started, and their own children."""
    try:
        children = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [*children, *(one for child in children for one in offspring(child))]


def in_one_line(said: str) -> bool:
    """Return whether a command's stderr explains the mistake, without a traceback."""
    return "Traceback" not in said and any("error: " in line or "failed" in line for line in said.splitlines())


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Damage bytes: change a bit or a byte, zero a block, cut the end or the beginning or all, append, or re-encode."""
    if not content:
        return b"\0"
    place = draw.randrange(len(content))
    end = min(len(content), place + draw.randint(1, 512))
    flipped = content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :]
    return draw.choice(
        [
            flipped, flipped, flipped,
            content[:place] + bytes([draw.randrange(256)]) + content[place + 1 :],
            content[:place] + bytes(end - place) + content[end:],
            content[:place], content[place:], b"", content + content[:place],
            content.decode("latin-1").encode("utf-16"),
        ]
    )  # fmt: skip
