"""Manifests are read strictly, and every mistake is one line that lists the choices."""

from collections.abc import Callable
from pathlib import Path

import pytest

from skipln.errors import UserError
from skipln.system.places import EXPERIMENTS
from skipln.tables.manifest import load, names
from tests.tables.conftest import MANIFEST


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[bleu, chrf]", "[bleu, rouge]", "metrics.1='rouge': choose one of bleu, chrf, error, error5"),
        ("title:", "titel:", "titel is not a key: the keys are name, title"),
        ("label: post-LN", "labell: post-LN", "rows.1.labell is not a key: the keys are name, label, overrides"),
        ("value: 27.5", "valu: 27.5", "is not a key: the keys are value, source"),
        ("  test:", "  tiny:", "'demo'"),
        ("needs: [data.dir]", "need: [data.dir]", "is not a key: the keys are name, label, overrides, needs"),
        ("name: xskip,", "name: X skip,", "rows.0.name='X skip'"),
        ("title: A small table", "title: [", "table9.yaml: "),
        ("value: 27.5", "value: good", "value='good': give a number, or diverged or fail"),
        ("title: A", "scale_notes: {tiny: [said]}\ntitle: A", "'tiny'"),
        ("title: A", "scale_notes: {small: said}\ntitle: A", "scale_notes.small='said': input should be a valid list"),
    ],
)
def test_a_mistake_is_one_line(complaint: Callable[[str, str], str], old: str, new: str, said: str) -> None:
    assert said in complaint(old, new)


def test_a_published_value_may_be_one_of_two_words(tmp_path: Path) -> None:
    (tmp_path / "table9.yaml").write_text(MANIFEST.replace("value: 27.5", "value: fail"))
    published = load("table9", tmp_path).rows[1].published["catalogs"]
    assert published is not None
    assert published.value == "fail"


def test_a_note_is_shown_on_every_page_or_on_that_of_its_scale(tmp_path: Path) -> None:
    notes = "notes: [of all]\nscale_notes: {small: [of one], paper: [of another]}\n"
    (tmp_path / "table9.yaml").write_text(MANIFEST + notes)
    manifest = load("table9", tmp_path)
    assert manifest.notes_at("small") == ["of one", "of all"]
    assert manifest.notes_at("demo") == ["of all"]


def test_an_unknown_table_lists_the_tables(tmp_path: Path) -> None:
    (tmp_path / "table9.yaml").write_text(MANIFEST)
    with pytest.raises(UserError, match="no table table8: choose one of table9"):
        load("table8", tmp_path)


@pytest.mark.parametrize("name", names())
def test_a_committed_manifest_loads(name: str) -> None:
    manifest = load(name)
    lines = (EXPERIMENTS / f"{name}.yaml").read_text().splitlines()
    assert len(lines) - len(manifest.rows) <= 60, "a table's definition, but for its rows, fits a screen"
    assert any(manifest.columns_at(scale) for scale in ("demo", "small", "paper"))
