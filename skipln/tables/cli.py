"""The command line of the tables. Exit status: 0 done, 1 a run failed, 2 the user's mistake, 130 stopped."""

import argparse
import logging
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from skipln.configuration.composition import compose
from skipln.configuration.schema import SEEDS
from skipln.errors import UserError
from skipln.system.arguments import parse_subcommand
from skipln.system.places import EXPERIMENTS, RESULTS
from skipln.system.printing import exit_status, one_line
from skipln.tables import manifest as manifests
from skipln.tables import store
from skipln.tables.cells import trial
from skipln.tables.execution.launching import Launcher, say
from skipln.tables.execution.local import TRAINER, Local
from skipln.tables.execution.slurm import Slurm
from skipln.tables.manifest import SCALES
from skipln.tables.presentation.live import live
from skipln.tables.presentation.render import render, render_all, render_live
from skipln.tables.publishing import ALLOWED, publish
from skipln.tables.records import recorded_seeds
from skipln.tables.runner import Order, dry_run, output, plan, run
from skipln.tables.status import status

MOST = 10_000  # seeds of a table; more are probably a typing error
LAUNCHERS: dict[str, Callable[[Sequence[str], int], Launcher]] = {"local": Local, "slurm": Slurm}


def main(arguments: Sequence[str] | None = None, trainer: Sequence[str] = TRAINER) -> int:
    """Run one command; return its exit status. `trainer`: the command that a run's overrides are appended to."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    resume = f"stopped; to continue: python -m skipln.tables {shlex.join(given)}"
    return exit_status(lambda: _command(parse_subcommand(_parser(), given), trainer), resume)


def _command(options: argparse.Namespace, trainer: Sequence[str]) -> int | None:
    return options.command(options, trainer)


def _run(options: argparse.Namespace, trainer: Sequence[str]) -> int:
    manifest = manifests.load(options.table, options.experiments)
    scale, extra = _scale(options)
    seeds = seeds_of(options.seeds)
    rows = [name.strip() for name in options.rows.split(",") if name.strip()]
    if options.launcher != "local":  # a choice of configs/launcher/, perhaps the user's own
        extra = [f"launcher={options.launcher}", *extra]
    chosen = [text for text in extra if text.startswith("launcher=")]
    kind = compose(chosen[-1:]).launcher.name if chosen else "local"
    launcher = LAUNCHERS[kind](trainer, manifest.threads.get(scale, 0))  # type: ignore[call-overload]
    order = Order(manifest, scale, seeds, extra, rows, options.results)
    if options.dry_run:
        dry_run(order, launcher)
        return 0
    return run(order, launcher)


def _status(options: argparse.Namespace, trainer: Sequence[str]) -> None:
    tables = [word for word in options.words if "=" not in word]
    options.overrides = [word for word in options.words if "=" in word]
    scale, extra = _scale(options)
    pages = []
    for name in tables or manifests.names(options.experiments):
        manifest = manifests.load(name, options.experiments)
        pages.append(status(manifest, scale, seeds_of(options.seeds), extra))
    print("\n\n".join(pages) if pages else f"no tables in {options.experiments}")


def _publish(options: argparse.Namespace, trainer: Sequence[str]) -> int:
    manifest = manifests.load(options.table, options.experiments)
    scale, extra = _scale(options)
    if changed := trial(manifest, scale, extra):
        raise UserError(f"{changed[0]}: only the manifest's own table can be published; change the manifest")
    rows = [name.strip() for name in options.rows.split(",") if name.strip()]
    order = Order(manifest, scale, seeds_of(options.seeds), extra, rows, options.results)
    order.plan()  # refuses scales and rows that the table does not have
    return publish(order, [word for word in options.allow.split(",") if word])


def _results(options: argparse.Namespace, trainer: Sequence[str]) -> None:
    folders = render_all(options.results, options.experiments)
    say("\n".join(f"rendered {folder}" for folder in folders) or f"no records under {options.results}")


def _curves(options: argparse.Namespace, trainer: Sequence[str]) -> None:
    """Render your table again, put runs that it does not have yet on their own page, and print where the curves are."""
    manifest = manifests.load(options.table, options.experiments)
    scale, extra = _scale(options)
    folder = output(manifest, scale, extra)
    recorded = {record.hash for record in store.read_records(folder)}
    seeds = sorted({*(seeds_of(options.seeds) or manifest.every_seed(scale)), *recorded_seeds(folder)})
    others = live(plan(manifest, scale, seeds, extra), recorded)
    if not recorded and not others:
        raise UserError(f"no runs of yours in {folder}; to make them: make {manifest.name} SCALE={scale}")
    if others:
        say(f"{len(others)} runs are not in the table yet; their curves so far:")
        print(render_live(manifest, scale, folder, folder / "live", others))
    if recorded:
        render(manifest, scale, folder, pdf=True)
        for name in ("curves.html", "curves.svg", "curves.pdf"):
            print(folder / name)


def _scale(options: argparse.Namespace) -> tuple[str, list[str]]:
    """The scale, from --scale or scale=…, and the other overrides."""
    scale = options.scale
    extra = []
    for text in options.overrides:
        if text.startswith("scale="):
            scale = text.removeprefix("scale=")
        else:
            extra.append(text)
    if scale not in SCALES:
        raise UserError(f"scale={scale}: choose one of {', '.join(SCALES)}")
    return scale, extra


def seeds_of(text: str | None) -> list[int] | None:
    """The seeds of --seeds: 3 means 1, 2 and 3; 2,5 means those two; without it None, each row's own."""
    if not text:
        return None
    parts = text.removesuffix(",").split(",")
    if not all(part.strip().isascii() and part.strip().isdigit() for part in parts) or text == "0":
        raise UserError(f"seeds={text}: give how many (3 means 1, 2 and 3) or which (2,5)")
    numbers = [int(part) for part in parts if len(part) < 20]
    if len(numbers) < len(parts) or max(numbers) >= (SEEDS if "," in text else MOST):
        raise UserError(f"seeds={one_line(text)}: a seed is below 2^63, and a table has fewer than {MOST:,} seeds")
    return sorted(set(numbers)) if "," in text else list(range(1, numbers[0] + 1))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m skipln.tables", description="Make the tables in experiments/.")
    parser.add_argument("--experiments", type=Path, default=EXPERIMENTS, help=argparse.SUPPRESS)
    parser.add_argument("--results", type=Path, default=RESULTS, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(required=True, metavar="run | publish | status | results | curves")

    def add(name: str, command: Callable, words: str, help_text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help_text, description=help_text)
        sub.set_defaults(command=command)
        if words != "nothing":
            sub.add_argument("--scale", default="demo", metavar="|".join(SCALES), help="default: demo")
            if words == "table":
                sub.add_argument("table", help="a file of experiments/, such as table2")
                sub.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="overrides for every run")
            else:
                sub.add_argument("words", nargs="*", metavar="TABLE | KEY=VALUE", help="default: every table")
        return sub

    seeds = "3: seeds 1, 2 and 3; 2,5: those two (default: the manifest's)"
    make = add("run", _run, "table", "make the missing runs of a table, then render it")
    make.add_argument("--seeds", help=seeds)
    make.add_argument("--rows", default="", help="names of the rows to run, such as skip,rskip_ln_2 [all]")
    make.add_argument("--launcher", default="local", help="local, slurm, or a copy of configs/launcher/slurm.yaml")
    make.add_argument(
        "--dry-run", action="store_true", help="print every run with its state, GPU-hours and command; start nothing"
    )
    made = add("publish", _publish, "table", "publish your finished runs, and print what changes")
    made.add_argument("--seeds", help=f"{seeds}; every run of these must be finished")
    made.add_argument("--rows", default="", help="names of the rows whose runs must all be finished [all]")
    made.add_argument("--allow", default="", help=f"publish although runs are {', '.join(ALLOWED)} [none]")
    add("status", _status, "tables", "the state of every cell of the tables").add_argument("--seeds", help=seeds)
    add("results", _results, "nothing", "render every table again from its committed records")
    curves = add("curves", _curves, "table", "render a table and its unfinished runs again; print where the curves are")
    curves.add_argument("--seeds", help=seeds)
    return parser
