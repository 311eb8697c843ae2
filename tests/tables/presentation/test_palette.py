"""A row looks the same in every table, and no two rows of a table look alike."""

import itertools

import pytest

from skipln.report.colours import DARK, OF_LINES, OF_TEXT, PAPER, contrast, legible, mixed, toward
from skipln.tables import manifest as manifests
from skipln.tables.presentation.palette import HUES, palette


def _lightness(colour: str) -> float:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("name", manifests.names())
def test_all_rows_of_a_table_look_different(name: str) -> None:
    rows = manifests.load(name).rows
    looks = palette(rows)
    assert set(looks) == {row.name for row in rows}
    assert len({(look.colour, look.dash) for look in looks.values()}) == len(rows)


def test_a_family_has_one_hue_and_lambda_sets_the_shade() -> None:
    rows = {row.name: row for row in manifests.load("table2").rows}
    looks = palette(list(rows.values()))
    shades = [_lightness(looks[f"xskip_ln_{lam}"].colour) for lam in (1, 2, 3)]
    assert shades == sorted(shades, reverse=True)
    dark = [_lightness(looks[f"xskip_ln_{lam}"].on_dark) for lam in (1, 2, 3)]
    assert dark == sorted(dark)
    assert len({looks[f"xskip_ln_{lam}"].dash for lam in (1, 2, 3)}) == 1


def test_a_row_looks_the_same_in_another_table() -> None:
    """skip has one colour in tables 1 and 2; unknown connections get the remaining colours."""
    one, two = (palette(manifests.load(name).rows) for name in ("table1", "table2"))
    assert one["skip"] == two["skip"]
    row = manifests.load("table2").rows[0]
    strange = [row.model_copy(update={"name": f"r{i}", "overrides": [f"skip=new{i}"]}) for i in range(30)]
    looks = palette(strange)
    assert len({(look.colour, look.dash) for look in looks.values()}) == 30
    assert not {(look.colour, look.dash) for look in looks.values()} & {(hue[0], hue[2]) for hue in HUES.values()}


@pytest.mark.parametrize("name", manifests.names())
def test_lines_have_enough_contrast(name: str) -> None:
    for look in palette(manifests.load(name).rows).values():
        assert contrast(look.colour, PAPER) >= OF_LINES - 0.05 and contrast(look.on_dark, DARK) >= OF_LINES - 0.05
        assert contrast(legible(look.colour), PAPER) >= OF_TEXT - 0.1


FEW = [name for name in manifests.names() if len(manifests.load(name).rows) <= 12]


@pytest.mark.parametrize("name", FEW)
def test_rows_are_told_apart_without_colour(name: str) -> None:
    """Two rows differ in dash, or by a fifth in the contrast of their greys. Tables with more rows have only names."""
    assert len(FEW) > 6
    looks = palette(manifests.load(name).rows)
    for one, other in itertools.combinations(looks, 2):
        pair = looks[one], looks[other]
        assert pair[0].dash != pair[1].dash or contrast(pair[0].colour, pair[1].colour) >= 1.2, (one, other)


def test_contrast_equals_that_of_wcag() -> None:
    """These are its examples: black on white has 21, and #777777 on white 4.48, just too little for text."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#ffffff", "#777777") == pytest.approx(4.48, abs=0.005)
    assert contrast("#0000ff", "#ffffff") == pytest.approx(8.59, abs=0.005)


@pytest.mark.parametrize("ground", [PAPER, DARK])
def test_a_colour_is_mixed_for_a_contrast(ground: str) -> None:
    for wanted in (1.5, 3, 4.5, 12):
        assert contrast(mixed("#0072b2", toward("#0072b2", ground, wanted)), ground) == pytest.approx(wanted, rel=0.03)
    assert mixed("#0072b2", 0) == "#0072b2" and mixed("#0072b2", 1) == "#000000" and mixed("#0072b2", -1) == "#ffffff"
