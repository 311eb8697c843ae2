"""A connection and its λ in a figure: names and looks as in the tables, and which settings make the same net."""

from collections.abc import Iterable, Sequence

from skipln.tables.manifest import Row
from skipln.tables.presentation.palette import Look, palette

Setting = tuple[str, float | None]  # the connection's name and its λ, or None if it has none
ORDER = ("skip", "xskip", "xskip_ln", "rskip_ln", "xskip_bn", "rskip_bn")  # as in the tables; others follow by name
WORDS = {"xskip": "xSkip", "rskip": "rSkip", "ln": "LN", "bn": "BN"}


def label(form: str, lam: float | None) -> str:
    """The name as the tables write it, such as "rSkip+LN λ=2"."""
    name = "+".join(WORDS.get(word, word) for word in form.split("_")) if form in ORDER else form
    return name if lam is None else f"{name} λ={lam:g}"


def looks(settings: Iterable[Setting]) -> dict[Setting, Look]:
    """The colour and dash of each setting: the connection sets the colour, λ the shade."""
    names = {f"s{i}": setting for i, setting in enumerate(ordered(settings))}
    rows = [
        Row(
            name=name,
            label=label(form, lam),
            overrides=[f"skip={form}", *([] if lam is None else [f"skip.lam={lam:g}"])],
        )
        for name, (form, lam) in names.items()
    ]
    return {names[name]: look for name, look in palette(rows).items()}


def ordered(settings: Iterable[Setting]) -> list[Setting]:
    """Each setting once, in the order of the tables, then by λ."""
    return sorted(set(settings), key=lambda setting: (_place(setting[0]), setting[1] or 0.0))


def distinct(settings: Iterable[Setting]) -> list[Setting]:
    """The settings as `ordered` has them, without those that make the same net as another one among them.

    x + F is xSkip with λ = 1, and one step of rSkip under a norm is xSkip with λ = 1 under the same norm.
    """
    found = ordered(settings)
    return [setting for setting in found if (same := _same(setting)) == setting or same not in found]


def families(settings: Sequence[Setting]) -> dict[str, list[Setting]]:
    """The settings that share a panel: one connection with every λ; the plain skip joins xSkip."""
    forms = {form for form, _ in settings}
    found: dict[str, list[Setting]] = {}
    for form, lam in settings:
        found.setdefault("xskip" if form == "skip" and "xskip" in forms else form, []).append((form, lam))
    return found


def _same(setting: Setting) -> Setting:
    form, lam = setting
    if setting == ("xskip", 1):
        return "skip", None
    return (form.replace("rskip", "xskip"), lam) if form in ("rskip_ln", "rskip_bn") and lam == 1 else setting


def _place(form: str) -> tuple[int, str]:
    return ORDER.index(form) if form in ORDER else len(ORDER), form
