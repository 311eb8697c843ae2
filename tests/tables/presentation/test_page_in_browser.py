"""curves.html in Chromium: drawing, choosing, hovering, and no network requests."""

import json
import os
import statistics
from collections.abc import Iterator

import pytest

from skipln.tables.manifest import Row
from skipln.tables.presentation.live import live
from skipln.tables.presentation.page import page
from skipln.tables.records import collect
from skipln.tables.series import thinned
from skipln.tables.statistics.summary import summarise
from skipln.tables.store import Curves, read_curves, read_records
from tests.browser import Page, needs_chromium
from tests.tables import fakes
from tests.tables.conftest import Workplace

pytestmark = [pytest.mark.browser, needs_chromium]
CURVES = '[...document.querySelectorAll("#chart .curve")].map(c => c.dataset.row)'


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    opened = Page(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture
def opened(browser: Page, finished: Workplace) -> Page:
    """Open a page with two seeds of post_ln, a diverged row, a finished row, and a running one at update 10."""
    fakes.finish(finished.cell("post_ln", 2).folder, 0.6, seed=2)
    under_way = finished.cell("rskip_ln_3").folder
    (under_way / "result.json").unlink()
    fakes.write_metrics(under_way, points=2)
    fakes.write_status(under_way, "interrupted", 10, 20)
    collect(finished.manifest, finished.cells((1, 2)), finished.folder)
    records = read_records(finished.folder)
    others = live(finished.cells((1, 2)), {record.hash for record in records})
    summary = summarise(finished.manifest, "test", records, {})
    path = finished.path / "curves.html"
    path.write_text(page(summary, read_curves(finished.folder), others), "utf-8")
    browser.requests.clear()
    browser.errors.clear()
    browser.open(path)
    return browser


def choose(page: Page, name: str, value: str) -> None:
    page.run(f'(document.getElementById("{name}").value = "{value}", '
             f'document.getElementById("{name}").dispatchEvent(new Event("change")))')  # fmt: skip


def test_it_draws_every_row_and_reaches_no_network(opened: Page) -> None:
    assert opened.run(CURVES) == ["xskip", "post_ln", "rskip_ln", "rskip_ln_3"]
    assert opened.run('document.querySelectorAll("#chart .band").length') == 1  # the row with two seeds
    assert opened.run('document.querySelectorAll("#chart .open").length') == 1  # the running one
    assert opened.run('document.querySelectorAll("#chart .end").length') == 1  # the diverged one
    assert opened.run('document.querySelectorAll("#table tbody tr").length') == 4
    shown = opened.run("document.body.innerText")
    assert "rSkip+LN λ=3, En-De catalogs, seed 1: interrupted at update 10 of 20" in shown
    assert opened.errors == []
    assert [address for address in opened.requests if not address.startswith("file:")] == []
    assert len(opened.requests) == 1


def test_rows_are_switched_off_and_on(opened: Page) -> None:
    opened.run('document.querySelector("#rows input[name=xskip]").click()')
    assert opened.run(CURVES) == ["post_ln", "rskip_ln", "rskip_ln_3"]
    opened.run('document.getElementById("none").click()')
    assert opened.run(CURVES) == []
    assert "No curves to show." in opened.run('document.getElementById("chart").textContent')
    opened.run('document.getElementById("all").click()')
    assert len(opened.run(CURVES)) == 4


def test_metric_and_axis_can_be_chosen(opened: Page) -> None:
    assert opened.run('[...document.getElementById("metric").options].map(o => o.value)')[:3] == [
        "valid/bleu", "valid/loss", "train/loss"
    ]  # fmt: skip
    seen = {opened.run('document.querySelector("#chart .curve").getAttribute("d")')}
    for name, value, said in (
        ("metric", "train/loss", "updates"),
        ("axis", "tokens", "target tokens"),
        ("axis", "wall", "seconds of training"),
    ):
        choose(opened, name, value)
        texts = opened.run('[...document.querySelectorAll("#chart text")].map(t => t.textContent)')
        assert said in texts
        ticks = [text for text in texts if text.replace(".", "").isdigit()]
        seen.add(json.dumps(ticks) + opened.run('document.querySelector("#chart .curve").getAttribute("d")'))
    assert len(seen) == 4
    before = opened.run('document.querySelector("#chart .curve").getAttribute("d")')
    opened.run('document.getElementById("log").click()')
    assert opened.run('document.querySelector("#chart .curve").getAttribute("d")') != before
    opened.run('document.getElementById("seeds").click()')
    assert opened.run('document.querySelectorAll("#chart .seed").length') == 5


def test_a_loss_of_wide_range_begins_on_a_logarithmic_axis(opened: Page) -> None:
    checked = 'document.getElementById("log").checked'
    choose(opened, "metric", "valid/loss")
    assert not opened.run(checked)
    opened.run(
        'data.runs.filter(run => run.row === "post_ln").forEach(run => run.groups.filter(g => g["valid/loss"])'
        '.forEach(g => g["valid/loss"] = g["valid/loss"].map(loss => loss + 9000)))'
    )
    for metric, logarithmic in (("valid/loss", True), ("valid/bleu", False)):
        choose(opened, "metric", metric)
        assert opened.run(checked) == logarithmic


def test_hovering_shows_mean_and_deviation(opened: Page) -> None:
    box = opened.run(
        '(r => [r.left, r.top, r.width, r.height])(document.getElementById("chart").getBoundingClientRect())'
    )
    opened.move(box[0] + box[2] - 20, box[1] + box[3] / 2)
    said = opened.run('document.getElementById("tip").innerText')
    # Update 20: 8 + 0.1·seed over seeds 1 and 2.
    assert "post-LN\t8.15 ± 0.07071 (n=2)\tat 20" in said
    assert "λ=3" not in said  # it has not reached update 20
    opened.move(0, 0)
    assert opened.run('document.getElementById("tip").hidden')


def test_every_rows_configuration_is_shown(opened: Page) -> None:
    assert opened.run('document.querySelectorAll("#configs details").length') == 4
    opened.run('document.querySelector("#configs summary").click()')
    assert "python -m skipln.train" in opened.run('document.querySelector("#configs pre").innerText')


def test_a_hundred_runs_of_a_thousand_points(browser: Page, finished: Workplace) -> None:
    """The page stays small. Its load time is printed (make test-browser ARGS=-s) but not asserted."""
    collect(finished.manifest, finished.cells(), finished.folder)
    first = read_records(finished.folder)[1]
    rows = [Row(name=f"row_{i}", label=f"row {i}", overrides=[]) for i in range(10)]
    manifest = finished.manifest.model_copy(update={"rows": rows, "baseline": "row_0"})
    records, curves = [], {}
    for row in range(10):
        for seed in range(1, 11):
            name = f"{row:06d}{seed:06d}"
            records.append(first.model_copy(update={"row": f"row_{row}", "seed": seed, "hash": name}))
            curves[name] = Curves(hash=name, groups=thinned(_long_run(row, seed)))
    text = page(summarise(manifest, "test", records, {}), curves)
    path = finished.path / "large.html"
    path.write_text(text, "utf-8")
    assert path.stat().st_size < 8_000_000
    seconds = []
    for _ in range(5):
        browser.open(path)
        seconds.append(browser.run('performance.getEntriesByType("navigation")[0].loadEventEnd / 1000'))
    assert len(browser.run(CURVES)) == 10
    assert "At most 200 points" in browser.run("document.body.innerText")
    print(
        f"100 runs × 1,000 points: {path.stat().st_size / 1e6:.2f} MB; loaded in {statistics.median(seconds):.2f} s, "
        f"median of 5 ({min(seconds):.2f}–{max(seconds):.2f}), load average {os.getloadavg()[0]:.1f}"
    )


def _long_run(row: int, seed: int) -> list[dict[str, float]]:
    points: list[dict[str, float]] = []
    for i in range(1, 1001):
        where = {"update": 10 * i, "epoch": i / 50, "tokens": 4096 * 10 * i, "wall": 1.234 * i + seed / 7}
        train = {"train/loss": 9 / i**0.3 + row / 10 + seed / 100, "train/nll": 8 / i**0.3 + seed / 90}
        points.append(where | train | {"lr": 1e-3 / i**0.5, "grad_norm": 1 + 1 / i, "tokens_per_second": 8000 + i / 3})
        points.append(where | {"valid/loss": 9 / i**0.3, "valid/bleu": 30 - 20 / i**0.2 - row + seed / 10})
    return points
