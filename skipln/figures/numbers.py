"""The numbers of a figure: joined over seeds and batches, kept as CSV, and read again for drawing."""

import csv
import io
import json
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from skipln.errors import UserError
from skipln.figures.gradients import QUANTITIES
from skipln.figures.measuring import Measurement
from skipln.figures.points import Point
from skipln.report.provenance import arithmetic, code, machine
from skipln.runs.result import reason
from skipln.system.files import atomic_write
from skipln.system.printing import one_line
from skipln.system.strict_json import read_json

Net = tuple[Point, Measurement]


@dataclass(frozen=True)
class SiteRow:
    """A residual site of a net in one state: geometric means over `n` values (seeds × batches) of the quantities that
    `skipln.figures.gradients.Site` defines, and the factor of one geometric standard deviation (empty if n = 1)."""

    model: str
    depth: int
    form: str
    lam: float | None
    state: str
    site: int
    stack: str
    n: int
    stream: float | None
    stream_sd: float | None
    branch: float | None
    branch_sd: float | None
    share: float | None
    share_sd: float | None
    scale: float | None
    scale_sd: float | None


@dataclass(frozen=True)
class NetRow:
    """A net in one state, which `diverged` of its `seeds` never reached. loss: arithmetic mean, in nats. output:
    geometric mean of the output's root mean square. runs: the hashes of the seeds' configurations."""

    model: str
    depth: int
    form: str
    lam: float | None
    state: str
    seeds: int
    diverged: int
    loss: float | None
    output: float | None
    runs: str


@dataclass(frozen=True)
class About:
    """Where the numbers come from."""

    command: str
    data: list[str]
    code: list[str]
    hardware: list[str]
    arithmetic: list[str] = field(default_factory=list)  # of the trainings; empty in older files


@dataclass(frozen=True)
class Numbers:
    sites: list[SiteRow]
    nets: list[NetRow]
    about: About


Row = TypeVar("Row", SiteRow, NetRow)
_ABOUT = TypeAdapter(About)


def join(nets: Sequence[Net], command: str) -> Numbers:
    """Join measured nets into numbers, in the order of their models, then by depth, form and λ."""
    models = list(dict.fromkeys(point.model for point, _ in nets))
    groups: dict[tuple, list[Net]] = {}
    for point, found in nets:
        groups.setdefault((point.model, point.depth, point.form, point.lam), []).append((point, found))
    sites: list[SiteRow] = []
    rows: list[NetRow] = []
    for key in sorted(groups, key=lambda key: (models.index(key[0]), key[1], key[2], key[3] or 0.0)):
        for state in ("start", "trained"):
            sites += _sites(key, state, groups[key])
            rows.append(_net(key, state, groups[key]))
    about = About(
        command=command,
        data=_unique(f"{found.data}" for _, found in nets),
        code=_unique(code(found.environment) for _, found in nets),
        hardware=_unique(machine(found.environment) for _, found in nets),
        arithmetic=_unique(arithmetic(found.environment, "not recorded") for _, found in nets),
    )
    return Numbers(sites, rows, about)


def write(folder: Path, numbers: Numbers) -> bool:
    """Write sites.csv, nets.csv and about.json; return whether any of them changed."""
    content = {
        "sites.csv": _csv(SiteRow, numbers.sites),
        "nets.csv": _csv(NetRow, numbers.nets),
        "about.json": json.dumps(asdict(numbers.about), indent=1, ensure_ascii=False) + "\n",
    }
    before = {name: (folder / name).read_text("utf-8") for name in content if (folder / name).is_file()}
    for name, text in content.items():
        with atomic_write(folder / name, "w") as file:
            file.write(text)
    return before != content


def load(folder: Path) -> Numbers:
    """Read what `write` wrote. Raises UserError if a file is missing or damaged."""
    try:
        about = _ABOUT.validate_python(read_json(folder / "about.json"))
        return Numbers(_rows(SiteRow, folder / "sites.csv"), _rows(NetRow, folder / "nets.csv"), about)
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(
            f"{folder}: damaged ({one_line(reason(error))}); restore it with git, or make the figure again"
        ) from error


def _sites(key: tuple, state: Any, nets: Sequence[Net]) -> list[SiteRow]:
    passes = [found.states[state].sites for _, found in nets if state in found.states]
    if not passes:
        return []
    rows = []
    for site, stack in enumerate(nets[0][1].stacks):
        values: dict[str, Any] = {"state": state, "site": site, "stack": stack, "n": 0}
        for quantity in QUANTITIES:
            known = [v for one in passes for batch in one[quantity] if (v := batch[site]) is not None]
            values[quantity], values[f"{quantity}_sd"] = geometric(known)
            values["n"] = max(values["n"], len(known))
        rows.append(_row(SiteRow, key, values))
    return rows


def _net(key: tuple, state: Any, nets: Sequence[Net]) -> NetRow:
    there = [found.states[state] for _, found in nets if state in found.states]
    losses = [value for one in there for value in one.loss]
    finite = [value for value in losses if value is not None]
    values = {
        "state": state,
        "seeds": len(nets),
        "diverged": len(nets) - len(there),
        "loss": statistics.fmean(finite) if finite and len(finite) == len(losses) else None,
        "output": geometric([value for one in there for value in one.output if value is not None])[0],
        "runs": " ".join(found.hash for _, found in nets),
    }
    return _row(NetRow, key, values)


def _row(kind: type[Row], key: tuple, values: dict[str, Any]) -> Row:
    model, depth, form, lam = key
    return kind(model=model, depth=depth, form=form, lam=lam, **values)


def geometric(values: Sequence[float]) -> tuple[float | None, float | None]:
    """The geometric mean and the factor of one geometric standard deviation; None where undefined."""
    if not values or min(values) <= 0:
        return (0.0 if values else None), None
    logs = [math.log(value) for value in values]
    return math.exp(statistics.fmean(logs)), math.exp(statistics.stdev(logs)) if len(logs) > 1 else None


def _csv(kind: type[Row], rows: Sequence[Row]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(field.name for field in fields(kind))
    writer.writerows([_text(value) for value in vars(row).values()] for row in rows)
    return file.getvalue()


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _rows(kind: type[Row], path: Path) -> list[Row]:
    types = {field.name: field.type for field in fields(kind)}
    read: dict[Any, Callable[[str], Any]] = {str: str, int: int, float | None: _optional}
    with path.open(encoding="utf-8", newline="") as file:
        return [kind(**{key: read[types[key]](text) for key, text in line.items()}) for line in csv.DictReader(file)]


def _optional(text: str) -> float | None:
    return float(text) if text else None


def _unique(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
