"""The command line of the figures. Exit status: 0 done, 1 a net failed, 2 the user's mistake, 130 stopped."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from skipln.figures.manifest import load
from skipln.figures.publishing import ALLOWED, publish, yours
from skipln.figures.render import render_all
from skipln.system.arguments import parse_subcommand
from skipln.system.places import EXPERIMENTS, RESULTS
from skipln.system.printing import exit_status
from skipln.tables.execution.launching import say
from skipln.tables.manifest import SCALES


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    resume = f"stopped; to continue: python -m skipln.figures {shlex.join(given)}"
    return exit_status(lambda: _command(parse_subcommand(_parser(), given)), resume)


def _command(options: argparse.Namespace) -> int:
    return options.command(options)


def _run(options: argparse.Namespace) -> int:
    manifest = load(options.figure, options.experiments)
    manifest.at(options.scale)  # report a mistake before torch is loaded
    from skipln.figures.runner import run

    return run(manifest, options.scale, yours(manifest, options.scale), options.experiments, options.overrides)


def _publish(options: argparse.Namespace) -> int:
    manifest = load(options.figure, options.experiments)
    manifest.at(options.scale)
    return publish(manifest, options.scale, options.results, [word for word in options.allow.split(",") if word])


def _results(options: argparse.Namespace) -> int:
    folders = render_all(options.results, options.experiments)
    say("\n".join(f"rendered {folder}" for folder in folders) or f"no numbers under {options.results}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m skipln.figures", description="Make the figures in experiments/.")
    parser.add_argument("--experiments", type=Path, default=EXPERIMENTS, help=argparse.SUPPRESS)
    parser.add_argument("--results", type=Path, default=RESULTS, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(required=True, metavar="run | publish | results")
    make = commands.add_parser("run", help="measure the nets that are missing, then render the figure")
    make.add_argument("figure", help="a file of experiments/, such as figure1")
    make.add_argument("--scale", default="demo", metavar="|".join(SCALES), help="default: demo")
    make.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="where the finished runs' data is")
    make.set_defaults(command=_run)
    ours = commands.add_parser("publish", help="publish your figure, and print what changes")
    ours.add_argument("figure", help="a file of experiments/, such as figure1")
    ours.add_argument("--scale", default="demo", metavar="|".join(SCALES), help="default: demo")
    ours.add_argument("--allow", default="", help=f"publish although nets are {', '.join(ALLOWED)} [neither]")
    ours.set_defaults(command=_publish)
    again = commands.add_parser("results", help="render every figure again from its committed numbers")
    again.set_defaults(command=_results)
    return parser
