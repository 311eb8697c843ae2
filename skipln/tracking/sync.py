"""Send run folders to W&B: each becomes one clean run, whatever happened while it trained."""

import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from skipln.configuration.schema import SEEDS, WandbTracker
from skipln.errors import UserError
from skipln.runs.reading import read_config, read_state
from skipln.system.places import EXPERIMENTS
from skipln.tables import manifest as manifests
from skipln.tables.cells import Cell, cells
from skipln.tables.manifest import Manifest
from skipln.tracking.points import settled
from skipln.tracking.upload import Upload, place_of, read_sent, require_online


@dataclass(frozen=True)
class Run:
    """A folder and the content of its config.yaml. `group` (table/row) and `tags` (scale/column) name its cell."""

    folder: Path
    config: dict[str, Any]
    group: str | None = None
    tags: tuple[str, ...] = ()


def sync(runs: Iterable[Run], tracker: WandbTracker) -> tuple[int, int]:
    """Send what W&B lacks of `runs`; return (number sent, number of runs). Runs that are training are left out.

    Raises UserError without a key, and at the first run that the server refuses; the next call continues there.
    """
    require_online()
    every = list(runs)
    bar = tqdm(every, desc="W&B", unit="run", dynamic_ncols=True, disable=not sys.stderr.isatty())
    return sum(send(run, tracker) for run in bar), len(every)


def send(run: Run, tracker: WandbTracker) -> bool:
    """Send what W&B lacks of one run; return whether it lacked anything."""
    standing, points = read_state(run.folder), settled(run.folder)
    earlier = read_sent(run.folder)
    done = earlier is not None and (earlier.place, earlier.points, earlier.state) == (
        place_of(tracker),
        len(points),
        standing.state,
    )
    if done or not points or standing.state == "running":
        return False
    own = tracker.model_copy(update={"group": run.group, "tags": list(run.tags)})
    environment = standing.result.environment if standing.result else {}
    with tempfile.TemporaryDirectory(prefix="skipln-wandb-") as directory:
        upload = Upload(run.folder, run.folder.name, run.config, own, environment, "online", directory=Path(directory))
        upload.send(points)
        upload.finish(standing.state, standing.result)
    return True


def found(runs: Path, table: str | None = None, experiments: Path = EXPERIMENTS) -> Iterator[Run]:
    """The run folders in `runs`, or only those of `table` if given, each with its table and row.

    Raises UserError for an unknown table.
    """
    tables = [manifests.load(name, experiments) for name in ([table] if table else manifests.names(experiments))]
    configs = {path.parent: read_config(path.parent) for path in sorted(runs.glob("*/config.yaml"))}
    cells_by_hash = _cells(tables, configs.values())
    for folder, config in configs.items():
        if (cell := cells_by_hash.get(folder.name)) is not None:
            place = f"{cell.config.scale.name}/{cell.column.name}"
            yield Run(folder, config, f"{cell.table}/{cell.row.name}", (place,))
        elif config and table is None:
            yield Run(folder, config, *_named(config))


def _named(config: dict[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    """The group and the tags that a run's own configuration gives; none that W&B would refuse."""
    own = config.get("tracker")
    group, tags = (own.get("group"), own.get("tags")) if isinstance(own, dict) else (None, None)
    fitting = tuple(tag for tag in map(str, tags) if 0 < len(tag) <= 64) if isinstance(tags, list) else ()
    return group if isinstance(group, str) and 0 < len(group) <= 128 else None, fitting


def _cells(tables: Iterable[Manifest], configs: Iterable[dict[str, Any]]) -> dict[str, Cell]:
    """The cells by hash, for the scales and seeds in `configs`. A run of several tables counts for the first."""
    seeds: dict[str, set[int]] = {}
    for config in configs:
        with suppress(KeyError, TypeError):  # not a run's configuration
            if type(config["seed"]) is int and 0 <= config["seed"] < SEEDS:
                seeds.setdefault(config["scale"]["name"], set()).add(config["seed"])
    by_hash: dict[str, Cell] = {}
    for table in tables:
        for scale in seeds:
            with suppress(UserError):  # a table that no longer composes has no cells
                for cell in cells(table, scale, sorted(seeds[scale])):
                    by_hash.setdefault(cell.hash, cell)
    return by_hash
