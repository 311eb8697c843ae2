"""Draw a connection's line as in figure 1: the gradient behind every site, from the first to the last, in decades."""

import math

from scripts.gallery.measuring import PLAIN, Measured

WIDTH, HEIGHT, MARGIN, TOP, BOTTOM = 360, 134, 30, 24, 18  # of a phone; a letter there is 10 pixels high
OURS, THEIRS = "#1f5fbf", "#6b6b6b"
LEAST = 4.0  # a picture shows at least so many decades, so that a level line looks level


def line(name: str, own: Measured, plain: Measured) -> str:
    """The SVG of ‖∂loss/∂y‖ behind the sites of the encoder, then of the decoder: `own` in blue, called `name`, over
    `plain` in grey and dashed.
    """
    ours, theirs = _decades(own), _decades(plain)
    numbers = [value for value in (*ours, *theirs) if value is not None]
    low, high = math.floor(min(numbers)), math.ceil(max(numbers))
    if high - low < LEAST:
        low, high = low - math.ceil((LEAST - high + low) / 2), high + math.floor((LEAST - high + low) / 2)
    first = len(next(iter(own.stream.values())))

    def x(place: float) -> float:
        return MARGIN + (WIDTH - MARGIN - 8) * place / (len(ours) - 1)

    def y(decade: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - decade) / (high - low)

    divider = x(first - 0.5)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'role="img" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *(
            f'<line x1="{MARGIN}" y1="{y(d):.1f}" x2="{WIDTH - 8}" y2="{y(d):.1f}" stroke="#ddd"/>'
            f'<text x="2" y="{y(d) + 4:.1f}">10<tspan dy="-4" font-size="9">{d:g}</tspan></text>'
            for d in dict.fromkeys((low, round((low + high) / 2), high))
        ),
        f'<line x1="{divider:.1f}" y1="{TOP}" x2="{divider:.1f}" y2="{HEIGHT - BOTTOM}" stroke="#bbb"/>',
        '<text x="2" y="12">‖∂loss/∂y‖, nats</text>',
        f'<text x="{MARGIN + 4}" y="{HEIGHT - 4}">encoder, {first} sites</text>',
        f'<text x="{divider + 4:.1f}" y="{HEIGHT - 4}">decoder, {len(ours) - first} sites</text>',
        f'<text x="{WIDTH - 8}" y="12" text-anchor="end"><tspan fill="{OURS}">{name}</tspan>'
        f'<tspan fill="{THEIRS}">{"" if name == PLAIN else f", dashed {PLAIN}"}</tspan></text>',
        *(_path(theirs, x, y, THEIRS, ' stroke-dasharray="4 2"')),
        *(_path(ours, x, y, OURS)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _decades(one: Measured) -> list[float | None]:
    """log10 of the gradients; None for one that is zero or not a number."""
    return [math.log10(value) if value else None for stack in one.stream.values() for value in stack]


def _path(decades: list[float | None], x, y, colour: str, dash: str = "") -> list[str]:  # type: ignore[no-untyped-def]
    """Polylines, broken where a number is missing."""
    runs: list[list[str]] = [[]]
    for place, decade in enumerate(decades):
        if decade is None:
            runs.append([])
        else:
            runs[-1].append(f"{x(place):.1f},{y(decade):.1f}")
    drawn = f'fill="none" stroke="{colour}" stroke-width="1.6"{dash}'
    return [f'<polyline {drawn} points="{" ".join(run)}"/>' for run in runs if run]
