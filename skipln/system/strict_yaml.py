"""Read YAML from untrusted files: plain values only; nothing is executed, resolved or multiplied."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from skipln.system.printing import one_line
from skipln.system.strict_json import DEPTH, check


def read_yaml(path: Path) -> Any:
    """The content of the file `path`, which a person wrote: 1e-3 is a number, and `${…}` stays text.

    Raises OSError if the file cannot be read. Raises ValueError, one line, for a file that is not YAML in UTF-8, for
    aliases (a few lines of them can stand for gigabytes, or for themselves), tags, and what `strict_json` refuses.
    """
    return _read(path, lambda text: OmegaConf.to_container(OmegaConf.create(text), resolve=False))


def read_dumped(path: Path) -> Any:
    """The content of the file `path`, which `yaml.safe_dump` wrote: 1e-3 is a word. Raises as `read_yaml` does."""
    return _read(path, yaml.safe_load)


def _read(path: Path, parse: Callable[[str], Any]) -> Any:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("not UTF-8") from error
    try:
        _check_events(text)
        content = parse(text)
    except Exception as error:  # any error of the parsers
        raise ValueError(one_line(str(error))) from error
    check(content)
    return content


def _check_events(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ValueError(f"line {_line(event)}: an alias; write out what it stands for")
        if getattr(event, "tag", None):
            raise ValueError(f"line {_line(event)}: a tag; write plain values")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            raise ValueError(f"line {_line(event)}: too deep")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
