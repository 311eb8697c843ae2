"""A row looks the same in every table, and no two rows of a table look alike."""

import pytest

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
