"""The runs of `wandb agent` for a table's sweep file are the table's own cells."""

import itertools
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from scripts.tracking.sweep import main
from skipln.configuration.composition import compose
from skipln.configuration.schema import WandbTracker
from skipln.errors import UserError
from skipln.tables import manifest as manifests
from skipln.tables.cells import cells
from skipln.tracking.sweep import choose, sweep
from tests.tables import fakes

ROOT = Path(__file__).resolve().parents[2]
TRACKER = WandbTracker(name="wandb", project="p", entity=None, mode="auto", group=None, job_type="train", tags=[])


def agents_words(command: list[str], parameters: dict) -> list[list[str]]:
    """Return the words after `-m scripts.tracking.cell` of every run of a grid, as W&B's agent builds them."""
    utils = pytest.importorskip("wandb.sdk.launch.sweeps.utils", reason="the extra `wandb` is not installed")
    grid = itertools.product(*(parameter["values"] for parameter in parameters.values()))
    found = []
    for values in grid:
        named = {key: {"value": value} for key, value in zip(parameters, values, strict=True)}
        filled = {"env": ["/usr/bin/env"], **utils.create_sweep_command_args({"args": named})}
        words = [word for part in command for word in (filled[part[2:-1]] if part.startswith("${") else [part])]
        assert words[:4] == ["/usr/bin/env", ".venv/bin/python", "-m", "scripts.tracking.cell"]
        found.append(words[4:])
    return found


def tables() -> list:
    """List one table for the default tests and every other for the slow ones: composing takes .1 s per cell."""
    return [pytest.param(name, marks=[] if name == "table2" else pytest.mark.slow) for name in manifests.names()]


@pytest.mark.parametrize("table", tables())
def test_an_agents_runs_are_the_tables_cells(table: str) -> None:
    manifest = manifests.load(table)
    scale = next(scale for scale, columns in manifest.columns.items() if columns)
    needs = [f"{key}=/data" for column in manifest.columns_at(scale) for key in column.needs]
    content = yaml.safe_load(yaml.safe_dump(sweep(manifest, scale, [1, 2], needs, TRACKER)))
    wanted = {cell.hash: cell for cell in cells(manifest, scale, [1, 2], needs)}
    chosen = []
    for words in agents_words(content["command"], content["parameters"]):
        assert words[:3] == [table, "--scale", scale]
        chosen.append(choose(manifest, scale, words[3:]))
    assert {cell.hash for cell in chosen} == set(wanted)
    assert len(chosen) == len(wanted)


def test_an_agents_command_composes_to_the_cell() -> None:
    """With Hydra and the tracker: the hash is the cell's, and W&B gets its group and tags."""
    manifest = manifests.load("table2")
    cell = choose(manifest, "test", ["seed=2", "cell=rskip_ln_2@catalogs"])
    config = compose(list(cell.overrides))
    [plain] = [own for own in cells(manifest, "test", [2]) if own.row.name == "rskip_ln_2"]
    assert config.hash == plain.hash == cell.hash
    assert isinstance(config.tracker, WandbTracker)
    assert (config.tracker.group, config.tracker.tags) == ("table2/rskip_ln_2", ["test/catalogs"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["seed=1", "cell=nobody@catalogs"], "table2 has no cell nobody@catalogs: a row is one of skip, "),
        (["seed=one", "cell=skip@catalogs"], "give cell=ROW@COLUMN and seed=NUMBER"),
        (["cell=skip@catalogs"], "give cell=ROW@COLUMN and seed=NUMBER"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], said: str) -> None:
    with pytest.raises(UserError) as error:
        choose(manifests.load("table2"), "test", words)
    assert str(error.value).startswith(said)


def test_a_finished_cell_is_sent_to_the_agents_own_run(tmp_path: Path, server, monkeypatch: pytest.MonkeyPatch) -> None:
    from skipln.tracking import sweep as sweeps
    from skipln.tracking import upload

    words = ["seed=1", "cell=skip@catalogs", f"paths.runs={tmp_path / 'runs'}"]
    cell = choose(manifests.load("table2"), "test", words)
    fakes.finish(cell.folder)
    (cell.folder / "config.yaml").write_text(yaml.safe_dump(compose(list(cell.overrides)).model_dump()))
    trained = []
    monkeypatch.setattr(sweeps, "subprocess", SimpleNamespace(run=trained.append))
    settings = upload.session().model_copy(update={"sweep_id": "a_sweep"})
    monkeypatch.setattr(upload, "session", lambda: settings)
    sweeps.make(cell)
    assert trained == []
    [run] = server.runs.values()
    assert run.name != cell.hash  # W&B chooses the name here, since no agent did
    assert len(run.history) == 8
    assert run.group == "table2/skip"


def test_the_documented_command_works(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In docs/tracking.md, overrides come after options."""
    text = (ROOT / "docs/tracking.md").read_text("utf-8")
    [command] = re.findall(r"python -m (scripts\.tracking\.sweep .*) > table2\.yaml", text)
    monkeypatch.setattr("sys.argv", command.split())
    main()
    content = yaml.safe_load(capsys.readouterr().out)
    assert content["parameters"]["seed"]["values"] == [1, 2, 3]
    assert "data.dir=FOLDER" in content["command"]
