"""A translation run and a classification run, trained in seconds."""

from pathlib import Path

import pytest

from skipln.configuration.composition import compose
from skipln.engine.run import execute

SHORT = ["training.updates=60", "training.checkpoint_every=20", "training.average=2", "optim.lr=0.01"]


@pytest.fixture(scope="session")
def translator(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished translation run that was moved, and whose data are elsewhere."""
    config = compose([*tiny, *SHORT, f"paths.runs={tmp_path_factory.mktemp('runs')}"])
    assert execute(config) == "done"
    return config.folder.rename(tmp_path_factory.mktemp("elsewhere") / "mine")


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    overrides = [
        "task=classification", "scale=test", "data=digits", f"paths.runs={tmp_path_factory.mktemp('runs')}",
        f"paths.cache={tmp_path_factory.mktemp('cache')}", "compute.accelerator=cpu", "compute.threads=1",
    ]  # fmt: skip
    config = compose(overrides)
    assert execute(config) == "done"
    return config.folder.rename(tmp_path_factory.mktemp("elsewhere") / "mine")
