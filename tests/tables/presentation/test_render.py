"""Rendered files: golden texts, and the same bytes from committed files alone."""

import csv
import io
import itertools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from skipln.report import numbers
from skipln.report.latex import escape
from skipln.tables import store
from skipln.tables.cli import main
from skipln.tables.presentation import text
from skipln.tables.presentation.render import render, render_all
from skipln.tables.records import collect
from skipln.tables.statistics.summary import Mean
from tests.tables import fakes
from tests.tables.conftest import ROOT, Workplace, contents

GOLDEN = Path(__file__).parent / "golden"


def _rendered(workplace: Workplace, seeds: tuple[int, ...] = (1,)) -> dict[str, bytes]:
    collect(workplace.manifest, workplace.cells(seeds), workplace.published)
    render(workplace.manifest, "test", workplace.published)
    return contents(workplace.published)


def _golden(finished: Workplace) -> dict[str, bytes]:
    """Render every kind of cell: a row with a diverged seed, a row that never ran, and one that is better."""
    shutil.rmtree(finished.cell("rskip_ln_3").folder)
    fakes.finish(finished.cell("post_ln", 2).folder, 0.6, seed=2)
    fakes.finish(finished.cell("rskip_ln", 2).folder, 0.8, seed=2)
    fakes.finish(finished.cell("xskip", 3).folder, 0.3)
    return _rendered(finished, (1, 2, 3))


@pytest.mark.parametrize("name", ["table.md", "table.csv", "table.tex"])
def test_golden(finished: Workplace, name: str) -> None:
    """After an intended change, write the file named below again and read the difference."""
    found = _golden(finished)[name].decode()
    assert found == (GOLDEN / name).read_text(), f"tests/tables/presentation/golden/{name}"


