"""Read what a connection says about itself: the docstrings of its class and its file, divided into their parts.

The first line of the file names it and, in brackets, its source with the year. The first paragraph of the class is the
formula; sentences of it about the start are shown with it. Sentences after "Identity:" and "Deviation:" (or their
plurals) are identities and deviations; a sentence with "start" says how the parameters begin. Missing parts are left
out.
"""

import inspect
import re
import sys
from dataclasses import dataclass
from typing import Any

from skipln import skips
from skipln.seam.place import Place

_ARXIV = re.compile(r"arXiv (\d\d)\d\d\.\d{5}")
_LABEL = re.compile(r"\b(Identity|Identities|Deviation|Deviations): ")
_END = re.compile(r"(?<=\.)\s+(?=[A-Z(`]|\w+(?:, \w+)*: |\S+ = )")  # between sentences, or before an option
_SAME = re.compile(r"= ?[\d.]+ (?:is|are) .*(?:post-LN|pre-LN|skip connection)")  # an identity without the label


@dataclass(frozen=True)
class Facts:
    """The facts of one name. source: with the year, or "" if the file's first line has none. also: its class's other
    names."""

    name: str
    summary: str
    source: str
    formula: str
    start: str
    identities: str
    deviations: str
    options: dict[str, Any]
    also: list[str]


def facts(name: str) -> Facts:
    """The facts of the connection `name`. Raises ValueError for an unknown name."""
    kind = skips.registry.find(name).kind
    head = (inspect.getdoc(sys.modules[kind.__module__]) or "").split("\n\n")[0].replace("\n", " ")
    first, *rest = (inspect.getdoc(kind) or "").split("\n\n")
    formula, body = " ".join(first.split()), " ".join(" ".join(rest).split())
    parts = divided(f"{formula}\n{body}")
    source = re.findall(r"\(([^()]*\d{4}[^()]*)\)", head)
    sentences = _END.split(parts["plain"])
    same = [text for text in sentences if _SAME.search(text)]
    shown = [text for text in _END.split(divided(formula)["plain"]) if text not in same]
    start = [text for text in sentences if re.search(r"\bstarts?\b", text) and text not in (*same, *shown)]
    return Facts(
        name=name,
        summary=re.sub(r"\s*\([^()]*\d{4}[^()]*\)", "", head).rstrip("."),
        source=dated("; ".join(source) or "; ".join(re.findall(r"\(([^()]*\d{4}[^()]*)\)", formula))),
        formula=" ".join(shown),
        start=" ".join(start)
        or ("" if re.search(r"\bstarts?\b", formula + parts["identities"]) else plain_start(name)),
        identities=" ".join(filter(None, [parts["identities"], *same])),
        deviations=parts["deviations"],
        options=skips.options(name),
        also=[other for other in skips.names() if other != name and skips.registry.find(other).kind is kind],
    )


def plain_start(name: str) -> str:
    """How a connection begins that says nothing of it: with norms, or nothing that is learned."""
    learned = skips.create(name, 4, place=Place()).named_parameters()
    begins = [bool((value == (0 if key.endswith("bias") else 1)).all()) for key, value in learned]
    return "gains 1 and biases 0." if any(begins) and all(begins) else "" if begins else "no parameters of its own."


def dated(source: str) -> str:
    """A preprint's number begins with its year."""
    return _ARXIV.sub(r"\g<0> (20\1)", source)


def divided(text: str) -> dict[str, str]:
    """Divide a text into its labelled parts and the rest. A label holds until the next one, or until a sentence that
    begins with an option's name and a colon, or until the end of the paragraph."""
    found: dict[str, list[str]] = {"plain": [], "identities": [], "deviations": []}
    for paragraph in text.split("\n"):
        pieces = _LABEL.split(paragraph)
        found["plain"].append(pieces[0].strip())
        for label, piece in zip(pieces[1::2], pieces[2::2], strict=True):
            said, *after = re.split(r"(?<=\.) (?=\w+(?:, \w+)*: )", piece, maxsplit=1)
            found["identities" if label.startswith("Ident") else "deviations"].append(said.strip())
            found["plain"] += after
    return {key: " ".join(filter(None, parts)) for key, parts in found.items()}
