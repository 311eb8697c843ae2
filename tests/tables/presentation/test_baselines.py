"""A row may have a baseline of its own, such as a run of equal length."""

import pytest

from skipln.system.places import EXPERIMENTS, RESULTS
from skipln.tables import store
from skipln.tables.manifest import load
from skipln.tables.presentation.footnotes import footnotes
from skipln.tables.records import collect
from skipln.tables.statistics.summary import Summary, summarise
from tests.tables import fakes
from tests.tables.conftest import Workplace


def summary_of(finished: Workplace, baselines: dict[str, str]) -> Summary:
    """Summarise three seeds of every row, with these baselines. The rows differ in BLEU."""
    for row, quality in (("xskip", 0.3), ("post_ln", 0.6), ("rskip_ln", 0.8), ("rskip_ln_3", 0.7)):
        for seed in (1, 2, 3):
            fakes.finish(finished.cell(row, seed).folder, quality, seed=seed)
    collect(finished.manifest, finished.cells((1, 2, 3)), finished.folder)
    rows = [row.model_copy(update={"baseline": baselines.get(row.name)}) for row in finished.manifest.rows]
    manifest = finished.manifest.model_copy(update={"rows": rows})
    return summarise(manifest, "test", store.read_records(finished.folder), {})


def test_a_row_is_compared_with_its_own_baseline(finished: Workplace) -> None:
    summary = summary_of(finished, {"rskip_ln": "rskip_ln", "rskip_ln_3": "rskip_ln"})
    found = {entry.row.name: entry for entry in summary.blocks[0].entries}
    mean = {name: entry.values["bleu"].mean for name, entry in found.items()}
    assert found["rskip_ln"].is_baseline and found["post_ln"].is_baseline
    assert found["rskip_ln"].difference is None and found["rskip_ln"].test is None
    assert found["xskip"].difference == pytest.approx(mean["xskip"] - mean["post_ln"])
    assert found["rskip_ln_3"].difference == pytest.approx(mean["rskip_ln_3"] - mean["rskip_ln"])
    test = found["rskip_ln_3"].test
    assert test and test.difference == pytest.approx(found["rskip_ln_3"].difference)
    said = dict(footnotes(summary))["Δ BLEU"]
    assert said.startswith("Δ is the difference from the baseline above: post-LN or rSkip+LN λ=2; ")


def test_table_6_compares_runs_of_equal_time() -> None:
    summary = summarise(load("table6", EXPERIMENTS), "small", store.read_records(RESULTS / "small" / "table6"), {})
    bleu = {entry.row.name: entry.values["bleu"].mean for entry in summary.blocks[0].entries}
    found = {entry.row.name: entry.difference for entry in summary.blocks[0].entries}
    assert found["fairseq_10"] is None and found["fairseq_25"] is None
    assert found["skipln_25"] == pytest.approx(bleu["skipln_25"] - bleu["fairseq_25"])
    assert found["skipln_10"] == pytest.approx(bleu["skipln_10"] - bleu["fairseq_10"])
