"""What a table's folder keeps of its runs: {records,curves,publications}.jsonl (one object per line), examples/*.xz."""

import io
import json
import lzma
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from skipln.errors import UserError
from skipln.report.provenance import arithmetic
from skipln.runs.result import Checked, Count, Result, reason
from skipln.system.files import atomic_write
from skipln.system.printing import one_line
from skipln.system.strict_json import loads

MEND = "restore it with git, or remove the file and make the table again"
EXAMPLES = "examples"
PUBLICATIONS = "publications.jsonl"
SOURCES = ("records.jsonl", "curves.jsonl", EXAMPLES, PUBLICATIONS)  # everything else in the folder is made from these
LARGEST = 1 << 28  # bytes of one run's statistics, and of the memory to read them
_FIRST = ("table", "row", "column", "seed", "hash")  # first in a line, for those who read it raw


def _of_one_length(group: dict[str, list]) -> dict[str, list]:
    if "update" not in group or len({len(values) for values in group.values()}) > 1:
        raise ValueError("a group must have one value of each metric per update")
    return group


class _Named(Checked):
    name: str = "auto"


class _Task(Checked):
    valid_sentences: Count | None = None


class _Compute(Checked):
    devices: Count = 1
    nodes: Count = 1


class _Training(Checked):
    diverged_above: float
    diverged_after: Count
    log_every: Annotated[int, Field(gt=0)]


class _Read(Checked):
    """The keys of a record's configuration that pages and judgements are made from, with their types."""

    precision: _Named = _Named()
    task: _Task = _Task()
    compute: _Compute = _Compute()
    training: _Training | None = None
    inputs: list[str] = Field(default_factory=list)


def _readable(config: dict[str, Any]) -> dict[str, Any]:
    _Read.model_validate(config)
    return config


class Record(Result):
    """A finished run: its cell, the overrides that start it anywhere, its configuration, and its result.json."""

    table: str
    row: str
    column: str
    seed: Count
    overrides: list[str]
    config: Annotated[dict[str, Any], AfterValidator(_readable)] = Field(default_factory=dict)

    @property
    def trained(self) -> list[str]:
        """The overrides of the training: the record's own, or those of the run that its search chose."""
        settings = next((one.settings for one in self.compared if one.hash == self.chosen), None)
        return self.overrides if settings is None else candidate_overrides(self.overrides, settings)

    def measured(self, metric: str) -> float | None:
        """The value of `metric`, None without one. After a search, valid_loss is that of the run that it chose."""
        if metric == "valid_loss" and self.chosen:
            return next((one.valid_loss for one in self.compared if one.hash == self.chosen), None)
        return self.metrics.get(metric)

    @property
    def environments(self) -> list[dict[str, Any]]:
        """The environments in which its updates were made; several if the run was stopped and continued elsewhere."""
        earlier = self.environment.get("earlier")
        return [*(before for before in earlier or [] if isinstance(before, dict)), self.environment]

    @property
    def arithmetic(self) -> str:
        """Such as "fp32", "bf16, compiled" or, for a run continued elsewhere, "bf16 then fp32"."""
        asked = str(self.config.get("precision", {}).get("name", "auto"))
        if asked == "auto" and self.config.get("engine") == "fairseq" and self.environment.get("device") == "cpu":
            asked = "fp32"  # fairseq has no other precision on a CPU
        otherwise = "precision=auto, not recorded which" if asked == "auto" else asked
        return " then ".join(dict.fromkeys(arithmetic(made, otherwise) for made in self.environments))


def candidate_overrides(overrides: Sequence[str], settings: Mapping[str, Any]) -> list[str]:
    """The overrides of one run of a search, from those of its cell and the run's settings."""
    replaced = {"inputs", *settings}
    own = [text for text in overrides if text.partition("=")[0] not in replaced]
    *others, seed = own  # the seed is a cell's last override
    return [*others, *(f"{key}={value}" for key, value in settings.items()), "task.test=false", seed]


class Curves(Checked):
    """A run's thinned series: groups of metrics that were logged at the same updates (`series.thinned`)."""

    model_config = ConfigDict(extra="forbid")

    hash: str
    groups: list[Annotated[dict[str, list[int | float | None]], AfterValidator(_of_one_length)]]


class Publication(Checked):
    """Who published which runs, when, and with which commit of the publishing code.

    replaced, removed: the runs whose measurements were replaced, and those that were removed. allowed: the refusals
    that the publisher overrode (`publishing.ALLOWED`).
    """

    model_config = ConfigDict(extra="forbid")

    by: str
    time: str
    code: str
    runs: list[str]
    replaced: list[str]
    removed: list[str]
    allowed: list[str]


@dataclass
class Kept:
    """What a table's folder keeps of finished runs: their records, their curves and test-example statistics
    [examples, k] by hash, and how they were published."""

    records: list[Record] = field(default_factory=list)
    curves: dict[str, Curves] = field(default_factory=dict)
    examples: dict[str, np.ndarray] = field(default_factory=dict)
    publications: list[Publication] = field(default_factory=list)


