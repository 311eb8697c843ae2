"""Colours by their contrast to what they are drawn on, as WCAG 2 defines it (w3.org/TR/WCAG22, 1.4.3 and 1.4.11).

A colour is "#rrggbb".
"""

PAPER, DARK = "#ffffff", "#17171b"  # the grounds of our pictures and pages
OF_LINES, OF_TEXT = 3.0, 4.5  # the least contrast that WCAG asks for


def contrast(one: str, other: str) -> float:
    """The ratio of relative luminances, from 1 to 21."""
    lower, higher = sorted((_luminance(one), _luminance(other)))
    return (higher + 0.05) / (lower + 0.05)


def legible(colour: str) -> str:
    """`colour` for text on paper, darker where its contrast would not do."""
    return colour if contrast(colour, PAPER) >= OF_TEXT else mixed(colour, toward(colour, PAPER, OF_TEXT))


def mixed(colour: str, part: float) -> str:
    """With black where `part` is above 0, with white where it is below: up to 1 and down to -1, which is that alone."""
    end = 0 if part > 0 else 255
    channels = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(value + (end - value) * abs(part)):02x}" for value in channels)


def toward(colour: str, ground: str, wanted: float) -> float:
    """The part to mix with, so that the contrast to the ground is `wanted`, or as near to it as black or white are."""
    stronger = 1 if _luminance(ground) > 0.5 else -1
    low, high = -1.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        if contrast(mixed(colour, stronger * middle), ground) < wanted:
            low = middle
        else:
            high = middle
    return stronger * high


def _luminance(colour: str) -> float:
    """Relative luminance in sRGB, from 0 to 1."""
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
