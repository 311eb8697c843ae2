"""Read a manifest. Every mistake is one line that lists the choices."""

from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError as PydanticError

from skipln.errors import UserError
from skipln.system.places import EXPERIMENTS
from skipln.system.printing import one_line
from skipln.system.strict_yaml import read_yaml
from skipln.tables.manifest.nodes import Node
from skipln.tables.manifest.table import Manifest

AnyNode = TypeVar("AnyNode", bound=Node)


def names(experiments: Path = EXPERIMENTS) -> list[str]:
    """The names of all tables, by number."""
    return sorted((path.stem for path in experiments.glob("table*.yaml")), key=lambda name: (len(name), name))


def load(name: str, experiments: Path = EXPERIMENTS) -> Manifest:
    """Read and check the manifest of table `name`. Raises UserError, one line that lists the choices."""
    if name not in names(experiments):
        raise UserError(f"no table {name}: choose one of {', '.join(names(experiments)) or 'none'}")
    return read(experiments / f"{name}.yaml", Manifest)


def read(path: Path, kind: type[AnyNode]) -> AnyNode:
    """Read the file at `path` as a `kind` named after the file. Raises UserError, one line that lists the choices."""
    try:
        content = read_yaml(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path.name}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path.name}: its keys are {', '.join(key for key in kind.model_fields if key != 'name')}")
    try:
        return kind.model_validate({**content, "name": path.stem})
    except PydanticError as error:
        raise UserError(f"{path.name}: {one_line(_complaint(error, kind))}") from error


def _complaint(error: PydanticError, kind: type[Node]) -> str:
    """Pydantic's most telling error, with the choices; unknown keys come first, as a typo also makes a key missing."""
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{where} is not a key: the keys are {', '.join(_node_at(kind, first['loc']).model_fields)}"
    if first["type"] == "missing":
        return f"{where} is missing"
    message = first["msg"].removeprefix("Value error, ")
    if not where:
        return message
    return f"{where}={first['input']!r}: {message[0].lower()}{message[1:]}"


def _node_at(kind: type[Node], location: tuple[int | str, ...]) -> type[Node]:
    """The class of the node that holds the key at `location` in a `kind`."""
    for part in location[:-1]:
        if part in kind.model_fields:
            kind = _node_in(kind.model_fields[str(part)].annotation) or kind
    return kind


def _node_in(annotation: Any) -> type[Node] | None:
    """The class of the nodes that an annotation (a list, dict or union) holds."""
    if isinstance(annotation, type) and issubclass(annotation, Node):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _node_in(inner))), None)
