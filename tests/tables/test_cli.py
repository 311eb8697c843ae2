"""The command line: its mistakes, and the meaning of seeds."""

from pathlib import Path

import pytest

from skipln.errors import UserError
from skipln.tables.cli import main, seeds_of
from tests.tables import fakes
from tests.tables.conftest import Workplace


@pytest.mark.parametrize(
    ("text", "expected"), [("3", [1, 2, 3]), ("2,5", [2, 5]), ("7,", [7]), ("5,2,5", [2, 5]), ("", None)]
)
def test_seeds_are_a_number_or_a_list(text: str, expected: list[int] | None) -> None:
    assert seeds_of(text) == expected


def test_seeds_default_to_those_of_the_manifest(workplace: Workplace) -> None:
    assert seeds_of(None) is None and list(workplace.manifest.every_seed("small")) == [1, 2]


@pytest.mark.parametrize("text", ["0", "-1", "two", "1,x", ",", "1.5"])
def test_malformed_seeds_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="give how many"):
        seeds_of(text)


@pytest.mark.parametrize("text", ["10000", "9223372036854775808,", "1,18446744073709551616", "9" * 5000])
def test_too_many_or_too_large_seeds_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="a seed is below 2\\^63, and a table has fewer than 10,000 seeds"):
        seeds_of(text)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "table8"], "no table table8: choose one of table9"),
        (["run", "table9", "--scale=test", "--rows=xskip,none"], "table9 has no row none: choose from"),
        (["run", "table9"], "table9 has no columns at scale demo: choose one of test, small"),
        (["run", "table9", "--scale", "huge"], "scale=huge: choose one of test, demo, small, paper"),
        (["run", "table9", "--scale", "test", "--seeds", "x"], "seeds=x: give how many"),
        (
            ["run", "table9", "--scale", "small"],
            "needs data.dir for Multi30k: give it as make table9 SCALE=small ARGS=",
        ),
        (["run", "table9", "--scale", "test", "nonsense=1"], "has no key 'nonsense'"),
        (
            ["curves", "table9", "--scale", "test"],
            "no runs of yours in runs/tables/test/table9; to make them: make",
        ),
        (["status", "table8"], "no table table8"),
    ],
)
def test_mistakes_are_one_line(
    workplace: Workplace, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(workplace.arguments(*words)) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ")
    assert said in err
    assert err.count("\n") == 1
    assert out == ""


def test_options_and_overrides_may_come_in_any_order(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["compute.threads=1", "--seeds", "2,"], ["--seeds", "2,", "compute.threads=1"]):
        assert main(workplace.arguments("run", "--dry-run", "table9", "--scale", "test", *words)) == 0
        assert capsys.readouterr().out.splitlines()[0].endswith("skip=xskip compute.threads=1 seed=2")
    with pytest.raises(SystemExit, match="2"):
        main(workplace.arguments("run", "table9", "--sedes", "2"))


def test_curves_prints_their_paths(finished: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    assert finished.run() == 0
    capsys.readouterr()
    assert main(finished.arguments("curves", "table9", "scale=test")) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.name for path in paths] == ["curves.html", "curves.svg", "curves.pdf"]
    assert all(path.is_file() for path in paths)


def test_status_takes_tables_and_overrides(finished: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    fakes.write_status(finished.cell("post_ln", 2).folder, "queued")
    assert main(finished.arguments("status", "scale=test", "table9", "--seeds", "2,")) == 0
    assert "table9 · test · 4 runs: 3 missing, 1 queued" in capsys.readouterr().out
