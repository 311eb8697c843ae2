"""A table's page begins with a sentence that answers its question."""

import shutil

import pytest

from scripts.pages.readme import section
from skipln.system.places import EXPERIMENTS, RESULTS
from skipln.tables import store
from skipln.tables.manifest import load
from skipln.tables.presentation.answer import answer
from skipln.tables.records import collect
from skipln.tables.statistics.summary import Summary, summarise
from tests.tables import fakes
from tests.tables.conftest import Workplace


def committed(table: str) -> Summary:
    return summarise(load(table, EXPERIMENTS), "small", store.read_records(RESULTS / "small" / table), {})


@pytest.mark.parametrize(
    ("table", "heading", "less"),
    [("table2", "Multi30k En-De", False), ("table1", "CIFAR-10 (JPEG), PreAct-ResNet-20, 6 epochs", True)],
)
def test_the_answer_names_the_rows_whose_difference_is_bold(table: str, heading: str, less: bool) -> None:
    """They are those of the committed page. A bold difference with a minus is better if less is better."""
    summary = committed(table)
    block = next(one for one in summary.blocks if one.column.label == heading)
    found: dict[bool, list[str]] = {True: [], False: []}
    for row in section(f"small/{table}", heading):
        delta = next(cell for name, cell in row.items() if name.startswith("Δ"))
        if delta.startswith("**"):
            found[delta.startswith("**−") == less].append(row[""])
    better, worse = (", ".join(found[side]) or "none" for side in (True, False))
    said = answer(block)
    assert f": {better}; worse: {worse}." in said and f"{'less' if less else 'more'} is better" in said


def test_the_best_mean_is_the_lowest_error_or_the_highest_bleu() -> None:
    for table, best in (
        ("table1", "18.95 ± 0.29 (n=3), rSkip+LN λ=2"),
        ("table2", "35.7 ± 0.5 (n=5), xSkip+LN λ=2"),
    ):
        summary = committed(table)
        assert any(f"the best mean is {best}." in answer(block) for block in summary.blocks)


def test_the_answer_tells_of_too_few_runs_and_diverged_ones(finished: Workplace) -> None:
    shutil.rmtree(finished.cell("rskip_ln_3").folder)
    fakes.finish(finished.cell("rskip_ln", 2).folder, 0.8, seed=2)
    collect(finished.manifest, finished.cells((1, 2)), finished.folder)
    records = store.read_records(finished.folder)
    summary = summarise(finished.manifest, "test", records, {})
    assert answer(summary.blocks[0]).endswith(
        "rSkip+LN λ=2. No difference is tested: that takes 3 finished runs of both and none diverged. "
        "Diverged: xSkip λ=2 (1 of 1)."
    )


def test_without_a_finished_run_there_is_no_answer(workplace: Workplace) -> None:
    summary = summarise(workplace.manifest, "test", [], {})
    assert answer(summary.blocks[0]) == "En-De catalogs (BLEU, more is better): no run is finished."
