"""Render everything a reader sees of a figure from the committed numbers alone: the same bytes on any machine."""

from pathlib import Path

from skipln.figures.drawing import LABELS, draw
from skipln.figures.manifest import Manifest, load
from skipln.figures.numbers import load as load_numbers
from skipln.figures.overview import overview
from skipln.figures.page import page
from skipln.system.files import atomic_write
from skipln.system.places import EXPERIMENTS


def render(manifest: Manifest, scale: str, folder: Path) -> None:
    """From sites.csv, nets.csv and about.json in `folder`, write figure.md and, for each model, one SVG per quantity
    and an overview.
    """
    numbers = load_numbers(folder)
    content = {
        f"{model.name}-{quantity}.svg": draw(numbers.sites, manifest, model, quantity)
        for model in manifest.at(scale).models
        for quantity in LABELS
    }
    first = {f"{model.name}-overview.svg": overview(numbers.sites, model) for model in manifest.at(scale).models}
    for name, text in {**content, **first, "figure.md": page(numbers, manifest, scale)}.items():
        with atomic_write(folder / name, "w") as file:
            file.write(text)


def render_all(results: Path, experiments: Path = EXPERIMENTS) -> list[Path]:
    """Render every figure under `results`; return their folders."""
    folders = sorted(path.parent for path in results.glob("*/*/sites.csv"))
    for folder in folders:
        render(load(folder.name, experiments), folder.parent.name, folder)
    return folders
