"""The page of claims, against scipy and against cases made by hand."""

import re
import shutil
from pathlib import Path

import pytest
from scipy import stats

from scripts.evidence.comparing import Comparison, claims, comparisons
from scripts.evidence.costs import Standing, hours_of, standings
from scripts.evidence.page import page, summary
from scripts.evidence.picture import picture
from scripts.pages.readme import README, what_of_the_claims
from skipln.errors import UserError
from skipln.system.places import EXPERIMENTS
from skipln.tables import store
from skipln.tables.store import Record

SKIP, LN = "skip", "xskip_ln_1"


def record(row: str, seed: int, error: float | None, table: str = "table1") -> Record:
    """Make a record of a run on digits; an error of None means that it diverged."""
    return Record.model_validate(
        {
            **{"table": table, "row": row, "column": "digits", "seed": seed, "overrides": [], "update": 1},
            **{"hash": f"{abs(hash((row, seed))):012x}"[:12], "state": "done" if error is not None else "diverged"},
            "metrics": {} if error is None else {"error": error},
            "data": {"name": "digits", "fingerprint": "a", "test_examples": 450},
            "environment": {"device": "cpu"},
        }
    )


def published(results: Path, rows: dict[str, list[float | None]], table: str = "table1") -> list[Comparison]:
    runs = [record(row, seed, error) for row, errors in rows.items() for seed, error in enumerate(errors)]
    store.write(results / "demo" / table, store.Kept(runs))
    return comparisons(results, EXPERIMENTS)


def test_differences_are_tested_by_welch_and_corrected_by_holm(tmp_path: Path) -> None:
    """Two pairs of a claim are tested, so the smaller p is doubled."""
    rows = {"skip": [5.0, 5.2, 4.9], "xskip_05": [5.4, 5.1, 5.3], "xskip_2": [9.0, 9.3, 8.8], "xskip_3": [9.0]}
    found = {one.rows[0].name: one for one in published(tmp_path, rows) if one.claim.name == "xskip"}
    p = {name: stats.ttest_ind(rows[name], rows["skip"], equal_var=False).pvalue for name in ("xskip_05", "xskip_2")}
    assert found["xskip_2"].adjusted == pytest.approx(2 * p["xskip_2"]) and found["xskip_2"].says == "for"
    assert found["xskip_05"].adjusted == pytest.approx(p["xskip_05"]) and found["xskip_05"].says == "open"
    assert found["xskip_3"].says == "too few runs" and found["xskip_3"].p is None


def test_the_metric_decides_the_direction(tmp_path: Path) -> None:
    """Less error is better: rSkip+LN with more error speaks against the claim, and with less for it."""
    for errors, says in (([9.0, 9.1, 9.2], "against"), ([1.0, 1.1, 1.2], "for")):
        rows: dict[str, list[float | None]] = {"rskip_ln_2": [*errors], "xskip_ln_2": [5.0, 5.1, 5.2]}
        (one,) = [one for one in published(tmp_path, rows) if one.claim.name == "rskip_ln_xskip_ln"]
        assert one.says == says


def test_diverged_runs_are_counted_and_tested(tmp_path: Path) -> None:
    rows: dict[str, list[float | None]] = {"skip": [5.0] * 6, "xskip_2": [None] * 5 + [50.0], "xskip_ln_2": [5.0] * 6}
    found = {one.claim.name: one for one in published(tmp_path, rows) if one.n == (6, 6) and any(one.diverged)}
    p = stats.fisher_exact([[5, 1], [0, 6]]).pvalue
    assert found["xskip"].adjusted == pytest.approx(p) and p < 0.05
    assert found["xskip"].says == found["xskip_ln"].says == "for"
    text = page(claims(EXPERIMENTS), list(found.values()), [])
    assert "5 of 6 diverged, 0 of 6 of the other" in text and "0 of 6 diverged, 5 of 6 of the other" in text


def test_runs_shared_by_two_tables_count_once(tmp_path: Path) -> None:
    rows: dict[str, list[float | None]] = {"rskip_ln_2": [5.0, 5.1, 5.2], "skip": [6.0, 6.1, 6.2]}
    first = published(tmp_path, rows)
    assert len(published(tmp_path, rows, "table3")) == len(first) == 1
    fewer: dict[str, list[float | None]] = {"rskip_ln_2": [5.0, 5.1, 5.2], "skip": [6.0, 6.1]}
    (still,) = published(tmp_path, fewer, "table3")
    assert still.table == "table1" and still.n == (3, 3)


