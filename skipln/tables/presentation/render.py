"""Render everything a reader sees of a table from the committed files alone: the same bytes on any machine."""

from collections.abc import Sequence
from pathlib import Path

from skipln.report.latex import latex
from skipln.report.markdown import markdown
from skipln.report.picture import write
from skipln.report.spreadsheet import spreadsheet
from skipln.system.files import atomic_write
from skipln.system.places import EXPERIMENTS, RESULTS
from skipln.tables import store
from skipln.tables.manifest import Manifest, load
from skipln.tables.presentation.beside import beside
from skipln.tables.presentation.figure import figure
from skipln.tables.presentation.live import Live
from skipln.tables.presentation.page import page
from skipln.tables.presentation.text import document
from skipln.tables.presentation.values import values
from skipln.tables.statistics.summary import summarise


def render(manifest: Manifest, scale: str, folder: Path, pdf: bool = False) -> None:
    """Write table.md, .csv, .tex and curves.svg, .html, with `pdf` also curves.pdf, in `folder` from its records,
    curves and examples.
    """
    summary = summarise(manifest, scale, store.read_records(folder), store.read_examples(folder))
    curves, printed = store.read_curves(folder), document(summary, store.read_publications(folder))
    for name, content in {
        "table.md": markdown(printed),
        "table.csv": spreadsheet(values(summary)),
        "table.tex": latex(printed),
        "curves.html": page(summary, curves),
    }.items():
        with atomic_write(folder / name) as file:
            file.write(content.encode())
    drawn = {"curves": figure(summary, curves)}
    write(drawn, folder)
    if pdf:
        write(drawn, folder, pdf=True)


def render_live(manifest: Manifest, scale: str, folder: Path, target: Path, others: Sequence[Live]) -> Path:
    """Write target/curves.html, the table of `folder` with its curves and those of `others`; return the path."""
    summary = summarise(manifest, scale, store.read_records(folder), store.read_examples(folder))
    with atomic_write(target / "curves.html") as file:
        file.write(page(summary, store.read_curves(folder), others).encode())
    return target / "curves.html"


def render_beside(manifest: Manifest, scale: str, folder: Path, published: Path) -> None:
    """Write beside.md in `folder`: its table beside the one in `published`."""
    yours, ours = (summarise(manifest, scale, store.read_records(place), {}) for place in (folder, published))
    with atomic_write(folder / "beside.md") as file:
        file.write(markdown(beside(yours, ours)).encode())


def render_all(results: Path = RESULTS, experiments: Path = EXPERIMENTS) -> list[Path]:
    """Render every table under `results`; return their folders."""
    folders = sorted(path.parent for path in results.glob("*/*/records.jsonl"))
    for folder in folders:
        render(load(folder.name, experiments), folder.parent.name, folder)
    return folders
