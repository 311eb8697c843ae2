"""Curves of runs that have no record yet."""

from pathlib import Path

import pytest

from skipln.system.files import locked
from skipln.tables.cli import main
from skipln.tables.presentation.live import live
from tests.tables import fakes
from tests.tables.conftest import Workplace


def test_running_runs_are_drawn_but_not_recorded(finished: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    assert finished.run() == 0
    committed = finished.texts()
    second = finished.cell("rskip_ln", 2)
    fakes.write_metrics(second.folder, points=2, torn=True)
    fakes.write_status(second.folder, "running", 10, 20)
    capsys.readouterr()
    with locked(second.folder / ".lock"):  # as its process would
        assert main(finished.arguments("curves", "table9", "--scale", "test", "--seeds", "2")) == 0
    said = capsys.readouterr()
    page, *others = [Path(line) for line in said.out.splitlines()]
    assert page == Path("runs/tables/test/table9/live/curves.html")
    assert [path.name for path in others] == ["curves.html", "curves.svg", "curves.pdf"]
    assert "1 runs are not in the table yet" in said.err
    assert "rSkip+LN λ=2, En-De catalogs, seed 2: running at update 10 of 20" in page.read_text("utf-8")
    made = {name: text for name, text in finished.texts().items() if not name.startswith("live/")}
    assert made.pop("curves.pdf").startswith(b"%PDF") and made == committed


def test_running_runs_are_drawn_before_any_record_exists(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    fakes.write_metrics(workplace.cell("post_ln").folder)
    fakes.write_status(workplace.cell("post_ln").folder, "interrupted", 20, 20)
    assert main(workplace.arguments("curves", "table9", "--scale", "test")) == 0
    assert capsys.readouterr().out == "runs/tables/test/table9/live/curves.html\n"
    assert set(workplace.texts()) == {"live/curves.html"}


def test_live_runs_have_logged_and_have_no_record(finished: Workplace) -> None:
    fakes.write_status(finished.cell("post_ln", 2).folder, "queued")
    first, *rest = finished.cells((1, 2))
    assert [other.cell for other in live([first, *rest], {first.hash})] == rest[:3]
    assert not any(other.unfinished for other in live([first], set()))