Line = TypeVar("Line", Record, Curves, Publication)


def read_records(folder: Path) -> list[Record]:
    """The committed records; an empty list if there is no file.

    Raises UserError if a line is damaged, a finished run's metric is not a number, or a run or cell occurs twice.
    """
    path, records = folder / "records.jsonl", _read(folder / "records.jsonl", Record)
    places: dict[tuple, int] = {}
    for number, record in enumerate(records, 1):
        if bad := [key for key, value in record.metrics.items() if value is None or not math.isfinite(value)]:
            raise UserError(f"{path}: {bad[0]} of run {record.hash} is not a number; {MEND}")
        for place in ((record.hash,), (record.row, record.column, record.seed)):
            if (before := places.setdefault(place, number)) != number:
                raise UserError(f"{path}: records {before} and {number} are the same run; {MEND}")
    return records


def read_curves(folder: Path) -> dict[str, Curves]:
    """The committed curves by run hash; errors as in `read_records`."""
    path = folder / "curves.jsonl"
    found: dict[str, Curves] = {}
    for curves in _read(path, Curves):
        if found.setdefault(curves.hash, curves) is not curves:
            raise UserError(f"{path}: two curves of run {curves.hash}; {MEND}")
    return found


def read_examples(folder: Path) -> dict[str, np.ndarray]:
    """The committed statistics of single test examples by run hash; errors as in `read_records`."""
    return {path.stem: _unpacked(path) for path in sorted((folder / EXAMPLES).glob("*.xz"))}


def read_publications(folder: Path) -> list[Publication]:
    """How the records were published, oldest first; errors as in `read_records`."""
    return _read(folder / PUBLICATIONS, Publication)


def read(folder: Path) -> Kept:
    """Everything that the folder keeps; errors as in `read_records`."""
    return Kept(read_records(folder), read_curves(folder), read_examples(folder), read_publications(folder))


def write(folder: Path, kept: Kept) -> None:
    """Write what is kept of the records, each file whole or not at all.

    Statistics are written before the records that they belong to. A reader in between finds statistics that disagree
    with their record's score, and `statistics.comparisons` does not test with these.
    """
    hashes = {record.hash for record in kept.records}
    packed = {f"{key}.xz": _packed(found) for key, found in kept.examples.items() if key in hashes}
    for name, content in packed.items():
        with atomic_write(folder / EXAMPLES / name) as file:
            file.write(content)
    _write(folder / "records.jsonl", kept.records)
    _write(folder / "curves.jsonl", [kept.curves[r.hash] for r in kept.records if r.hash in kept.curves])
    if kept.publications:
        _write(folder / PUBLICATIONS, kept.publications)
    for path in (folder / EXAMPLES).glob("*.xz"):
        if path.name not in packed:
            path.unlink()


def examples_bytes(folder: Path) -> int:
    """The bytes that the statistics of single examples take in the folder."""
    return sum(path.stat().st_size for path in (folder / EXAMPLES).glob("*.xz"))


def _packed(examples: np.ndarray) -> bytes:
    """An .npy file in the smallest number type that holds the values, compressed with xz."""
    low, high = (examples.min(), examples.max()) if examples.size else (0, 0)
    whole = low >= 0 and np.array_equal(examples, np.floor(examples))
    kinds = (np.uint8, np.uint16, np.uint32)
    small = next((kind for kind in kinds if whole and high <= np.iinfo(kind).max), np.float64)
    buffer = io.BytesIO()
    np.save(buffer, examples.astype(small), allow_pickle=False)
    return lzma.compress(buffer.getvalue(), preset=9)


def _unpacked(path: Path) -> np.ndarray:
    try:
        reader = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=LARGEST)
        content = reader.decompress(path.read_bytes(), max_length=LARGEST)
        if not reader.eof:
            raise ValueError("cut short, or too large")
        examples = np.load(io.BytesIO(content), allow_pickle=False)
        if not isinstance(examples, np.ndarray) or examples.ndim != 2 or examples.dtype.kind not in "iuf":
            raise ValueError("not a table of numbers")
        statistics = examples.astype(np.float64)
        if not np.isfinite(statistics).all():
            raise ValueError("a number that is not finite")
    except Exception as error:  # any error of the readers
        raise UserError(f"{path}: damaged ({one_line(str(error))}); {MEND}") from error
    return statistics


def _read(path: Path, kind: type[Line]) -> list[Line]:
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            found.append(kind.model_validate(loads(line)))
        except ValueError as error:
            raise UserError(f"{path}, line {number}: damaged ({one_line(reason(error))}); {MEND}") from error
    return found


def _write(path: Path, lines: Iterable[BaseModel]) -> None:
    with atomic_write(path, "w") as file:
        for line in lines:
            content = line.model_dump(exclude_unset=True)
            ordered = {key: content[key] for key in _FIRST if key in content} | content
            file.write(json.dumps(ordered, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n")
