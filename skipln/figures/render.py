"""Render everything a reader sees of a figure from the committed numbers alone: the same bytes on any machine."""

from pathlib import Path

from skipln.figures.drawing import LABELS, draw
from skipln.figures.manifest import Manifest, load
from skipln.figures.numbers import Numbers
from skipln.figures.numbers import load as load_numbers
from skipln.figures.overview import overview
from skipln.figures.page import page
from skipln.report.picture import Picture, write
from skipln.system.files import atomic_write
from skipln.system.places import EXPERIMENTS


def pictures(manifest: Manifest, scale: str, numbers: Numbers) -> dict[str, Picture]:
    """For each model, one picture per quantity and an overview, by name of file."""
    found: dict[str, Picture] = {}
    for model in manifest.at(scale).models:
        found |= {f"{model.name}-{quantity}": draw(numbers.sites, manifest, model, quantity) for quantity in LABELS}
        found[f"{model.name}-overview"] = overview(numbers.sites, model)
    return found


def render(manifest: Manifest, scale: str, folder: Path, pdf: bool = False) -> None:
    """From sites.csv, nets.csv and about.json in `folder`, write figure.md and the pictures as SVG, with `pdf` as PDF
    too.
    """
    numbers = load_numbers(folder)
    found = pictures(manifest, scale, numbers)
    write(found, folder)
    if pdf:
        write(found, folder, pdf=True)
    with atomic_write(folder / "figure.md", "w") as file:
        file.write(page(numbers, manifest, scale))


def render_all(results: Path, experiments: Path = EXPERIMENTS) -> list[Path]:
    """Render every figure under `results`; return their folders."""
    folders = sorted(path.parent for path in results.glob("*/*/sites.csv"))
    for folder in folders:
        render(load(folder.name, experiments), folder.parent.name, folder)
    return folders
