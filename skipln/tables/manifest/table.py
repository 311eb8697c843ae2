"""A table: its rows and columns, and what follows from them at each scale."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from skipln.errors import UserError
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
    notes: list[Line] = Field(default_factory=list)

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
        """What the user must give for `column`, as ARGS has it: COLUMN.KEY where other columns need the same key."""
        others = {key for other in self.columns_at(scale) if not _related(other, column) for key in other.needs}
        return [f"{column.name}.{key}=…" if key in others else f"{key}=…" for key in column.needs]

    @model_validator(mode="after")
    def _fit(self) -> "Manifest":
        rows = [row.name for row in self.rows]
        _unique("rows", rows)
        for scale, columns in self.columns.items():
            _unique(f"columns.{scale}", [column.name for column in columns])
        for column in (column for columns in self.columns.values() for column in columns):
            if unknown := [name for name in column.rows or [] if name not in rows]:
                raise ValueError(f"{column.name}.rows: no row {unknown[0]}; choose from {', '.join(rows)}")
        if self.baseline not in rows:
            raise ValueError(f"baseline={self.baseline}: choose one of {', '.join(rows)}")
        for row in self.rows:
            if row.baseline is not None and row.baseline not in rows:
                raise ValueError(f"{row.name}.baseline={row.baseline}: choose one of {', '.join(rows)}")
        known = {column.name for columns in self.columns.values() for column in columns}
        trained = [row.name for row in self.rows if row.evaluates is None]
        for column in (column for columns in self.columns.values() for column in columns):
            if unknown := [name for name in column.targets if name not in trained]:
                raise ValueError(f"{column.name}.targets={unknown[0]}: choose one of {', '.join(trained)}")
            if column.against is not None:
                raise ValueError(f"{column.name}.against: list the rows as targets of the column that trains them")
        for columns in self.columns.values():
            plain = [one.name for one in columns if not (one.evaluates or one.search or one.targets)]
            for column in (one for one in columns if one.evaluates is not None):
                if column.evaluates not in plain:
                    raise ValueError(f"{column.name}.evaluates={column.evaluates}: choose one of {', '.join(plain)}")
                if column.needs or column.rows or column.search or column.targets or trained != rows:
                    raise ValueError(
                        f"{column.name}.evaluates: such a column has the rows of {column.evaluates}, which all train, "
                        "and needs what it needs: leave out needs, rows, search, targets and rows that evaluate others"
                    )
        searching = any(column.search for columns in self.columns.values() for column in columns)
        for row in self.rows:
            if row.evaluates is not None and searching:
                raise ValueError(f"{row.name}.evaluates: a table with a search cannot have rows that evaluate others")
            if row.evaluates is not None and row.evaluates not in trained:
                raise ValueError(f"{row.name}.evaluates={row.evaluates}: choose one of {', '.join(trained)}")
            for where, names in (("published", list(row.published)), ("only", row.only or [])):
                for name in names:
                    if name not in known:
                        raise ValueError(
                            f"{row.name}.{where}: no column {name}; choose one of {', '.join(sorted(known))}"
                        )
        return self


def _again(column: Column, columns: list[Column]) -> Column:
    """A column that evaluates another, with what it takes from it."""
    other = next(one for one in columns if one.name == column.evaluates)
    taken = {"needs": other.needs, "rows": other.rows, "metrics": column.metrics or other.metrics}
    return column.model_copy(update={**taken, "overrides": [*other.overrides, *column.overrides]})


def _related(one: Column, other: Column) -> bool:
    """Whether both are about the same trained runs, so that what the user gives for one holds for the other."""
    return (one.evaluates or one.name) == (other.evaluates or other.name)


def _unique(where: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{where}: two are named {name}")
