"""docs/gallery.md with one picture per connection in docs/gallery/, and docs/gallery.html, which has everything."""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.gallery.drawing import line
from scripts.gallery.facts import Facts, facts
from scripts.gallery.measuring import PLAIN, SENTENCES, SHAPE, WORDS, Gallery, Measured
from scripts.gallery.others import compared, differences
from scripts.gallery.places import places
from scripts.gallery.typesetting import typeset
from skipln.system.files import atomic_write
from skipln.system.places import ROOT

DOCS = ROOT / "docs"
STYLE = (Path(__file__).parent / "page.css").read_text("utf-8")
HEAD = """`make gallery` makes this page from the registry. It shows each connection's own docstring, its measurements,
and its place in table 7 if that has been made. What is not known is left out."""


@dataclass(frozen=True)
class Entry:
    """A connection. said: pairs of a subject and an HTML sentence. picture: an SVG, or "" if nothing was measured."""

    facts: Facts
    said: list[tuple[str, str]]
    picture: str


def entries(names: Sequence[str], gallery: Gallery | None) -> list[Entry]:
    """An entry for each of `names`, with everything that is known about it."""
    found = []
    for name in names:
        one, measured = facts(name), gallery.connections.get(name) if gallery else None
        plain = gallery.connections.get(PLAIN) if gallery else None
        picture = line(name, measured, plain) if measured and plain else ""
        costs = _cost(measured, plain) if measured and plain else ()
        said = [*_said(one), *_others(name), *costs, *_places(name)]
        found.append(Entry(one, said, picture))
    return found


def _said(one: Facts) -> Iterator[tuple[str, str]]:
    for subject, text in (
        ("Source", one.source),
        ("At the start", one.start),
        ("The same as", one.identities),
        ("Differs", one.deviations),
    ):
        if text:
            yield subject, typeset(_options_as_code(text, one))
    if one.options:
        given = ", ".join(
            f"{key}={'null' if value is None else str(value).lower()}" for key, value in one.options.items()
        )
        yield "Options", f"<code>{html.escape(given)}</code>"
    if one.also:
        yield "Also", ", ".join(f"<code>{name}</code>" for name in one.also) + " in the same file"


def _options_as_code(text: str, one: Facts) -> str:
    """A docstring says "lam: …" of its option lam."""
    names = "|".join(map(re.escape, (*one.options, "norm")))
    return re.sub(
        rf"(?:^|(?<=\. ))(?:(?:{names}), )*(?:{names})(?=: )", lambda m: re.sub(r"\w+", r"`\g<0>`", m[0]), text
    )


def _others(name: str) -> Iterator[tuple[str, str]]:
    for text in compared(name):
        yield "Compared with", typeset(text)
    for text in differences(name):
        yield "Other code", typeset(text)


def _cost(own: Measured, plain: Measured) -> Iterator[tuple[str, str]]:
    added = own.parameters - plain.parameters
    yield "Parameters", f"{plain.parameters:,} {'−' if added < 0 else '+'} {abs(added):,}"
    middle, least, most = own.ratio
    yield "Time", f"{middle:.2f} times <code>{PLAIN}</code>'s ({least:.2f} to {most:.2f})"


def _places(name: str) -> Iterator[tuple[str, str]]:
    for text in places(name):
        yield "Table 7", html.escape(text)


def _notes(gallery: Gallery | None) -> str:
    if gallery is None:
        return "Nothing has been measured yet."
    layers, where = f"{SHAPE.encoder_layers}+{SHAPE.decoder_layers}", html.escape(gallery.cpu)
    return (
        f"Parameters, time and the picture are of an untrained Transformer of {layers} layers, d {SHAPE.dim}, with "
        "options at their defaults. The picture shows ‖∂loss/∂y‖ behind every residual site, as in figure 1, for "
        f"{SENTENCES} sentences of {WORDS} random words, in float64. The time is processor "
        "time for a forward and a backward pass on one thread, relative to that of "
        f"<code>{PLAIN}</code>: median, least and most of {gallery.turns} turns, on {where}, torch "
        f"{html.escape(gallery.torch)}."
    )


def markdown(found: Sequence[Entry], gallery: Gallery | None) -> str:
    """The text of docs/gallery.md."""
    parts = [f"# The gallery of connections\n\n{HEAD}\n\n{_notes(gallery)}\n"]
    for entry in found:
        one = entry.facts
        parts.append(f"## `{one.name}`\n\n{typeset(one.summary)}.\n\n> {typeset(one.formula)}\n")
        parts.append("".join(f"- {subject}: {_escaped(text)}\n" for subject, text in entry.said))
        if entry.picture:
            parts.append(f"![the gradient behind every site of {one.name}](gallery/{one.name}.svg)\n")
    return "\n".join(parts)


def _escaped(text: str) -> str:
    """Escape HTML for a line of Markdown, so that nothing in it is read as markup."""
    return re.sub(r"([*|\\])", r"\\\1", text)


def page(found: Sequence[Entry], gallery: Gallery | None) -> str:
    """The text of docs/gallery.html, which needs no other file and no network."""
    links = " · ".join(f'<a href="#{entry.facts.name}">{entry.facts.name}</a>' for entry in found)
    sections = "\n".join(_section(entry) for entry in found)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>The gallery of connections</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>The gallery of connections</h1>\n<p>{_code(HEAD)}</p>\n<p>{_notes(gallery)}</p>\n<nav>{links}</nav>\n"
        f"{sections}\n</body>\n</html>\n"
    )


def _section(entry: Entry) -> str:
    one = entry.facts
    said = "\n".join(f"<dt>{subject}</dt><dd>{text}</dd>" for subject, text in entry.said)
    return (
        f'<section id="{one.name}">\n<h2>{one.name}</h2>\n<p>{typeset(one.summary)}.</p>\n'
        f'<p class="formula">{typeset(one.formula)}</p>\n{entry.picture}<dl>\n{said}\n</dl>\n</section>'
    )


def _code(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(text, quote=False))


def write(found: Sequence[Entry], gallery: Gallery | None, docs: Path = DOCS) -> None:
    """Write all files again, and remove pictures of connections that no longer exist."""
    texts = {docs / "gallery.md": markdown(found, gallery), docs / "gallery.html": page(found, gallery)}
    texts |= {docs / "gallery" / f"{entry.facts.name}.svg": entry.picture for entry in found if entry.picture}
    for path, text in texts.items():
        with atomic_write(path, "w") as file:
            file.write(text)
    for path in (docs / "gallery").glob("*.svg"):
        if path not in texts:
            path.unlink()
