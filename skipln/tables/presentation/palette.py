"""One look for a row wherever it is drawn: the family sets colour and dash, λ the shade.

A family is a set of rows that differ only in λ, or in how long they train. The hues are Okabe and Ito's, which
colour-blind readers can tell apart; dashes and shades distinguish the rows in print without colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from omegaconf import OmegaConf

from skipln.report.colours import DARK, OF_LINES, PAPER, mixed, toward
from skipln.system.places import CONFIGS
from skipln.tables.manifest import Row

WHOLE, DASHED, DOTTED, MIXED = (), (6, 2.5), (1.5, 2), (6, 2, 1.5, 2)  # line and gap, in line widths
LONG, TWICE = (14, 3), (6, 2, 1.5, 2, 1.5, 2)
# The colour on white, the colour on black, and the dash.
HUES: dict[str, tuple[str, str, tuple[float, ...]]] = {
    "xskip_ln": ("#0072b2", "#4aa8e0", WHOLE),
    "rskip_ln": ("#00805c", "#2fc79a", DASHED),
    "xskip": ("#c04e00", "#ff8a4c", DOTTED),
    "skip": ("#3a3a40", "#c8c8d0", MIXED),
    "xskip_bn": ("#b0508a", "#e493c2", LONG),
    "rskip_bn": ("#9a6b00", "#f0b53c", TWICE),
}
SPARE = (
    ("#5b4fa8", "#a99cf5", DOTTED),
    ("#2b8fc9", "#8ecdf2", MIXED),
    ("#868686", "#b4b4b4", WHOLE),
    ("#7a3b1d", "#d49a78", DASHED),
)
# The spare hues again with other dashes, those first that also differ in their greys.
MORE = tuple(
    (colour, on_dark, dash)
    for colour, on_dark, own in (SPARE[0], SPARE[3], *SPARE[1:3], *HUES.values())
    for dash in (DASHED, DOTTED, MIXED, WHOLE)
    if dash != own
)
STRONGEST = 12.0  # contrast of the last shade of a family to its ground; the first has the least that a line may have


@dataclass(frozen=True)
class Look:
    """colour, on_dark: "#rrggbb" on white and on black; dash: lengths of line and gap, empty for a whole line."""

    colour: str
    on_dark: str
    dash: tuple[float, ...]


def palette(rows: Sequence[Row]) -> dict[str, Look]:
    """The look of every row of a table by name, the same in its figure and on its page."""
    families: dict[tuple[str, ...], list[tuple[tuple[float, float], Row]]] = {}
    for row in rows:
        key, lam = _family(row)
        families.setdefault(key, []).append((lam, row))
    looks, free = {}, [*HUES.values(), *SPARE, *MORE]
    for key, members in families.items():
        wanted, unclaimed = HUES.get(key[0]), [hue for hue in free if hue not in HUES.values()]
        hue = wanted if wanted in free else (unclaimed or MORE)[0]
        free = [other for other in free if other != hue]
        members.sort(key=lambda member: member[0])
        light, dark = _shades(hue[0], PAPER, len(members)), _shades(hue[1], DARK, len(members))
        for (_, row), on_light, on_dark in zip(members, light, dark, strict=True):
            looks[row.name] = Look(on_light, on_dark, hue[2])
    return looks


def _family(row: Row) -> tuple[tuple[str, ...], tuple[float, float]]:
    """A row's family, which is everything that it changes except λ and the training's length; and these two."""
    given = dict(text.split("=", 1) for text in row.overrides)
    name = given.get("skip", "xskip_ln")
    lam = given.pop("skip.lam", None)
    updates = given.pop("training.updates", None)
    rest = {key: value for key, value in given.items() if key not in ("skip", "training.wall_limit")}
    place = _number(lam if lam is not None else _lam(name)), _number(updates)
    return (name, *(f"{key}={value}" for key, value in rest.items())), place


@cache
def _lam(name: str) -> Any:
    """The connection's default λ, or 1 if it has none."""
    path = CONFIGS / "skip" / f"{name}.yaml"
    options: Any = OmegaConf.to_container(OmegaConf.load(path)) if path.is_file() else {}
    return options.get("lam", 1.0)


def _number(lam: Any) -> float:
    try:
        return float(lam)
    except (TypeError, ValueError):
        return 1.0


def _shades(hue: str, ground: str, count: int) -> list[str]:
    """`count` shades of a hue, from the faintest to the strongest; a single one is the hue itself."""
    if count == 1:
        return [hue]
    low, high = (toward(hue, ground, wanted) for wanted in (OF_LINES, STRONGEST))
    return [mixed(hue, low + (high - low) * i / (count - 1)) for i in range(count)]