def test_rendering_again_without_run_folders_gives_the_same_bytes(finished: Workplace) -> None:
    """Another process renders, and no set order, random name or time of day may show."""
    first = _golden(finished)
    done = [record.hash for record in store.read_records(finished.published) if record.state == "done"]
    assert set(first) == {
        *(
            "records.jsonl",
            "curves.jsonl",
            *(f"examples/{name}.xz" for name in done),
        ),
        *("table.md", "table.csv", "table.tex", "curves.svg", "curves.html"),
    }
    shutil.rmtree("runs")
    for name in ("table.md", "table.csv", "table.tex", "curves.svg", "curves.html"):
        (finished.published / name).unlink()
    command = [sys.executable, "-m", "skipln.tables", *finished.arguments("results")]
    subprocess.run(command, check=True, env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"})
    assert contents(finished.published) == first


def test_a_table_without_any_run_is_rendered(workplace: Workplace) -> None:
    files = _rendered(workplace)
    # One is in the footnote; the baseline's and the published values have none.
    assert files["table.md"].decode().count("–") == 1 + 4 * 6 - 2
    assert b"<svg" in files["curves.svg"]
    assert render_all(workplace.results, Path("experiments")) == [workplace.published]


def test_a_fully_diverged_row_and_differing_data_are_shown(finished: Workplace) -> None:
    other = {"name": "catalogs", "fingerprint": "ffff", "test_examples": 200}
    fakes.finish(finished.cell("xskip", 2).folder, state="diverged", data=other)
    page = _rendered(finished, (1, 2))["table.md"].decode()
    assert "2 of 2 diverged" in page
    assert "NOT THE SAME in all runs" in page


def test_data_known_to_be_equal_are_the_same(finished: Workplace) -> None:
    equal = yaml.safe_load((ROOT / "experiments/equal_data.yaml").read_text("utf-8"))["groups"][0]["fingerprints"]
    for cell, fingerprint in zip(finished.cells(), itertools.cycle(equal), strict=False):
        fakes.finish(cell.folder, data={"name": "catalogs", "fingerprint": fingerprint, "test_examples": 200})
    page = _rendered(finished)["table.md"].decode()
    assert "NOT THE SAME" not in page and f"catalogs, fingerprint {equal[0]} or {equal[1]}, 200 test examples" in page


def test_differences_in_arithmetic_are_reported(finished: Workplace) -> None:
    """Between two seeds of a cell, for a whole row, and for a run that continued on another machine."""
    bf16 = fakes.ENVIRONMENT | {"precision": "bf16", "device": "NVIDIA H100"}
    fakes.finish(finished.cell("rskip_ln_3", 2).folder, environment=bf16)
    fakes.finish(finished.cell("post_ln").folder, environment=bf16)
    fakes.finish(finished.cell("rskip_ln").folder, environment=fakes.ENVIRONMENT | {"earlier": [bf16]})
    page = _rendered(finished, (1, 2))["table.md"].decode()
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    assert [line.split("|")[1].strip() for line in lines if "MIXED" in line] == ["rSkip+LN λ=3"]
    assert "(n=2), MIXED fp32 and bf16" in page
    assert (
        "- Arithmetic: NOT THE SAME in all runs, which may itself cause a difference: fp32: xSkip λ=2, "
        "rSkip+LN λ=3 (seed 1); bf16: post-LN, rSkip+LN λ=3 (seed 2); bf16 then fp32: rSkip+LN λ=2\n" in page
    )
    assert "trained on NVIDIA H100 (Fake CPU, 2 logical cores), 2 threads" in page


def test_a_record_without_its_precision_says_so(finished: Workplace) -> None:
    """In records from before precision was kept, the requested precision is known, but not what `auto` meant."""
    old = {key: value for key, value in fakes.ENVIRONMENT.items() if key not in ("precision", "compiled")}
    fakes.finish(finished.cell("xskip").folder, environment=old)
    _rendered(finished)
    records = finished.published / "records.jsonl"
    records.write_text(records.read_text("utf-8").replace('"precision":{"name":"fp32"}', '"precision":{"name":"auto"}'))
    render(finished.manifest, "test", finished.published)
    assert "precision=auto, not recorded which: xSkip λ=2;" in contents(finished.published)["table.md"].decode()
    compiled = fakes.ENVIRONMENT | {"compiled": True, "dirty": True, "patch": "abc"}
    fakes.finish(finished.cell("xskip").folder, environment=compiled)
    page = _rendered(finished)["table.md"].decode()
    assert "fp32, compiled: xSkip λ=2;" in page
    assert "commit 0123456789ab with uncommitted changes (patch abc), Python" in page


def test_a_difference_is_bold_only_after_a_test_over_runs(finished: Workplace) -> None:
    """The clearly better row is bold; a row with a diverged seed is not tested, and so not bold."""
    seeds = (1, 2, 3, 4)
    for seed, noise in zip(seeds, (0.0, 0.004, -0.004, 0.002), strict=True):
        fakes.finish(finished.cell("post_ln", seed).folder, 0.6 + noise, seed=seed)
        fakes.finish(finished.cell("rskip_ln", seed).folder, 0.8 + noise, seed=10 + seed)
        fakes.finish(
            finished.cell("rskip_ln_3", seed).folder, 0.8, seed=seed, state="diverged" if seed == 4 else "done"
        )
    files = _rendered(finished, seeds)
    page = files["table.md"].decode()
    lines = {line.split("|")[1].strip(): line for line in page.splitlines() if line.startswith("| ")}
    assert re.search(r"\*\*\+\d+\.\d \[\+\d+\.\d, \+\d+\.\d\] \(p(=0\.\d{3}|<0\.001)\)\*\*", lines["rSkip+LN λ=2"])
    assert "(n=3), 1 of 4 diverged" in lines["rSkip+LN λ=3"]
    assert "**" not in lines["rSkip+LN λ=3"] + lines["xSkip λ=2"] + lines["post-LN"]
    assert "are by Welch's t-test over runs, Holm-corrected for 1 comparison;" in page
    assert "what other test sentences might change, not what another seed might" in page
    line = list(csv.DictReader(io.StringIO(files["table.csv"].decode())))[2]
    assert float(line["low_95"]) < float(line["difference"]) < float(line["high_95"])
    assert float(line["detectable"]) > 0 and line["p"] == line["p_holm"] and line["method"].startswith("Welch")
    assert b"textbf" in files["table.tex"] and b"<strong>" in files["curves.html"]


def test_csv_reads_back(finished: Workplace) -> None:
    lines = list(csv.DictReader(io.StringIO(_golden(finished)["table.csv"].decode())))
    assert [line["row"] for line in lines] == ["xskip", "post_ln", "rskip_ln", "rskip_ln_3"]
    assert float(lines[2]["difference"]) == pytest.approx(float(lines[2]["bleu"]) - float(lines[1]["bleu"]), abs=1e-5)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("a_b & 50 % #1 {x} $5", r"a\_b \& 50 \% \#1 \{x\} \$5"),
        ("λ=2 ± 0.1 − – Δ", r"$\lambda$=2 $\pm$ 0.1 $-$ -- $\Delta$"),
        ("\\~^<", r"\textbackslash{}\textasciitilde{}\textasciicircum{}$<$"),
    ],
)
def test_latex_escapes(words: str, expected: str) -> None:
    assert escape(words) == expected


def test_numbers_are_rounded_and_signed() -> None:
    from skipln.tables.metrics import METRICS

    assert text.spread(Mean(17.44, None, 1), METRICS["bleu"]) == "17.4 (n=1)"
    assert text.spread(Mean(6.378, 0.126, 5), METRICS["error"]) == "6.38 ± 0.13 (n=5)"
    assert [numbers.signed(x, 1) for x in (0.84, -0.84, -0.04)] == ["+0.8", "−0.8", "0.0"]
    assert [numbers.p_value(p) for p in (0.0004, 0.0123, 1.0)] == ["p<0.001", "p=0.012", "p=1.000"]


def test_results_names_a_damaged_file(finished: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    _rendered(finished)
    (finished.published / "curves.jsonl").write_text("{")
    assert main(finished.arguments("results")) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: results/test/table9/curves.jsonl, line 1: damaged")
    assert err.count("\n") == 1
