"""The types and ranges of options, once for the configuration (before torch is loaded) and for `create`.

An option has the type of its default: λ is an integer in `rskip_ln` and a real number in `xskip_ln`. A default of None
means a number that the connection derives from its place unless it is given.
"""

from collections.abc import Callable, Mapping
from typing import Any

from skipln.seam.renamed import OPTIONS

# Ranges by option name, the same for every connection, norm and attention that has the option.
RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "lam": ("greater than 0", lambda value: value > 0),
    "eps": ("greater than 0", lambda value: value > 0),
    "momentum": ("between 0 and 1", lambda value: 0 < value <= 1),
    "k": ("0 or more", lambda value: value >= 0),
    "c": ("greater than 0", lambda value: value > 0),
    "base": ("greater than 0", lambda value: value > 0),
    "fan_in": ("0 or more", lambda value: value >= 0),
    "features": ("0 or more", lambda value: value >= 0),
    "redraw": ("0 or more", lambda value: value >= 0),
    "axes": ("'all' or 'channel'", lambda value: value in ("all", "channel")),
}
REPETITIONS = 1_000  # the largest integer λ: more repetitions of a layer's input would run for hours and train nothing
LARGEST = 2.0**63  # absolute values stay below it, so integers fit 64 bits and nothing is infinite
TYPES = {bool: "true or false", int: "an integer", float: "a number", str: "a word"}


def check_options(name: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return `defaults` updated by `given`, after checking that each value has its default's type and is in range.

    Raises ValueError, in one line that lists the choices, for an unknown option, a wrong type or a value out of range.
    """
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        if advice := OPTIONS.get((name, unknown[0])):
            raise ValueError(f"{name} has no option '{unknown[0]}': {advice}")
        takes = f"its options are {', '.join(sorted(defaults))}" if defaults else "it takes no options"
        raise ValueError(f"{name} has no option '{unknown[0]}': {takes}")
    return {
        key: _check(name, key, given[key], default) if key in given else default for key, default in defaults.items()
    }


def _check(name: str, key: str, value: Any, default: Any) -> Any:
    if default is None:
        return None if value is None else _check(name, key, value, 0.0)
    wanted = type(default)
    if key == "lam" and type(value) is wanted is int and value > REPETITIONS:
        raise ValueError(f"{name}: lam is at most {REPETITIONS}, not {value}")
    range_, in_range = RANGES.get(key, ("", lambda _: True))
    if wanted is float and type(value) is int and abs(value) < LARGEST:
        value = float(value)
    if type(value) is not wanted or not (wanted is str or abs(value) < LARGEST) or not in_range(value):
        raise ValueError(f"{name}: {key} is {TYPES[wanted]}{' ' + range_ if range_ else ''}, not {value!r}")
    return value
