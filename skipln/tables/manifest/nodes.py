"""The nodes of a manifest: rows and columns, their keys and types."""

import itertools
import re
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt

from skipln.system.printing import one_line
from skipln.tables.manifest.overrides import Override
from skipln.tables.metrics import METRICS

Scale = Literal["test", "demo", "small", "paper"]
SCALES: tuple[str, ...] = get_args(Scale)


def _metric(key: str) -> str:
    if key not in METRICS:
        raise ValueError(f"choose one of {', '.join(METRICS)}")
    return key


def _value(value: float | str) -> float | str:
    if isinstance(value, str) and not re.fullmatch(r"[\w.+-]+", value):
        raise ValueError("each value of a search is a number or a word")
    return value


def _printed(value: float | str) -> float | str:
    if isinstance(value, str) and value not in ("diverged", "fail"):
        raise ValueError("give a number, or diverged or fail if the source printed that")
    return value


Line = Annotated[str, AfterValidator(one_line)]  # shown to readers in several formats
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Values = Annotated[list[Annotated[int | float | str, AfterValidator(_value)]], Field(min_length=2)]
MetricKeys = Annotated[list[Annotated[str, AfterValidator(_metric)]], Field(min_length=1)]


class Node(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Published(Node):
    """A value that was published for this cell (a number, or the word in place of one) and its source."""

    value: Annotated[float | str, AfterValidator(_printed)]
    source: Line


class Row(Node):
    """One system. `only`: the columns that have it (default: all). `seeds`: its number of seeds, if not the table's.

    `evaluates`: the row whose finished runs are tested again with these overrides; nothing is trained. `baseline`: the
    row that it is compared with, in place of the table's; a row that names itself is compared with none.
    """

    name: Name
    label: Line
    overrides: list[Override]
    published: dict[str, Published | None] = {}
    only: list[str] | None = None
    evaluates: str | None = None
    baseline: str | None = None
    seeds: dict[Scale, PositiveInt] = {}


class Column(Node):
    """One task or data set. `needs`: keys whose values only the user knows; they are not part of a run's identity.
    `metrics`: shown in place of the table's. `rows`: those that it has (default: all that are not another column's
    `only`).

    `evaluates`: the column whose finished runs are tested again with these overrides, such as another test set; it has
    the same rows and needs the same keys, and nothing is trained.

    `search`: keys of optim and schedule, each with its values. Every cell then trains one run per combination, and none
    of them reads the test set; the cell evaluates the one with the lowest validation loss.

    `targets`: rows, each of which makes one more column, `against` it. There the rows that evaluate another have the
    target's run as a second input: for instance, the net that is shown the images made against the first one. The
    column itself then has the rows that are trained.
    """

    name: Name
    label: Line
    overrides: list[Override] = []
    needs: list[str] = []
    metrics: MetricKeys | None = None
    rows: list[str] | None = None
    evaluates: str | None = None
    targets: list[str] = []
    against: str | None = None
    search: dict[Annotated[str, Field(pattern=r"^(optim|schedule)\.\w+$")], Values] = {}

    @property
    def settings(self) -> list[dict[str, float | str]]:
        """Every combination of the search; the last key varies fastest."""
        if not self.search:
            return []
        return [dict(zip(self.search, values, strict=True)) for values in itertools.product(*self.search.values())]
