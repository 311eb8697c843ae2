"""What a table consists of: experiments/<table>.yaml, checked strictly."""

import itertools
import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, model_validator
from pydantic import ValidationError as PydanticError

from skipln.errors import UserError
from skipln.system.places import EXPERIMENTS
from skipln.system.printing import one_line
from skipln.system.strict_yaml import read_yaml
from skipln.tables.metrics import METRICS, Metric

Scale = Literal["test", "demo", "small", "paper"]
SCALES: tuple[str, ...] = get_args(Scale)
USERS_OWN = ("launcher", "tracker", "hydra")  # groups that no manifest chooses


def _metric(key: str) -> str:
    if key not in METRICS:
        raise ValueError(f"choose one of {', '.join(METRICS)}")
    return key


def checked_override(text: str) -> str:
    """`text` if it is an override. Raises ValueError if it is none, if only the table may set its key, or if it is not
    `harmless`."""
    key, equals, _ = text.partition("=")
    if not (key and equals):
        raise ValueError("an override is KEY=VALUE")
    if key in ("seed", "scale"):
        raise ValueError(f"only the table sets a run's {key}")
    return harmless(text)


def harmless(text: str) -> str:
    """`text`, an override that somebody else may have written.

    Raises ValueError if it would put something of this machine, such as a password, into a record, if it could bring
    shell commands (`launcher.setup`), or if it chooses where results are sent.
    """
    if "${" in text:
        raise ValueError("it is not resolved: write out what ${…} stands for")
    if (group := re.split(r"[.@=]", text.lstrip("+~"))[0]) in USERS_OWN:
        raise ValueError(f"only the user chooses a {group}: leave it out")
    return text


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
Override = Annotated[str, AfterValidator(checked_override)]
Values = Annotated[list[Annotated[int | float | str, AfterValidator(_value)]], Field(min_length=2)]
MetricKeys = Annotated[list[Annotated[str, AfterValidator(_metric)]], Field(min_length=1)]


class Node(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


AnyNode = TypeVar("AnyNode", bound=Node)


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


class Manifest(Node):
    """One table: rows × the columns of a scale × seeds."""

    name: Name
    title: Line
    metrics: MetricKeys
    baseline: str
    seeds: dict[Scale, PositiveInt]
    costs: Literal["per_second", "per_update"] = "per_second"  # per_update: time and memory of an update
    threads: dict[Scale, PositiveInt] = {}  # CPU threads per run; as many runs at once as fit the cores
    columns: dict[Scale, list[Column]]
    rows: Annotated[list[Row], Field(min_length=1)]
    notes: list[Line] = []

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
