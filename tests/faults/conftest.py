"""The number of attacks: a sample by default, or a share of all with --faults SHARE (1: as `make test-faults`)."""

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skipln.system.files import locked
from tests.faults.desk import ROOT, Desk
from tests.faults.tally import Tally, said_in, timed

SEED = 17
PAGE = ROOT / "docs" / "reliability.md"
STARTED = time.monotonic()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)


@pytest.fixture(scope="session")
def tally(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tally]:
    """Count the attacks of this process; with --faults, write them to docs/reliability.md beside the others'."""
    counted = Tally()
    yield counted
    if share := request.config.getoption("--faults"):
        with locked(tmp_path_factory.getbasetemp().parent / "page.lock"):
            counted.write(PAGE, share)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Print the page's table, and time a session of all attacks. Of xdist's processes, only the controller is here."""
    share = config.getoption("--faults")
    if share == 1 and exitstatus == 0 and config.args == ["tests/faults"] and not config.getoption("keyword"):
        timed(PAGE, (time.monotonic() - STARTED) / 60, len(os.sched_getaffinity(0)))
    if share:
        terminalreporter.write_line(f"\n{said_in(PAGE)}")


@pytest.fixture
def draw(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture(scope="session")
def times(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """times(all, sample) is the number of attacks of a kind to make; a test without any in the sample is skipped."""
    share = request.config.getoption("--faults")

    def counted(whole: int, sample: int) -> int:
        if not share and not sample:
            pytest.skip("too slow for the default sample; `make test-faults` runs it")
        return max(1, round(share * whole)) if share else sample

    return counted


@pytest.fixture(scope="session")
def overrides(tiny: list[str]) -> list[str]:
    return [text for text in tiny if not text.startswith("scale=")]


@pytest.fixture(scope="session")
def undisturbed(overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """The table as it is made without any attack."""
    desk = Desk(tmp_path_factory.mktemp("undisturbed"), overrides)
    process = desk.table()
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return desk


@pytest.fixture
def desk(undisturbed: Desk, tmp_path: Path) -> Desk:
    """A fresh desk for the same table."""
    return Desk(tmp_path / "desk", undisturbed.overrides)


@pytest.fixture
def finished(undisturbed: Desk, tmp_path: Path) -> Desk:
    """A copy of the undisturbed desk."""
    shutil.copytree(undisturbed.path, tmp_path / "finished")
    return Desk(tmp_path / "finished", undisturbed.overrides)
