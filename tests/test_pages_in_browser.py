"""Every published page is shown in Chromium at the widths of a phone, a tablet and a desk, light and dark.

A screenshot of each is left in build/screenshots/.
"""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from skipln.report.picture import SMALLEST, WIDTH
from skipln.system.places import ROOT
from tests.browser import Page, needs_chromium

pytestmark = [pytest.mark.browser, needs_chromium]
SCREENSHOTS = ROOT / "build" / "screenshots"
ANSWERED = sorted((ROOT / "results").glob("*/*/curves.html"))
ALONE = [*ANSWERED, ROOT / "docs" / "gallery.html"]
OF_THE_SITE = [  # one of each kind
    "README.html", "docs/guide.html", "docs/configuration.html", "docs/troubleshooting.html", "docs/costs.html",
    "docs/gallery.html", "docs/api.html", "results/README.html", "results/bench/README.html",
    "results/small/table2/table.html", "results/demo/figure1/figure.html",
]  # fmt: skip
SCREENS = [(width, scheme) for width in (360, 768, 1280) for scheme in ("light", "dark")]

# Text with less contrast to its background than WCAG 2 asks for: 4.5, or 3 if it is large.
FAINT = """(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].map((v, i) => i < 3 ? v : v / 255);
  };
  const luminance = c => [.2126, .7152, .0722].reduce((sum, weight, i) =>
    sum + weight * (c[i] / 255 <= .04045 ? c[i] / 255 / 12.92 : ((c[i] / 255 + .055) / 1.055) ** 2.4), 0);
  const behind = node => {
    for (; node; node = node.parentElement) {
      const colour = rgba(getComputedStyle(node).backgroundColor);
      if (colour[3] > .95) return colour;
    }
    return rgba("canvas");
  };
  const found = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement, style = getComputedStyle(node);
    const box = node.getBoundingClientRect();
    if (!walker.currentNode.data.trim() || !box.width || style.visibility === "hidden") continue;
    if (node.closest("script, style, option, .muted-link, .visually-hidden, svg")) continue;
    const [a, b] = [luminance(rgba(style.color)), luminance(behind(node))].sort((a, b) => b - a);
    const ratio = (a + .05) / (b + .05), size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.6 && +style.fontWeight >= 700) ? 3 : 4.5;
    if (ratio < least) found.set(`${style.color} on ${node.tagName}.${node.className}: ${ratio.toFixed(2)}`,
      walker.currentNode.data.trim().slice(0, 40));
  }
  return [...found].map(([how, what]) => `${how} (${what})`).slice(0, 10);
})()"""
# The height of the smallest letter in a page's inline drawings, in pixels of the screen, without exponents.
LETTERS = """[...document.querySelectorAll("svg text")].filter(t => t.textContent.trim() && t.getScreenCTM())
  .map(t => parseFloat(getComputedStyle(t).fontSize) * t.getScreenCTM().d).reduce((a, b) => Math.min(a, b), 99)"""
# The widths of our pictures on the screen.
PICTURES = """[...document.images]
  .filter(i => i.src.match(/(curves|evidence|cost|view|stream|branch|share)\\d*.svg$/))
  .map(i => i.getBoundingClientRect().width)"""
# Elements that extend beyond the window and are in nothing that scrolls sideways.
WIDE = """[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1
  && !e.closest(".scroll, .table-wrapper, pre, .sidebar-drawer, .toc-drawer, svg, .mobile-header"))
  .map(e => e.tagName + "." + e.className).slice(0, 5)"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    opened = Page(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sphinx")
    built = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--quiet", "-c", "docs", "-b", "html", ".", str(built)]
    subprocess.run(command, cwd=ROOT, check=True)
    return built


def check(browser: Page, path: Path, name: str, width: int, scheme: str) -> None:
    browser.show(width, scheme)
    browser.open(path)
    browser.screenshot(SCREENSHOTS / f"{name.replace('/', '-')}-{width}-{scheme}.png")
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run(WIDE) == []
    assert browser.run(FAINT) == []
    assert browser.run(LETTERS) >= 9
    for shown in browser.run(PICTURES):
        assert SMALLEST / 72 / WIDTH * shown >= 9  # pixels of the smallest letter
    assert browser.errors == []


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
@pytest.mark.parametrize("path", ALONE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_that_stands_alone(browser: Page, path: Path, width: int, scheme: str) -> None:
    check(browser, path, str(path.relative_to(ROOT).with_suffix("")), width, scheme)


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
@pytest.mark.parametrize("page", OF_THE_SITE)
def test_a_page_of_the_site(browser: Page, site: Path, page: str, width: int, scheme: str) -> None:
    check(browser, site / page, f"site/{page.removesuffix('.html')}", width, scheme)


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_first_view_of_a_table_answers_its_question(browser: Page, width: int) -> None:
    """First comes the answer in words, then the curves with both axes named, and names at the lines if they fit."""
    browser.show(width, "light")
    browser.open(ROOT / "results/small/table2/curves.html")
    top = browser.run('document.getElementById("answer").getBoundingClientRect().top')
    assert top < 200
    said = browser.run('document.getElementById("answer").innerText')
    assert said.startswith("Multi30k En-De (BLEU") and "By a test over runs better than" in said
    chart = browser.run('(box => [box.top, box.bottom])(document.getElementById("chart").getBoundingClientRect())')
    assert chart[0] < 800 and (width < 1000 or chart[1] < 800)
    assert browser.run('document.querySelector("#chart .y").textContent') == "validation BLEU, 50 sentences"
    assert browser.run('document.querySelector("#chart .x").textContent') == "updates"
    names = browser.run('[...document.querySelectorAll("#chart .name")].map(t => t.getBoundingClientRect().toJSON())')
    assert len(names) == (7 if width >= 768 else 0)
    for one, other in itertools.pairwise(names):
        assert one["bottom"] <= other["top"] + 3 and one["right"] <= width


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("path", ANSWERED, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_the_answer_is_that_of_the_column_whose_curves_are_shown(browser: Page, path: Path, width: int) -> None:
    """However many columns a table has, its curves begin in the first view, below the answer of one column alone."""
    browser.show(width, "light")
    browser.open(path)
    for column in browser.run("data.columns"):
        browser.run(
            f'document.getElementById("column").value = {json.dumps(column["name"])},'
            'document.getElementById("column").dispatchEvent(new Event("change"))'
        )
        said = browser.run('document.getElementById("answer").innerText').strip()
        assert said.startswith(f"{column['label']} (") and "\n" not in said
        assert browser.run('document.getElementById("chart").getBoundingClientRect().top') < 800


def test_a_phone_keeps_the_names_of_rows_in_sight(browser: Page) -> None:
    """A table is scrolled sideways beneath its first column."""
    browser.show(360, "light")
    browser.open(ROOT / "results/small/table2/curves.html")
    browser.run('document.querySelector("#table .scroll").scrollLeft = 200')
    cell = browser.run('document.querySelector("#table tbody th").getBoundingClientRect().left')
    assert 0 <= cell < 40
