"""The text of `--help` and docs/configuration.md: a key's meaning from the schema, its default from configs/.

A key's meaning is the string below it in the schema. The meaning of an option of `skip`, `norm` or `attention` is the
comment in its YAML.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from omegaconf import OmegaConf

from skipln.configuration.composition import compose
from skipln.configuration.schema import Node, RunConfig
from skipln.system.places import CONFIGS

USAGE = """\
python -m skipln.train GROUP=CHOICE … KEY=VALUE …     train one run, or continue it
python -m skipln.train --multirun KEY=A,B …            a sweep
python -m skipln.train --cfg job …                     print the configuration, train nothing"""
_OPTION = re.compile(r"^(\w+):\s*([^#]*?)\s*(?:#\s*(.*))?$")


@dataclass(frozen=True)
class Key:
    """One line of help. default: as YAML writes it; values: those it accepts, in words."""

    name: str
    default: str
    values: str
    meaning: str


@dataclass(frozen=True)
class Section:
    """Keys that belong together. choices: the choices of the group that have them; empty if every run has them."""

    title: str
    choices: tuple[str, ...]
    keys: tuple[Key, ...]


def text() -> str:
    """The help for a terminal."""
    lines = [USAGE, "", "Groups and their choices (GROUP=CHOICE)", ""]
    lines += [f"  {group}: {', '.join(choices)}" for group, choices in groups().items()]
    for section in sections():
        lines += ["", _heading(section), ""]
        width = max(len(f"{key.name}={key.default}") for key in section.keys)
        for key in section.keys:
            lines.append(f"  {f'{key.name}={key.default}'.ljust(width)}  {key.meaning} [{key.values}]")
    return "\n".join(lines) + "\n"


def page() -> str:
    """The help in Markdown."""
    parts = ["# Configuration", "These are all keys of a run. `python -m skipln.train --help` prints the same."]
    parts[1] += " `make pages` makes this page from `skipln/configuration/schema/` and `configs/`."
    parts.append("\n".join(f"- `{group}`: {', '.join(choices)}" for group, choices in groups().items()))
    for section in sections():
        parts.append(f"## {_heading(section)}")
        rows = ["| key | default | values | meaning |", "| --- | --- | --- | --- |"]
        rows += [
            f"| `{key.name}` | `{key.default}` | {key.values.replace('|', chr(92) + '|')} | {key.meaning} |"
            for key in section.keys
        ]
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


def groups() -> dict[str, list[str]]:
    """The choices of every group."""
    found = {}
    for folder in sorted(path for path in CONFIGS.iterdir() if path.is_dir() and path.name != "hydra"):
        found[folder.name] = sorted(path.stem for path in folder.glob("*.yaml"))
    return found


def sections() -> Iterator[Section]:
    """A section for each node of the schema and each choice of `skip`, `norm` and `attention`, in schema order."""
    default = compose([])
    plain = [name for name, field in RunConfig.model_fields.items() if name in _said() and not _nodes(field.annotation)]
    yield Section("A run", (), tuple(_key(RunConfig, name, name, getattr(default, name)) for name in plain))
    for group, field in RunConfig.model_fields.items():
        for node in _nodes(field.annotation):
            keys = [name for name in node.model_fields if name != "kind" and _meaning(node, name)]
            choices, values = _choices(group, node, default)
            if keys:
                found = tuple(_key(node, f"{group}.{name}", name, values.get(name, "…")) for name in keys)
                yield Section(
                    {"max_tokens": f"{group} of text", "batch": f"{group} of images"}.get(keys[-1], group),
                    choices,
                    found,
                )
        if group in ("skip", "norm", "attention"):
            for path in sorted((CONFIGS / group).glob("*.yaml")):
                if options := tuple(_options(group, path.read_text("utf-8"))):
                    yield Section(group, (path.stem,), options)


def _heading(section: Section) -> str:
    return f"{section.title}={'|'.join(section.choices)}" if section.choices else section.title


@cache
def _said() -> dict[str, str]:
    """The meanings of the run's own keys; its other keys are nodes."""
    return {name: said for name in RunConfig.model_fields if (said := _meaning(RunConfig, name))}


def _meaning(node: type[Node], name: str) -> str:
    """The string below the field in the schema; "" if there is none."""
    return node.model_fields[name].description or ""


def _nodes(annotation: Any) -> list[type[Node]]:
    """The node classes that an annotation allows."""
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, Node) else []
    if get_origin(annotation) is Annotated:
        return _nodes(get_args(annotation)[0])
    return [node for inner in get_args(annotation) for node in _nodes(inner)]


def _choices(group: str, node: type[Node], default: RunConfig) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The choices of `group` that are a `node`, and the default configuration's values, or the first choice's."""
    mark = "kind" if "kind" in node.model_fields else "name"
    names = set(get_args(node.model_fields[mark].annotation)) if mark in node.model_fields else set()
    contents = {path.stem: _content(group, path.stem) for path in sorted((CONFIGS / group).glob("*.yaml"))}
    mine = {choice: content for choice, content in contents.items() if content.get(mark) in names}
    current = getattr(default, group)
    if isinstance(current, node):
        return tuple(mine), current.model_dump()
    if mine:
        return tuple(mine), mine[next((choice for choice in mine if choice in names), next(iter(mine)))]
    other = compose(["task=classification"])  # the kind of training that translation does not have
    return (), getattr(other, group).model_dump()


def _content(group: str, choice: str) -> dict[str, Any]:
    """The content of a choice's file over the choices it builds on, with `${…}` unresolved."""
    own: Any = OmegaConf.to_container(OmegaConf.load(CONFIGS / group / f"{choice}.yaml"))
    below = [name for name in own.pop("defaults", []) if isinstance(name, str) and name != "_self_"]
    return {key: value for name in below for key, value in _content(group, name).items()} | own


def _key(node: type[Node], dotted: str, name: str, default: Any) -> Key:
    said = node.model_json_schema()["properties"][name]
    return Key(dotted, _written(default), _values(said), _meaning(node, name).removesuffix("."))


def _options(group: str, content: str) -> Iterator[Key]:
    for line in content.splitlines():
        if (found := _OPTION.match(line)) and found[1] != "name":
            value = OmegaConf.to_container(OmegaConf.create(line))[found[1]]  # type: ignore[index]
            kind = {bool: "true | false", int: "integer", float: "number", str: "word"}.get(type(value), "number")
            yield Key(f"{group}.{found[1]}", found[2], kind, found[3] or found[1].replace("_", " "))


def _written(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _values(said: dict[str, Any]) -> str:
    """What a field's JSON schema allows, in words."""
    if "anyOf" in said:
        return " | ".join(dict.fromkeys(_values(choice) for choice in said["anyOf"]))
    if "enum" in said or "const" in said:
        return " | ".join(map(str, said.get("enum", [said.get("const")])))
    kind = said.get("type", "any")
    if kind == "array":
        return f"list of {_values(said.get('items', {}))}"
    bounds = {"exclusiveMinimum": "> {}", "minimum": "≥ {}", "exclusiveMaximum": "< {}", "maximum": "≤ {}"}
    limits = [text.format(said[key]) for key, text in bounds.items() if key in said and said[key] < 2**53]
    words = {"boolean": "true | false", "string": "text", "object": "keys and values", "null": "null"}
    return " ".join([words.get(kind, kind), *limits])


if __name__ == "__main__":
    print(page(), end="")
