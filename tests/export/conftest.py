"""Runs of both forms that CTranslate2 knows, trained until their translations end; those of tests/trained; another."""

from pathlib import Path

import pytest

from skipln.configuration.composition import compose
from skipln.engine.run import execute
from tests.trained.conftest import SHORT, classifier, translator  # noqa: F401  (fixtures)

# Most words are a piece, so that word by word is learnt at once.
LONGER = [
    "data.vocabulary=360", "training.updates=250", "training.checkpoint_every=50", "training.average=2",
    "optim.lr=0.005",
]  # fmt: skip


def trained(*overrides: str) -> Path:
    config = compose(list(overrides))
    assert execute(config) == "done"
    return config.folder


@pytest.fixture(scope="session")
def post_ln(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(*tiny, *LONGER, "skip=xskip_ln", f"paths.runs={tmp_path_factory.mktemp('runs')}")


@pytest.fixture(scope="session")
def pre_ln(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(*tiny, *LONGER, "skip=pre_ln", f"paths.runs={tmp_path_factory.mktemp('runs')}")


@pytest.fixture(scope="session")
def two_steps(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a connection that CTranslate2 does not know."""
    return trained(*tiny, *SHORT, "skip=rskip_ln", "skip.lam=2", f"paths.runs={tmp_path_factory.mktemp('runs')}")
