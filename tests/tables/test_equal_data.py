"""Fingerprints of the same data."""

from pathlib import Path

import pytest

from scripts.equal_data import differing, sums
from skipln.errors import UserError
from skipln.tables.equal_data import same

ONE, OTHER, THIRD = (digit * 64 for digit in "abc")


def listed(folder: Path, *fingerprints: str) -> Path:
    folder.joinpath("equal_data.yaml").write_text(
        f"groups: [{{fingerprints: [{', '.join(fingerprints)}], why: a test}}]\n"
    )
    return folder


def test_fingerprints_of_a_group_stand_for_the_same_data(tmp_path: Path) -> None:
    experiments = listed(tmp_path, ONE, OTHER)
    assert same(ONE, experiments) == same(OTHER, experiments) != same(THIRD, experiments) == THIRD


def test_without_a_list_no_two_are_the_same(tmp_path: Path) -> None:
    assert same(ONE, tmp_path) == ONE


@pytest.mark.parametrize("fingerprints", [[ONE], [ONE, "eca4"], []])
def test_a_damaged_list_is_one_line(tmp_path: Path, fingerprints: list[str]) -> None:
    with pytest.raises(UserError, match=r"equal_data\.yaml: groups\.0\.fingerprints"):
        same(ONE, listed(tmp_path, *fingerprints))


def test_files_that_differ_are_named(tmp_path: Path) -> None:
    """The files that name the fingerprint itself are not compared."""
    folders = [tmp_path / name for name in "ab"]
    for folder, text in zip(folders, ("x", "y"), strict=True):
        folder.mkdir()
        for name in ("about.json", "train.en.bin", "vocabulary.model"):
            (folder / name).write_text(text if name != "vocabulary.model" else "equal")
    (folders[1] / "more").touch()
    assert differing(*map(sums, folders)) == ["more", "train.en.bin"]
    assert differing(sums(folders[0]), sums(folders[0])) == []
