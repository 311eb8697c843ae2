"""What a run is, as a hash: all of its configuration but where and how it runs. No torch.

A key that came later has a neutral value, the one with which a run is what it was before there was the key. At that
value it is left out of the hash, whatever its default is today. So a new key renames no run, and a changed default
is another run.
"""

import hashlib
import json
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

# Where and how a run is executed does not change what it is.
NOT_HASHED = ("compute", "paths", "tracker", "launcher")
NEUTRAL = Path(__file__).with_name("neutral.yaml")
OPTIONS = ("skip", "norm", "attention")  # groups whose keys are options of the choice that `name` says


@cache
def neutral() -> dict[str, Any]:
    """The neutral values by dotted key, those of options as in "skip.rskip_ln.share_norm"."""
    return yaml.safe_load(NEUTRAL.read_text(encoding="utf-8")) or {}


def identity(config: Mapping[str, Any], neutral_values: Mapping[str, Any] | None = None) -> str:
    """The twelve hexadecimal digits that name the run of a resolved configuration, given as plain values."""
    content = deepcopy({key: value for key, value in config.items() if key not in NOT_HASHED})
    content.get("data", {}).pop("dir", None)  # data.name is what it is
    content.pop("init_from", None)  # init_weights is what it is
    for key, value in (neutral() if neutral_values is None else neutral_values).items():
        _leave_out(content, key, value)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def _leave_out(content: dict[str, Any], dotted: str, value: Any) -> None:
    """Take the key out of `content` where it has `value`, and with its last key the node that came with it."""
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
    """A run's configuration without what is of this machine."""
    content = {key: value for key, value in config.items() if key not in (*NOT_HASHED, "init_from")}
    if isinstance(data := content.get("data"), dict):
        content["data"] = {key: value for key, value in data.items() if key != "dir"}
    return content
