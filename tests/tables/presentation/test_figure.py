"""What the panels of curves.svg show."""

import pytest

from skipln.tables import store
from skipln.tables.presentation.figure import figure
from skipln.tables.records import collect
from skipln.tables.statistics.summary import summarise
from tests.tables import fakes
from tests.tables.conftest import Workplace


@pytest.mark.parametrize(("shift", "scale"), [(0.0, "linear"), (9000.0, "log")])
def test_one_enormous_loss_does_not_flatten_the_others(finished: Workplace, shift: float, scale: str) -> None:
    """xSkip may finish at thousands of nats while every other row is near 5."""
    fakes.write_metrics(finished.cell("post_ln").folder, shift=shift)
    collect(finished.manifest, finished.cells((1,)), finished.published)
    curves = store.read_curves(finished.published)
    summary = summarise(finished.manifest, "test", store.read_records(finished.published), {})
    with figure(summary, curves).drawn() as drawing:
        panels = {panel.get_ylabel(): panel for panel in drawing.axes}
        assert panels["validation loss, nats"].get_yscale() == scale
