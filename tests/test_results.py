"""Files under results/ follow from their records, and the runs belong to the current configuration."""

import json
import shutil
from pathlib import Path

import pytest

from skipln.tables import store
from skipln.tables.cells import cells
from skipln.tables.judging import judged
from skipln.tables.manifest import load
from skipln.tables.presentation.render import render
from skipln.tables.records import adoptable

ROOT = Path(__file__).resolve().parents[1]
TABLES = sorted(path.parent for path in (ROOT / "results").glob("*/*/records.jsonl"))


@pytest.mark.parametrize("folder", TABLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_rendering_again_from_the_records_gives_the_same_bytes(folder, tmp_path):
    again = tmp_path / folder.parent.name / folder.name
    again.mkdir(parents=True)
    for path in folder.glob("*.jsonl"):
        shutil.copy(path, again)
    if (folder / store.EXAMPLES).exists():
        shutil.copytree(folder / store.EXAMPLES, again / store.EXAMPLES)
    render(load(folder.name), folder.parent.name, again)
    for path in (path for path in folder.iterdir() if path.is_file()):
        assert (again / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("folder", TABLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_records_belong_to_the_current_configuration(folder):
    """If a default behind a committed table changes, the table must be made again."""
    records = [json.loads(line) for line in (folder / "records.jsonl").read_text("utf-8").splitlines()]
    seeds = sorted({record["seed"] for record in records})
    manifest, scale = load(folder.name), folder.parent.name
    today = cells(manifest, scale, seeds, cache=None)
    recorded = {record["hash"] for record in records}
    assert recorded <= {cell.hash for cell in today}
    own = [cell for cell in today if cell.seed in manifest.seeds_of(scale, cell.row)]  # some cells may have more seeds
    assert recorded >= {cell.hash for cell in own if not cell.lacks}  # and what needs the user's data fewer


@pytest.mark.parametrize("folder", TABLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_record_from_another_table_equals_the_original(folder):
    made = {record.hash: record for record in adoptable(folder).records}
    for record in store.read_records(folder):
        if record.table != folder.name:
            maker = made[record.hash]
            assert (record.metrics, record.environment) == (maker.metrics, maker.environment)


@pytest.mark.parametrize("folder", TABLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_record_agrees_with_the_criterion_of_divergence(folder):
    curves = store.read_curves(folder)
    for record in store.read_records(folder):
        assert judged(record, curves[record.hash]) == record
