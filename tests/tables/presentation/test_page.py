"""curves.html needs nothing else and is safe, whatever text it contains."""

import json
import re
from typing import Any

from skipln.system.places import RESULTS
from skipln.tables.presentation.page import page
from skipln.tables.records import collect
from skipln.tables.statistics.summary import Summary, summarise
from skipln.tables.store import Curves, read_curves, read_records
from tests.tables.conftest import Workplace

EVIL = "</script><script>alert(1)</script><!--<b>&\u2028"


def _page(workplace: Workplace) -> str:
    summary, curves = _inputs(workplace)
    return page(summary, curves)


def _inputs(workplace: Workplace) -> tuple[Summary, dict[str, Curves]]:
    collect(workplace.manifest, workplace.cells(), workplace.folder)
    records = read_records(workplace.folder)
    return summarise(workplace.manifest, "test", records, {}), read_curves(workplace.folder)


def _data(html: str) -> Any:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert match
    return json.loads(match[1])


def test_the_page_makes_no_requests(finished: Workplace) -> None:
    html = _page(finished)
    assert not re.search(r"https?://|//[a-z]+\.[a-z]|@import|\burl\((?!#)|<link|<img|\bsrc=|\bfetch\(", html)
    assert "<!--" not in html


def test_the_page_has_curves_table_and_configurations(finished: Workplace) -> None:
    html = _page(finished)
    data = _data(html)
    assert data["metrics"][:3] == ["valid/bleu", "valid/loss", "train/loss"]
    assert data["axes"] == ["update", "tokens", "wall"]
    assert [run["state"] for run in data["runs"]] == ["diverged", "done", "done", "done"]
    assert data["configs"][1]["command"] == "python -m skipln.train scale=test skip=xskip_ln seed=1"
    shown = data["configs"][1]["config"]
    assert (shown["seed"], shown["data.kind"], shown["skip.name"]) == (1, "catalogs", "xskip_ln")
    assert not {"data.dir", "paths.runs"} & shown.keys()
    assert html.count("<tr>") == 1 + len(finished.manifest.rows)
    assert "27.50 [1]" in html


def test_the_first_view_hides_no_row_that_has_a_loss(finished: Workplace) -> None:
    """fairseq's validation has no BLEU. If the table has a row of fairseq, only the loss exists for all rows."""
    summary, curves = _inputs(finished)
    last = summary.records[-1].hash
    for group in curves[last].groups:
        group.pop("valid/bleu", None)
    assert _data(page(summary, curves))["metrics"][:2] == ["valid/loss", "valid/bleu"]
    data = _data((RESULTS / "small/table6/curves.html").read_text("utf-8"))
    shown = {run["row"] for run in data["runs"] if any(data["metrics"][0] in group for group in run["groups"])}
    assert shown == {row["name"] for row in data["rows"]}


def test_text_cannot_become_markup_or_script(finished: Workplace) -> None:
    rows = [row.model_copy(update={"label": EVIL}) for row in finished.manifest.rows]
    finished.manifest = finished.manifest.model_copy(update={"rows": rows, "title": EVIL, "notes": [EVIL]})
    html = _page(finished)
    assert html.count("</script>") == 2
    assert "<script>alert" not in html
    assert "<b>" not in html
    assert _data(html)["rows"][0]["label"] == EVIL


def test_the_page_of_a_hundred_long_runs_is_small(finished: Workplace) -> None:
    summary, curves = _inputs(finished)
    axis = list(range(200))
    metrics = ("train/loss", "train/nll", "lr", "grad_norm", "tokens_per_second")
    noisy = [1.2345 + i / 7919 for i in axis]
    long = {"update": axis, "tokens": [i * 25_000 for i in axis], "wall": noisy} | dict.fromkeys(metrics, noisy)
    run = summary.blocks[0].entries[1].records
    curves[run[0].hash] = Curves.model_validate({"hash": run[0].hash, "groups": [long]})
    run.extend(run * 99)
    assert len(page(summary, curves)) < 8_000_000
