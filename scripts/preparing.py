"""Shared by the scripts that prepare published data: their options, and the report at the end."""

import argparse
import os
from pathlib import Path

from skipln.data.text.published.corpora import Recipe
from skipln.errors import UserError
from skipln.system.printing import exit_status


def common_options(parser: argparse.ArgumentParser, merges: int) -> None:
    parser.set_defaults(default_merges=merges)
    parser.add_argument("--cache", type=Path, default=Path("data"), help="folder for fetched and made data [data]")
    parser.add_argument("--merges", type=int, default=merges, help=f"BPE merges over both languages [{merges}]")
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--workers", type=int, default=cores, help=f"processes [{cores}, this machine's cores]")


def prepare_and_report(recipe: Recipe, options: argparse.Namespace, suffix: str = "") -> int:
    """Prepare `<cache>/<name>`; print what is in it and how to train on it; return the exit status."""
    return exit_status(lambda: _prepare_and_report(recipe, options, suffix))


def _prepare_and_report(recipe: Recipe, options: argparse.Namespace, suffix: str) -> None:
    if options.merges != options.default_merges:
        suffix += f"_bpe{options.merges}"
    folder = options.cache / f"{recipe.name}{suffix}"
    if options.merges < 1 or options.workers < 1:
        raise UserError("--merges and --workers must be at least 1")
    try:
        from skipln.data.text.published.preparation import prepare
    except ImportError as error:
        raise UserError(f"{error.name} is missing; run `make setup`, or install the extra skipln[wmt]") from error
    about = prepare(recipe, folder, options.cache / "downloads" / recipe.name, options.workers)
    lines = sum(about["lines"][corpus.name] for corpus in recipe.train)
    print(f"{folder}: {about['pairs']:,} of {lines:,} training pairs after cleaning, {about['vocabulary']:,} subwords")
    for corpus in (recipe.valid, recipe.test):
        print(f"  {corpus.name}: {about['lines'][corpus.name]:,} lines")
    overrides = f"data={recipe.name}"
    if suffix:
        overrides += f" data.name={folder.name} data.dir={folder} data.vocabulary={options.merges}"
    elif options.cache != Path("data"):
        overrides += f" paths.cache={options.cache}"
    print(f"to train on it: python -m skipln.train scale=paper {overrides}")
