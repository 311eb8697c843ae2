"""What `import skipln` offers, from the docstrings: `python -m scripts.pages.api` writes docs/api.md."""

import inspect
import re
import sys
from importlib import import_module
from typing import Any

from skipln.system.files import atomic_write
from skipln.system.places import ROOT
from skipln.system.printing import exit_status

PAGE = ROOT / "docs" / "api.md"
HEAD = """# API

This is the stable interface, from the docstrings (`make pages` makes this page). Everything else may change. A mistake
raises `skipln.errors.UserError`, or ValueError where stated, with one line that says what to do.
"""
# Module -> its names. METHODS has the names of a class's methods that are shown too.
PUBLIC = {
    "skipln": ["transformer", "resnet", "convert", "load_run", "Run"],
    "skipln.skips": ["create", "names", "options", "takes_norm", "register"],
    "skipln.seam.connection": ["Connection"],
    "skipln.seam.place": ["Place"],
    "skipln.norms": ["create", "names", "options"],
    "skipln.attention": ["create", "names", "options"],
    "skipln.errors": ["UserError"],
}
METHODS = {
    "Run": ["vocabulary", "classes", "translate", "candidates", "predict", "probabilities"],
    "Connection": ["join", "forward", "enter", "leave", "init_branch"],
    "Place": ["first", "last", "begins_layer", "ends_layer"],
}


def page() -> str:
    """The whole page in Markdown."""
    parts = [HEAD]
    for module, names in PUBLIC.items():
        for name in names:
            thing = getattr(import_module(module), name)
            parts.append(f"## {module}.{name}\n\n{_entry(name, thing)}")
            for method in METHODS.get(name, []):
                parts.append(f"### {name}.{method}\n\n{_entry(method, inspect.getattr_static(thing, method))}")
    return "\n".join(parts)


def _entry(name: str, thing: Any) -> str:
    """The signature and the docstring of one name."""
    said = inspect.getdoc(thing)
    if not said:
        raise ValueError(f"{name} is public and has no docstring")
    if isinstance(thing, property) or (isinstance(thing, type) and issubclass(thing, Exception)):
        return f"{said}\n"
    return f"```python\n{_signature(name, thing)}\n```\n\n{said}\n"


def _signature(name: str, thing: Any) -> str:
    text = f"{name}{inspect.signature(thing)}"
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", text).replace("'", '"')  # annotations that are strings
    text = re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Za-z])", "", text)  # names without their modules
    text = re.sub(r"<factory>|<[a-z ]*object[^>]*>", "…", text).replace("self, ", "").replace("(self)", "()")
    if len(text) <= 100:
        return text
    head, inner, tail = re.fullmatch(r"(\w+)\((.*)\)( -> .*)?", text).groups()  # type: ignore[union-attr]
    depth, cut = 0, [""]
    for letter in inner:  # at the commas outside brackets
        depth += (letter in "[({") - (letter in "])}")
        if letter == "," and not depth:
            cut.append("")
        else:
            cut[-1] += letter
    return f"{head}(\n" + "".join(f"    {part.strip()},\n" for part in cut) + f"){tail or ''}"


def main() -> None:
    text = page()
    with atomic_write(PAGE, "w") as file:
        file.write(text)


if __name__ == "__main__":
    sys.exit(exit_status(main))
