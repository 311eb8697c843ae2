"""The picture of what an update costs has every axis, and its numbers say where they are from."""

import csv

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
