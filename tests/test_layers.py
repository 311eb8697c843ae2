"""Imports follow the picture of layers in docs/architecture.md."""

import ast
import re
from pathlib import Path

import pytest

from skipln.system.places import PACKAGE, ROOT

PICTURE = re.search(r"```layers\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text("utf-8"), re.DOTALL)
assert PICTURE, "docs/architecture.md has lost its picture"
# From top to bottom. Parts in one line are separated by "·" and do not import each other.
LAYERS = [[name.strip() for name in line.split("·")] for line in PICTURE[1].strip().splitlines()]
HEIGHT = {name: -depth for depth, line in enumerate(LAYERS) for name in line}
FILES = sorted(PACKAGE.rglob("*.py"))


def part(module: str) -> str:
    """skipln.tables.execution.local -> tables"""
    return module.split(".")[1] if "." in module else ""


def imports(path: Path) -> set[str]:
    """Return our own modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {module for module in found if module.split(".")[0] == "skipln"}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def test_every_package_is_in_the_picture():
    assert {part(module_of(path)) for path in FILES} - {""} == set(HEIGHT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downward(path):
    own = part(module_of(path))
    for module in imports(path) if own else ():  # `skipln` itself stands above all
        other = part(module)
        assert other == own or not other or HEIGHT[other] < HEIGHT[own], f"{own} imports {module}"


def test_no_modules_import_each_other_in_a_circle():
    """In skipln and scripts; imports inside functions count too."""
    files = {module_of(path): path for path in FILES}
    files |= {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for path in sorted((ROOT / "scripts").rglob("*.py"))
    }
    graph: dict[str, set[str]] = {}
    for name, path in files.items():
        named = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                each = {f"{node.module}.{alias.name}" for alias in node.names}
                named |= {one if one in files else node.module for one in each}
            elif isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
        graph[name] = {other for other in named if other in files and other != name}
    while leaves := {name for name, others in graph.items() if not others}:
        graph = {name: others - leaves for name, others in graph.items() if name not in leaves}
    assert not graph, f"a circle among {sorted(graph)}"


FOLDERS = {path.parent for part in ("skipln", "scripts", "tests") for path in (ROOT / part).rglob("*.py")}


@pytest.mark.parametrize("folder", sorted(FOLDERS), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_folder_is_crowded(folder):
    """More than a dozen files need a grouping. Methods have one file each, however many there are."""
    if folder.parent == PACKAGE and folder.name in ("skips", "norms", "attention"):
        return
    assert len([path for path in folder.glob("*.py") if not path.name.startswith("__")]) <= 14
