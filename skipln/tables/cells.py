"""The runs that a table needs: row × column × seed → overrides → the configuration and its hash."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from skipln.configuration.composition import compose, with_values
from skipln.configuration.schema import SEEDS, RunConfig
from skipln.errors import UserError
from skipln.interop import fairseq
from skipln.runs.identity import NOT_HASHED, public
from skipln.system.files import atomic_write
from skipln.system.places import CONFIGS, PACKAGE, ROOT
from skipln.system.strict_json import read_json
from skipln.tables.manifest import Column, Manifest, Row

CACHE = Path("runs/.configurations.json")
_SCHEMA = ("configuration/schema/*.py", "configuration/agreement.py", "configuration/composition.py", "seam/options.py")


@dataclass(frozen=True)
class Cell:
    """One run of a table. `overrides` start it; `shared` are those that also hold on another machine.

    `lacks`: one line that says what to give, or empty if the run can start. `candidates`: the runs of its search; the
    cell tests the best of them. `setting`: the overrides in which such a run differs from its cell.
    """

    table: str
    row: Row
    column: Column
    seed: int
    overrides: tuple[str, ...]
    shared: tuple[str, ...]
    hash: str
    folder: Path
    updates: int
    config: RunConfig = field(repr=False, compare=False)
    lacks: str = ""
    setting: tuple[str, ...] = ()
    candidates: tuple["Cell", ...] = ()

    @property
    def public_config(self) -> dict[str, Any]:
        """The configuration keys that decide the run, taken from `config` and not from a folder's files."""
        return public(self.config.model_dump())

    @property
    def runs(self) -> tuple["Cell", ...]:
        """Every run that the cell needs: those of its search, then its own."""
        return (*self.candidates, self)

    def describe(self) -> str:
        """The run in words: "rSkip+LN λ=2, Multi30k En-De, seed 1" or, in a search, "…, seed 1, optim.lr=0.1"."""
        return ", ".join([self.row.label, self.column.label, f"seed {self.seed}", *self.setting])


def cells(
    manifest: Manifest, scale: str, seeds: Iterable[int] | None, extra: Sequence[str] = (), cache: Path | None = CACHE
) -> list[Cell]:
    """Every run of `manifest` at `scale`, seed by seed so that the whole table fills evenly. If `seeds` is None, each
    row has its own.

    `extra` overrides hold for all runs and win over the manifest's; COLUMN.KEY=VALUE holds only for that column. A
    configuration is composed once per row and column, because the seed is a plain value, and kept in `cache`. Raises
    UserError for a configuration that does not compose, or for two cells that are the same run.
    """
    columns, asked = manifest.columns_at(scale), list(manifest.every_seed(scale) if seeds is None else seeds)
    if odd := [seed for seed in asked if not 0 <= seed < SEEDS]:
        raise UserError(f"seed={odd[0]}: a seed is at least 0 and below 2^63")
    _check_extra(extra)
    composer = _Composer(cache)
    found = [
        _cell(manifest, scale, row, column, seed, extra, composer)
        for seed in asked
        for column in columns
        for row in manifest.rows_of(scale, column)
        if seeds is not None or seed in manifest.seeds_of(scale, row)
    ]
    composer.save()
    by_hash: dict[str, Cell] = {}
    for cell in found:
        other = by_hash.setdefault(cell.hash, cell)
        if other is not cell:
            raise UserError(
                f"{manifest.name}: {other.describe()} and {cell.describe()} are the same run; "
                "change an override of one of them"
            )
    return found


def trial(manifest: Manifest, scale: str, extra: Sequence[str]) -> tuple[str, ...]:
    """The `extra` overrides that make runs other than the manifest's; data that a column needs is not among them, nor
    is anything about where a run is executed.
    """
    columns = manifest.columns_at(scale)
    needs = {key for column in columns for key in column.needs}
    return tuple(text for text in extra if not _of_this_machine(_addressed(text, columns)[1], needs))


