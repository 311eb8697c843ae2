"""Names, styles and order of a figure's lines, and the positions of their labels."""

import math
import re

import pytest
from matplotlib.figure import Figure

from skipln.figures.drawing import draw
from skipln.figures.forms import distinct, families, label, looks
from skipln.figures.manifest import load
from skipln.figures.numbers import load as load_numbers
from skipln.figures.overview import overview
from skipln.report.ends import label_ends, spread
from skipln.tables import manifest as tables
from skipln.tables.presentation.palette import palette
from tests.figures.test_figures import COMMITTED


def test_labels_are_those_of_the_tables():
    rows = {row.name: row.label for row in tables.load("table1").rows}
    assert label("skip", None) == rows["skip"]
    assert [label("xskip", 2), label("xskip_ln", 3), label("rskip_ln", 2)] == [
        rows["xskip_2"],
        rows["xskip_ln_3"],
        rows["rskip_ln_2"],
    ]
    assert label("no_form_of_ours", 0.5) == "no_form_of_ours λ=0.5"


def test_a_family_has_the_colour_and_dash_of_the_tables():
    table = tables.load("table1")
    theirs = palette(table.rows)
    ours = looks([("skip", None), ("xskip", 0.5), ("xskip", 2), ("xskip", 3), ("rskip_ln", 2), ("rskip_ln", 3)])
    assert ours["rskip_ln", 3] == theirs["rskip_ln_3"] and ours["skip", None] == theirs["skip"]
    assert ours["xskip", 3] == theirs["xskip_3"]


def test_a_net_with_two_names_is_shown_once():
    found = distinct([("rskip_ln", 1), ("rskip_ln", 2), ("xskip_ln", 1), ("xskip", 1), ("skip", None), ("xskip", 2)])
    assert found == [("skip", None), ("xskip", 2), ("xskip_ln", 1), ("rskip_ln", 2)]
    assert list(families(found)) == ["xskip", "xskip_ln", "rskip_ln"]
    assert distinct([("rskip_bn", 1)]) == [("rskip_bn", 1)]


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_nets_that_are_shown_once_have_equal_numbers(folder):
    """The measurements confirm that one of the two names can be left out."""
    nets: dict[tuple, list[float | None]] = {}
    for row in load_numbers(folder).sites:
        if row.state == "start":
            nets.setdefault((row.model, row.depth, row.form, row.lam), []).append(row.stream)
    pairs = [(("xskip", 1), ("skip", None)), (("rskip_ln", 1), ("xskip_ln", 1)), (("rskip_bn", 1), ("xskip_bn", 1))]
    for model, depth in {key[:2] for key in nets}:
        for one, other in pairs:
            both = [nets[model, depth, *name] for name in (one, other) if (model, depth, *name) in nets]
            assert len(both) < 2 or both[0] == pytest.approx(both[1], rel=1e-3)
            assert len(both) == 2 or folder.parent.name != "demo"  # a table's runs have each net under one name


def test_labels_keep_their_distance_and_stay_close():
    assert spread([0.1, 0.9], 0.1) == [0.1, 0.9]
    assert spread([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.4, 0.5, 0.6])
    assert spread([1.0, 0.98], 0.1) == pytest.approx([1.0, 0.9])
    assert spread([0.0, 0.0], 0.1) == pytest.approx([0.0, 0.1])
    assert spread([0.5] * 21, 0.1) == pytest.approx([i / 20 for i in range(21)])
    assert spread([], 0.1) == []


def test_a_line_that_leaves_the_frame_is_labelled_at_its_edge():
    panel = Figure().subplots()
    panel.set(xlim=(0, 1), ylim=(1, 2))
    ends = [(1, 1e30, "above", "#d00000"), (1, -5, "below", "#0000d0"), (1, math.nan, "lost", "#d00000")]
    label_ends(panel, ends, 2.0)
    at = {text.get_text(): text.get_position()[1] for text in panel.texts}
    assert at["below"] == 0 and max(at.values()) == 1 and at["lost"] > 0.9 and at["above"] > 0.9


def test_there_is_a_panel_for_every_family_and_depth_and_none_is_empty():
    folder = COMMITTED[0]
    manifest, rows = load(folder.name), load_numbers(folder).sites
    model = next(one for one in manifest.at("demo").models if one.name == "resnet")
    text = draw(rows, manifest, model, "branch").svg()
    assert len(re.findall(r'id="axes_\d+"', text)) == 5 * len(model.depths)
    few = [row for row in rows if row.form in ("skip", "rskip_ln")]
    assert len(re.findall(r'id="axes_\d+"', draw(few, manifest, model, "branch").svg())) == 2


def test_an_overview_without_nets_is_small():
    folder = COMMITTED[0]
    manifest, rows = load(folder.name), load_numbers(folder).sites
    model = manifest.at("demo").models[0]
    assert overview(rows, model).svg() == (folder / f"{model.name}-overview.svg").read_text("utf-8")
    assert len(overview([], model).svg()) < 20_000
