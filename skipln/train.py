"""`skipln-train GROUP=CHOICE … KEY=VALUE …` or `python -m skipln.train …`: one run, or a sweep with --multirun.

Exit status: 0 if done or diverged (both are results), 2 for a mistake that the user can correct, 130 if interrupted
(start again to continue). torch is loaded only after the configuration has been checked.
"""

import os
import sys
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig

from skipln.configuration.composition import check, check_choice, compose, require_data
from skipln.configuration.schema import RunConfig, SlurmLauncher
from skipln.configuration.submission import submitting
from skipln.errors import UserError
from skipln.runs.reading import required_result
from skipln.runs.result import read_result
from skipln.system.places import CONFIGS
from skipln.system.printing import exit_status, print_error

INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    if {"--help", "-h"} & set(arguments):
        from skipln.configuration.help import text

        return exit_status(lambda: print(text(), end=""))
    if any(argument.startswith("-") for argument in arguments):
        return exit_status(lambda: _hydra_command(arguments))
    return exit_status(lambda: run(compose(arguments)))


def command() -> int:
    """The console script `skipln-train`."""
    return main(sys.argv[1:])


def run(config: RunConfig) -> int:
    """Train, test and record one run, or continue it; return the exit status. Report mistakes before torch loads."""
    if read_result(config.folder) is None:
        require_data(config)
        for name in config.inputs:
            required_result(Path(config.paths.runs) / name)
    from skipln.system.allocator import keep_freed_memory

    keep_freed_memory()
    if config.engine == "fairseq" and not config.inputs:
        from skipln.interop.fairseq.engine import execute
    else:
        from skipln.engine.run import execute

    return INTERRUPTED if execute(config) == "interrupted" else 0


def _hydra_command(arguments: list[str]) -> int:
    """Hydra's own command line: --multirun, --cfg, --info. A failed run of a sweep does not stop the others."""
    worst = 0
    with suppress(HydraException):  # Hydra itself answers what it cannot parse
        for argument in arguments:
            check_choice(argument)

    @hydra.main(config_path=str(CONFIGS), config_name="config", version_base="1.3")
    def job(composed: DictConfig) -> None:
        nonlocal worst
        try:
            worst = max(worst, run(check(composed)))
        except UserError as error:
            print_error(error)
            worst = max(worst, 2)
            if "SUBMITIT_EXECUTOR" in os.environ:
                raise  # so that the submitting process sees it

    with _submission(arguments):
        job()
    return worst


def _submission(arguments: list[str]) -> AbstractContextManager[None]:
    """If a sweep is submitted, print SLURM's refusal or a run's mistake as one line."""
    chosen = [argument for argument in arguments if argument.startswith(("launcher=", "launcher."))]
    if not {"--multirun", "-m"} & set(arguments) or not chosen:
        return nullcontext()
    launcher = compose(chosen).launcher
    if not isinstance(launcher, SlurmLauncher):
        return nullcontext()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra raises errors and does not print them
    return submitting(launcher)


if __name__ == "__main__":
    sys.exit(command())