def _of_this_machine(override: str, needs: Iterable[str]) -> bool:
    key = _key(override)
    return key in needs or key.partition(".")[0] in NOT_HASHED


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _cell(
    manifest: Manifest,
    scale: str,
    row: Row,
    column: Column,
    seed: int,
    extra: Sequence[str],
    composer: "_Composer",
    setting: Mapping[str, Any] = MappingProxyType({}),
) -> Cell:
    given = _meant_for(column, manifest.columns_at(scale), extra)
    tracking = [f"tracker.group={manifest.name}/{row.name}", f"tracker.tags=[{scale}/{column.name}]"]
    wanted = (*(tracking if "tracker=wandb" in given else []), *given)
    its, values, inputs = manifest.overrides_of(row), dict(setting), list[str]()
    if column.evaluates is not None:
        trained_in = next(other for other in manifest.columns_at(scale) if other.name == column.evaluates)
        inputs = [_cell(manifest, scale, row, trained_in, seed, extra, composer).hash]
    elif row.evaluates is not None:
        names = [name for name in (row.evaluates, column.against) if name is not None]
        trained = [next(other for other in manifest.rows if other.name == name) for name in names]
        inputs = [_cell(manifest, scale, other, column, seed, extra, composer).hash for other in trained]
    candidates: tuple[Cell, ...] = ()
    if setting:
        values |= {"task.test": False}
    elif column.search:
        if fixed := [key for text in given if (key := _key(text)) in column.search]:
            raise UserError(f"{fixed[0]}: {manifest.name} searches it for {column.label}: change the manifest's search")
        # The hash covers the candidates. For a searched key the evaluation takes the first value, which has no effect.
        candidates = tuple(_cell(manifest, scale, row, column, seed, extra, composer, one) for one in column.settings)
        values, inputs = dict(column.settings[0]), [one.hash for one in candidates]
    texts = (f"scale={scale}", *column.overrides, *its, *wanted)
    merged = {_key(text): text for text in texts if _key(text) not in values}
    lacking = [key for key in column.needs if key not in merged]
    # The lacking keys are not part of the run's identity, so the hash is right without them.
    composed = (*merged.values(), *(f"{key}=lacking" for key in lacking), *(_nobodys(inputs) if row.evaluates else ()))
    try:
        config = composer.compose(composed)
        config = with_values(config, {**values, **({"inputs": inputs} if inputs else {}), "seed": seed})
    except UserError as error:
        raise UserError(f"{manifest.name}, {row.name}, {column.name}: {error}") from error
    said = [f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in values.items()]
    overrides = (*merged.values(), *said, *([f"inputs=[{','.join(inputs)}]"] if inputs else []))
    named = (f"init_weights={config.init_weights}" if _key(text) == "init_from" else text for text in overrides)
    shared = tuple(text for text in named if not _of_this_machine(text, column.needs))
    last = f"seed={seed}"
    return Cell(
        table=manifest.name,
        row=row,
        column=column,
        seed=seed,
        overrides=(*overrides, last),
        shared=(*shared, last),
        hash=config.hash,
        folder=config.folder,
        updates=config.training.updates,
        config=config,
        lacks=_lacks(manifest, scale, column, lacking, config),
        setting=tuple(f"{key}={value}" for key, value in setting.items()),
        candidates=candidates,
    )


def _nobodys(inputs: Sequence[str]) -> list[str]:
    """As many placeholder inputs, which match no run: they do not change the rest of a configuration."""
    return [f"inputs=[{','.join(['0' * 12] * len(inputs))}]"] if inputs else []


def _lacks(manifest: Manifest, scale: str, column: Column, keys: Sequence[str], config: RunConfig) -> str:
    if keys:
        asked = f'make {manifest.name} SCALE={scale} ARGS="{" ".join(manifest.asked(scale, column))}"'
        return f"needs {', '.join(keys)} for {column.label}: give it as {asked}"
    if config.engine == "fairseq" and (how := fairseq.lacking()):
        return f"needs fairseq: {how}"
    return ""


def _meant_for(column: Column, columns: Sequence[Column], extra: Sequence[str]) -> list[str]:
    """The `extra` overrides meant for `column`, without its name; keys that only other columns need are left out."""
    needed_elsewhere = {key for other in columns for key in other.needs} - set(column.needs)
    addressed = [_addressed(text, columns) for text in extra]
    return [
        text
        for name, text in addressed
        if name in (column.name, column.evaluates or column.name)
        or (name is None and _key(text) not in needed_elsewhere)
    ]


def _addressed(text: str, columns: Sequence[Column]) -> tuple[str | None, str]:
    """ "imagenet.data.dir=x" -> ("imagenet", "data.dir=x") if a column has that name, else (None, text)."""
    name, _, rest = text.partition(".")
    return (name, rest) if any(column.name == name for column in columns) else (None, text)


def _check_extra(extra: Sequence[str]) -> None:
    for text in extra:
        if "=" not in text:
            raise UserError(f"{text}: an override is KEY=VALUE")
        if _key(text) in ("seed", "scale"):
            raise UserError(f"{text}: give it as --{'seeds' if _key(text) == 'seed' else 'scale'} of the table")


class _Composer:
    """`compose` with a cache on disk: Hydra takes 0.1 s per configuration, and a status page may need a thousand.

    The cache is discarded when a file that decides a configuration changes.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.digest = _digest()
        self.known: dict[str, Any] = {}
        self.composed: dict[tuple[str, ...], RunConfig] = {}
        self.changed = False
        if path is not None:
            with suppress(OSError, ValueError, KeyError, TypeError):  # missing or damaged: compose again
                content = read_json(path)
                if [content["digest"], content["content"]] == [self.digest, _sum(content["configurations"])]:
                    self.known = content["configurations"]

    def compose(self, overrides: tuple[str, ...]) -> RunConfig:
        if overrides not in self.composed:
            key = " ".join(overrides)
            if key in self.known:
                self.composed[overrides] = RunConfig.model_validate(self.known[key])
            else:
                self.composed[overrides] = compose(list(overrides))
                if self.composed[overrides].init_from is None:  # otherwise it depends on a file that may change
                    self.known[key] = self.composed[overrides].model_dump()
                    self.changed = True
        return self.composed[overrides]

    def save(self) -> None:
        if self.path is not None and self.changed:
            with (
                suppress(OSError, UserError),
                atomic_write(self.path, "w") as file,
            ):  # only a cache, so a failure does no harm
                content = {"digest": self.digest, "content": _sum(self.known), "configurations": self.known}
                json.dump(content, file)


def _sum(configurations: dict[str, Any]) -> str:
    """A checksum that reveals a changed bit, or a configuration under another one's name."""
    return hashlib.sha256(json.dumps(configurations, sort_keys=True).encode()).hexdigest()


def _digest() -> str:
    """The checksum of every file that decides what overrides mean."""
    sources = [
        *sorted(CONFIGS.rglob("*.yaml")),
        *(path for pattern in _SCHEMA for path in sorted(PACKAGE.glob(pattern))),
    ]
    content = hashlib.sha256()
    for path in sources:
        content.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return content.hexdigest()
