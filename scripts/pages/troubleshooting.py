"""Every error line and what to do: `python -m scripts.pages.troubleshooting` writes docs/troubleshooting.md.

The lines are from the sources: the message of every UserError that skipln/ and scripts/ raise. What a run fills in is
shown in capitals or as "…". The advice for each kind of line is in troubleshooting.yaml, beside this file.
"""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml

from skipln.system.files import atomic_write
from skipln.system.places import ROOT
from skipln.system.printing import exit_status

PAGE = ROOT / "docs" / "troubleshooting.md"
HEAD = """# Troubleshooting

A mistake that you can correct gives one line on stderr, `error: …`, and exit status 2; Ctrl-C gives 130. Whatever ended
a command, the same command continues where it stopped. A traceback is our fault: please report it. Below is every error
line in the sources, by its origin (`make pages` makes this page). Words in capitals and "…" stand for what a run fills
in. If `make table2` says that a run failed, the line is the run's own, and `runs/HASH/log.txt` has its whole output.

**Not errors.** *The start is slow*: the first run fetches and encodes its text and compiles kernels; both are kept, in
`data/` and in the cache folder. *A run is `diverged`*: that is a result. *`note: …` and `warning: …`*: the command
continues. *tokens/s differ from the page's*: it was another machine, or others used it. *A GPU is not used*:
`python -c "import torch; print(torch.cuda.is_available())"` says whether torch sees it.
"""


@cache
def kinds() -> list[tuple[str, list[str], str]]:
    """(title, the sources' paths, what to do) for every kind of line."""
    found = yaml.safe_load((ROOT / "scripts" / "pages" / "troubleshooting.yaml").read_text("utf-8"))
    return [(kind["title"], kind["paths"], kind["do"]) for kind in found]


def lines() -> dict[str, list[str]]:
    """The messages by source file, in its order; messages without words of their own are left out."""
    found: dict[str, list[str]] = {}
    for root in ("skipln", "scripts"):
        for path in sorted((ROOT / root).rglob("*.py")):
            own = [text for text in messages(ast.parse(path.read_text("utf-8"))) if _words(text)]
            if own:
                found[str(path.relative_to(ROOT))] = list(dict.fromkeys(own))
    return found


def messages(tree: ast.AST) -> Iterator[str]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    for call in sorted(calls, key=lambda node: node.lineno):
        if isinstance(call.func, ast.Name) and call.func.id in ("UserError", "DiskError"):
            yield _text(call.args[0])


def kind_of(path: str) -> str:
    """The title of the kind to which a source file's lines belong. Raises LookupError if there is none."""
    fitting = [(len(start), title) for title, starts, _ in kinds() for start in starts if path.startswith(start)]
    if not fitting:
        raise LookupError(
            f"{path} raises UserError: say in scripts/pages/troubleshooting.yaml what to do about its lines"
        )
    return max(fitting)[1]


def page() -> str:
    """The whole page in Markdown."""
    of: dict[str, list[str]] = {title: [] for title, _, _ in kinds()}
    for path, said in lines().items():
        of[kind_of(path)] += said
    parts = [HEAD]
    for title, _, advice in kinds():
        parts.append(f"## {title}\n\n{advice}\n")
        parts.append("".join(f"- {_code(text)}\n" for text in dict.fromkeys(of[title])))
    return "\n".join(parts)


def _code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _text(node: ast.expr) -> str:
    """A string's text; what is filled in becomes a word in capitals if it has a name, else "…"."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    if isinstance(node, ast.FormattedValue):
        value = node.value
        name = value.attr if isinstance(value, ast.Attribute) else value.id if isinstance(value, ast.Name) else ""
        return name.strip("_").upper() if len(name) > 2 else "…"
    return "…"


def _words(text: str) -> bool:
    """Whether a message has words of its own."""
    return any(word.islower() for word in text.replace("…", " ").split())


def main() -> None:
    with atomic_write(Path(PAGE), "w") as file:
        file.write(page())


if __name__ == "__main__":
    sys.exit(exit_status(main))
