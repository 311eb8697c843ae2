"""The figure of an update's cost has every axis, and its numbers say where they come from."""

import csv
import re

from scripts.bench.records.hardware import RESULTS
from scripts.bench.studies import cost


def test_every_axis_is_measured_and_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(cost, "VALUES", {"λ of rSkip+LN": [1, 2], "layers": [2], "length": [8], "vocabulary": [50]})
    cost.main(["--n", "1", "--tokens", "64", "--folder", str(tmp_path)])
    with (tmp_path / "cost.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["axis"], row["value"]) for row in rows] == [
        ("λ of rSkip+LN", "1"), ("λ of rSkip+LN", "2"), ("layers", "2"), ("length", "8"), ("vocabulary", "50"),
    ]  # fmt: skip
    assert all(float(row["milliseconds"]) > 0 and row["cpu"] and row["commit"] for row in rows)
    assert "λ of rSkip+LN" in (tmp_path / "cost.svg").read_text()


def test_no_marker_of_the_committed_figure_leaves_its_frame():
    """Every marker lies at least its radius below the top of its panel."""
    pictures = list(RESULTS.glob("*/cost.svg"))
    assert pictures
    for path in pictures:
        text = path.read_text("utf-8")
        panels = text.split('<g id="axes_')[1:]
        assert len(panels) == 4
        for panel in panels:
            frame = re.search(r'<g id="patch_\d+">\s*<path d="([^"]*)"', panel)
            marks = re.search(r'<g clip-path="[^"]*">((?:\s*<use [^>]*>)+)', panel)
            assert frame and marks
            top = min(float(y) for y in re.findall(r"[ML] \S+ (\S+)", frame[1]))
            assert min(float(y) for y in re.findall(r' y="([\d.]+)"', marks[1])) > top + 1.5
