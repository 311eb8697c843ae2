"""Formulas of docstrings as HTML, which Markdown accepts too: indices, powers and single letters as in print."""

import html
import re

_CODE = re.compile(r"`([^`]*)`")
_INDEX = re.compile(r"_(?:\{([^}]*)\}|(\w+))")
_POWER = re.compile(r"\^(?:\{([^}]*)\}|\(([^()]*(?:\([^()]*\)[^()]*)*)\)|([\w−-]+))")
# Single letters, and products of them such as αx, λx and BAx. An "a" counts as a letter only before a sign or an index;
# otherwise it is an article. The s of "F's" does not count.
_SMALL = "₀-₉⁰-⁹²³½"  # digits that are already an index or a power
_LETTER = re.compile(
    rf"(?<![^\W{_SMALL}])(?<![&;'])"
    rf"([α-ρτ-ω](?:[xyzF](?![a-z]))?|[A-Z]{{1,2}}x(?!\w)|[b-zB-Z]|a(?= ?[=·⊙,)|\x00\x02₀-₉]|x\b))"
    rf"(?![^\W{_SMALL}]|;|-[a-z])"
)
_INDICES = re.compile(r"(?<=\x00)[a-z]{2}(?=\x01)")  # R_ij


def typeset(text: str) -> str:
    """Escape `text`; show x_{k-1} and 10^(−1/2) as indices and powers, single letters in italics, `code` as code."""
    parts = _CODE.split(text)
    return "".join(f"<code>{html.escape(part)}</code>" if i % 2 else _formula(part) for i, part in enumerate(parts))


def _formula(text: str) -> str:
    text = html.escape(text, quote=False)
    text = _INDEX.sub(lambda m: f"\0{m[1] or m[2]}\1", _POWER.sub(_power, text))
    text = _INDICES.sub(r"<i>\g<0></i>", _LETTER.sub(r"<i>\1</i>", text))
    return text.replace("\0", "<sub>").replace("\1", "</sub>").replace("\2", "<sup>").replace("\3", "</sup>")


def _power(found: re.Match) -> str:
    return f"\2{next(part for part in found.groups() if part is not None)}\3"