def test_the_page_the_summary_and_the_picture(tmp_path: Path) -> None:
    asked = claims(EXPERIMENTS)
    found = published(tmp_path, {"skip": [5.0, 5.2, 4.9], "xskip_2": [9.0, 9.3, 8.8], "rskip_ln_2": [5.0]})
    costs = [
        Standing("table1", "paper", 18, 0, 0, 0, 0, 0, 33.46),
        Standing("table4", "paper", 8, 0, 0, 0, 0, 0, 172.84),
    ]
    text = page(asked, found, costs)
    assert "| xSkip λ=2 against skip | " in text.replace("  ", "") and "| 3, 3 |" in text
    assert "Not tested, with fewer than 3 runs on a side: 1 in table1, demo: digits, PreAct-ResNet-56." in text
    assert "206.3 together" in text
    said = summary(asked, found).splitlines()
    assert len(said) == 2 + len(asked)
    assert [cell.strip() for cell in said[2].split("|")[2:5]] == ["for it", "1", "0"]
    drawn = picture(asked, found).svg()
    assert drawn == picture(asked, found).svg() and drawn.count("<svg") == 1
    assert "no comparison has three runs" not in page(asked, [], []) and picture(asked, []).svg().startswith("<?xml")


def test_a_label_stays_in_its_cell(tmp_path: Path) -> None:
    """Labels are free text: a bar, an element or a line's end in one adds no cell, no markup and no row."""
    experiments = shutil.copytree(EXPERIMENTS, tmp_path / "experiments")
    table = (experiments / "table1.yaml").read_text("utf-8")
    (experiments / "table1.yaml").write_text(
        table.replace("label: xSkip λ=2", 'label: "a|b<img src=x>\\n| c"'), "utf-8"
    )
    rows: dict[str, list[float | None]] = {"skip": [5.0, 5.2, 4.9], "xskip_2": [9.0, 9.3, 8.8]}
    published(tmp_path / "results", rows)
    text = page(claims(experiments), comparisons(tmp_path / "results", experiments), [])
    (line,) = [line for line in text.splitlines() if "<img" in line]
    cells = re.split(r"(?<!\\)\|", line)
    assert len(cells) == 9 and "a\\|b\\<img" in cells[2]


def test_the_hours_of_a_seed_are_those_of_one_run_of_every_begun_cell(tmp_path: Path) -> None:
    """Two runs of skip took 1 and 3 hours; the search of three rates chose one that took half an hour."""
    timed = [
        record("skip", 1, 5.0).model_copy(update={"train_seconds": 3600.0}),
        record("skip", 2, 5.0).model_copy(update={"train_seconds": 10_000.0, "test_seconds": 800.0}),
        record("xskip_2", 1, 5.0).model_copy(update={"train_seconds": 1800.0, "compared": [None] * 3}),
    ]
    store.write(tmp_path / "demo" / "table1", store.Kept(timed[:2]))
    demo = next(one for one in standings(tmp_path, EXPERIMENTS) if (one.table, one.scale) == ("table1", "demo"))
    assert demo.seed_hours == pytest.approx(2.0) and demo.least == 2
    assert hours_of(timed[2]) == pytest.approx(1.5)


def test_the_runs_of_a_search_are_part_of_the_cost(tmp_path: Path) -> None:
    """With three rates a cell costs three trainings; the evaluation of the best costs nothing."""
    plain = "{name: cifar10, label: CIFAR-10, overrides: [task=classification, data.valid=5000]%s}"
    table = "title: t\nmetrics: [error]\nbaseline: skip\nseeds: {paper: 1}\ncolumns: {paper: [%s]}\n"
    table += "rows: [{name: skip, label: skip, overrides: [skip=skip]}]\n"
    hours = []
    for search in ("", ", search: {optim.lr: [0.03, 0.1, 0.3]}"):
        (tmp_path / "table1.yaml").write_text(table % (plain % search))
        hours.append(next(standings(tmp_path / "results", tmp_path)).hours)
    one, three = hours
    assert one is not None and three is not None and 0 < one == pytest.approx(three / 3)


def test_readme_shows_the_published_evidence() -> None:
    """It is what `make results` would write; `make verify-results` checks results/README.md in the same way."""
    shown = README.read_text("utf-8").split("<!-- claims -->\n")[1].split("<!-- end of claims -->")[0]
    assert shown.strip() == what_of_the_claims()


def test_records_without_a_manifest_are_one_line(tmp_path: Path) -> None:
    for folder in (tmp_path / "demo" / "mine", tmp_path / "large" / "table1"):
        store.write(folder, store.Kept([record(SKIP, 1, 5.0)]))
        with pytest.raises(UserError, match="no manifest has such a table"):
            comparisons(tmp_path, EXPERIMENTS)
        shutil.rmtree(folder)


def test_a_pair_has_two_rows(tmp_path: Path) -> None:
    text = (EXPERIMENTS / "claims.yaml").read_text("utf-8")
    (tmp_path / "claims.yaml").write_text(re.sub(r"(pairs:\s*(?:- )?\[?\[)", r"\1a, ", text, count=1))
    assert (tmp_path / "claims.yaml").read_text() != text
    with pytest.raises(UserError, match="at most 2 items"):
        claims(tmp_path)
