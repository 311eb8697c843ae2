"""The scripts' options --project and --entity, which override configs/tracker/wandb.yaml."""

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any

from omegaconf import OmegaConf

from skipln.configuration.schema import WandbTracker
from skipln.system.places import CONFIGS
from skipln.system.printing import exit_status


def add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--project", help="W&B project [configs/tracker/wandb.yaml's]")
    parser.add_argument("--entity", help="W&B user or team [the account's own]")


def tracker_of(options: argparse.Namespace) -> WandbTracker:
    content: Any = OmegaConf.to_container(OmegaConf.load(CONFIGS / "tracker" / "wandb.yaml"))
    given = {"project": options.project, "entity": options.entity}
    return WandbTracker.model_validate(content | {key: value for key, value in given.items() if value})


def run_script(main: Callable[[], None]) -> None:
    """Call `main` and end the process; 2 and one line for a mistake. W&B's exit handler would wait for its server."""
    status = exit_status(main)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
