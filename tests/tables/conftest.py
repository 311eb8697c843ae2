"""A working folder with a table of four rows; a fake trainer makes its runs."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from skipln.tables.cells import CACHE, Cell, cells
from skipln.tables.cli import main
from skipln.tables.manifest import Manifest, load
from skipln.tables.runner import YOURS

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = """
title: A small table
metrics: [bleu, chrf]
baseline: post_ln
seeds: {test: 1, small: 2}
columns:
  test:
    - {name: catalogs, label: En-De catalogs}
  small:
    - {name: multi30k, label: Multi30k, overrides: [data=multi30k], needs: [data.dir]}
rows:
  - {name: xskip, label: "xSkip λ=2", overrides: [skip=xskip]}
  - name: post_ln
    label: post-LN
    overrides: [skip=xskip_ln]
    published: {catalogs: {value: 27.5, source: "Somebody 2020, 100% & more"}, multi30k: null}
  - {name: rskip_ln, label: "rSkip+LN λ=2", overrides: [skip=rskip_ln]}
  - {name: rskip_ln_3, label: "rSkip+LN λ=3", overrides: [skip=rskip_ln, skip.lam=3]}
"""


@dataclass
class Workplace:
    """`behave` sets what the fake trainer does to each row; `run` does what `make table9` does."""

    path: Path
    manifest: Manifest
    results: Path

    def cells(self, seeds: tuple[int, ...] = (1,), extra: tuple[str, ...] = ()) -> list[Cell]:
        return cells(self.manifest, "test", seeds, extra)

    def cell(self, row: str, seed: int = 1) -> Cell:
        return next(cell for cell in self.cells((seed,)) if cell.row.name == row)

    def behave(self, default: str = "0.7", seeds: tuple[int, ...] = (1,), **rows: str) -> None:
        plan = {
            " ".join(cell.overrides): [str(cell.folder), rows.get(cell.row.name, default)] for cell in self.cells(seeds)
        }
        (self.path / "plan.json").write_text(json.dumps(plan))

    def trainer(self) -> list[str]:
        return [sys.executable, "-m", "tests.tables.fake_trainer", "plan.json"]

    def arguments(self, *more: str) -> list[str]:
        return ["--experiments", "experiments", "--results", "results", *more]

    def run(self, *more: str) -> int:
        return main(self.arguments("run", self.manifest.name, "--scale", "test", *more), self.trainer())

    def starts(self) -> list[str]:
        path = self.path / "starts"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def folder(self) -> Path:
        """The folder of your own table."""
        return YOURS / "test" / self.manifest.name

    @property
    def published(self) -> Path:
        return self.results / "test" / self.manifest.name

    def texts(self) -> dict[str, bytes]:
        return contents(self.folder)


def contents(folder: Path) -> dict[str, bytes]:
    """Map the files below a folder to their contents."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="session")
def composed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The cache of composed configurations, made once because Hydra is slow."""
    folder = tmp_path_factory.mktemp("composed")
    (folder / "table9.yaml").write_text(MANIFEST)
    cells(load("table9", folder), "test", [1], cache=folder / "cache.json")
    return (folder / "cache.json").read_bytes()


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, composed: bytes) -> Workplace:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "table9.yaml").write_text(MANIFEST)
    (tmp_path / CACHE).parent.mkdir()
    (tmp_path / CACHE).write_bytes(composed)
    return Workplace(tmp_path, load("table9", Path("experiments")), Path("results"))


@pytest.fixture
def finished(workplace: Workplace) -> Workplace:
    """All cells finished without any process: one row diverged, one is clearly better, one equals the baseline."""
    from tests.tables import fakes

    fakes.finish(workplace.cell("xskip").folder, state="diverged")
    fakes.finish(workplace.cell("post_ln").folder, 0.6)
    fakes.finish(workplace.cell("rskip_ln").folder, 0.8)
    fakes.finish(workplace.cell("rskip_ln_3").folder, 0.6)
    return workplace
