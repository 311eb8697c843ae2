"""A run's identity, a hash of its whole configuration except where and how it runs. It needs no torch.

A key that was added later has a neutral value, at which runs are what they were before the key. The hash leaves the key
out at that value, whatever its default is today. So a new key renames no run, and a changed default gives another run.
"""

import hashlib
import json
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

# These say where and how a run is executed, which does not change what it is.
NOT_HASHED = ("compute", "paths", "tracker", "launcher")
NEUTRAL = Path(__file__).with_name("neutral.yaml")
OPTIONS = ("skip", "norm", "attention")  # groups whose keys are options of the choice in their `name`


@cache
def neutral() -> dict[str, Any]:
    """Return the neutral values by dotted key; an option's key is like "skip.rskip_ln.share_norm"."""
    return yaml.safe_load(NEUTRAL.read_text(encoding="utf-8")) or {}


def identity(config: Mapping[str, Any], neutral_values: Mapping[str, Any] | None = None) -> str:
    """Return the twelve hexadecimal digits that name the run of a resolved configuration, given as plain values."""
    content = deepcopy({key: value for key, value in config.items() if key not in NOT_HASHED})
    content.get("data", {}).pop("dir", None)  # data.name identifies the data
    content.pop("init_from", None)  # init_weights identifies the weights
    for key, value in (neutral() if neutral_values is None else neutral_values).items():
        _leave_out(content, key, value)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def _leave_out(content: dict[str, Any], dotted: str, value: Any) -> None:
    """Remove the key from `content` if it has `value`, and its node if no key is left there."""
    group, *rest = dotted.split(".")
    if not rest:
        if group in content and content[group] == value:
            del content[group]
        return
    node = content.get(group)
    if not isinstance(node, dict):
        return
    if group in OPTIONS:
        name, *rest = rest
        if node.get("name") != name:
            return
    _leave_out(node, ".".join(rest), value)
    if not node:
        del content[group]


def public(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's configuration without what belongs to this machine."""
    content = {key: value for key, value in config.items() if key not in (*NOT_HASHED, "init_from")}
    if isinstance(data := content.get("data"), dict):
        content["data"] = {key: value for key, value in data.items() if key != "dir"}
    return content
