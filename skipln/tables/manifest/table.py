"""A table: its rows and columns, and what follows from them at each scale."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from skipln.errors import UserError
from skipln.tables.manifest.agreement import check_together
from skipln.tables.manifest.nodes import SCALES, Column, Line, MetricKeys, Name, Node, Row, Scale
from skipln.tables.metrics import METRICS, Metric


class Manifest(Node):
    """One table: rows × the columns of a scale × seeds."""

    name: Name
    title: Line
    metrics: MetricKeys
    baseline: str
    seeds: dict[Scale, PositiveInt]
    costs: Literal["per_second", "per_update"] = "per_second"  # per_update: time and memory of an update
    threads: dict[Scale, PositiveInt] = Field(default_factory=dict)  # CPU threads per run; as many at once as fit
    columns: dict[Scale, list[Column]]
    rows: Annotated[list[Row], Field(min_length=1)]
    notes: list[Line] = Field(default_factory=list)  # on the page of every scale
    scale_notes: dict[Scale, list[Line]] = Field(default_factory=dict)  # on the page of that scale alone, before those

    def notes_at(self, scale: str) -> list[str]:
        """The notes on the page of `scale`."""
        return [*self.scale_notes.get(scale, []), *self.notes]  # type: ignore[call-overload]

    def overrides_of(self, row: Row) -> list[str]:
        """A row's overrides, after those of the row that it evaluates."""
        evaluated = [other for other in self.rows if other.name == row.evaluates]
        return [text for one in (*evaluated, row) for text in one.overrides]

    def baseline_of(self, row: Row) -> str:
        """The name of the row that `row` is compared with."""
        return row.baseline or self.baseline

    def seeds_of(self, scale: str, row: Row) -> range:
        """The default seeds of a row at `scale`."""
        own, table = row.seeds.get(scale), self.seeds.get(scale, 1)  # type: ignore[call-overload]
        return range(1, (own or table) + 1)

    def every_seed(self, scale: str) -> range:
        """The seeds of the row that has the most."""
        return max((self.seeds_of(scale, row) for row in self.rows), key=len)

    def rows_of(self, scale: str, column: Column) -> list[Row]:
        """The rows of `column` at `scale`."""
        pairs = any(other.against for other in self.columns_at(scale))
        return [
            row
            for row in self.rows
            if (row.only is None or (column.evaluates or column.name) in row.only)
            and (column.rows is None or row.name in column.rows)
            and not (pairs and (row.evaluates is None) == (column.against is not None))
        ]

    def metrics_of(self, column: Column) -> list[Metric]:
        """The metrics shown for `column`; the first is compared with the baseline."""
        return [METRICS[key] for key in column.metrics or self.metrics]

    def columns_at(self, scale: str) -> list[Column]:
        """The columns at `scale`, each followed by those against its targets; empty if the table has none.

        Raises UserError for an unknown scale.
        """
        if scale not in SCALES:
            raise UserError(f"scale={scale}: choose one of {', '.join(SCALES)}")
        own: list[Column] = self.columns.get(scale, [])  # type: ignore[call-overload]
        whole = [column if column.evaluates is None else _again(column, own) for column in own]
        return [made for column in whole for made in (column, *(self._against(column, row) for row in column.targets))]

    def _against(self, column: Column, target: str) -> Column:
        label = next(row.label for row in self.rows if row.name == target)
        changes = {"name": f"{column.name}_to_{target}", "label": f"{column.label} → {label}", "metrics": None}
        return column.model_copy(update={**changes, "targets": [], "against": target})

    def asked(self, scale: str, column: Column) -> list[str]:
        """What the user must give for `column`, as ARGS has it: COLUMN.KEY where other columns need the same key.

        For a column that evaluates another it is what the other needs, which holds for both.
        """
        owner = column.evaluates or column.name
        others = {key for other in self.columns_at(scale) if not _related(other, column) for key in other.needs}
        return [f"{owner}.{key}=…" if key in others else f"{key}=…" for key in column.needs]

    @model_validator(mode="after")
    def _fit(self) -> "Manifest":
        check_together(self.baseline, self.rows, self.columns)
        return self


def _again(column: Column, columns: list[Column]) -> Column:
    """A column that evaluates another, with what it takes from it."""
    other = next(one for one in columns if one.name == column.evaluates)
    taken = {"needs": other.needs, "rows": other.rows, "metrics": column.metrics or other.metrics}
    return column.model_copy(update={**taken, "overrides": [*other.overrides, *column.overrides]})


def _related(one: Column, other: Column) -> bool:
    """Whether both are about the same trained runs, so that what the user gives for one holds for the other."""
    return (one.evaluates or one.name) == (other.evaluates or other.name)
