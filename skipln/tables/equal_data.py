"""Data that are the same under different fingerprints, as experiments/equal_data.yaml lists them."""

from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from skipln.system.places import EXPERIMENTS
from skipln.tables.manifest import read
from skipln.tables.manifest.nodes import Node

Fingerprint = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Group(Node):
    """fingerprints: of the same data. why: how that is known, in a few words."""

    fingerprints: Annotated[list[Fingerprint], Field(min_length=2)]
    why: str


class EqualData(Node):
    name: str
    groups: list[Group]


def same(fingerprint: str, experiments: Path = EXPERIMENTS) -> str:
    """One fingerprint for all that stand for the same data; `fingerprint` itself if no other is known to.

    Raises UserError for a damaged list.
    """
    return _first(experiments).get(fingerprint, fingerprint)


@cache
def _first(experiments: Path) -> dict[str, str]:
    path = experiments / "equal_data.yaml"
    groups = read(path, EqualData).groups if path.exists() else []
    return {one: group.fingerprints[0] for group in groups for one in group.fingerprints}
