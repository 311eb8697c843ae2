"""Runs to export: both forms that CTranslate2 knows, trained until translations end, a third form, and two others."""

from pathlib import Path

import pytest

from skipln.configuration.composition import compose
from skipln.engine.run import execute
from tests.trained.conftest import SHORT, classifier, translator  # noqa: F401  (fixtures)

# Most words are one piece, so that word-by-word translation is learnt quickly.
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
    """A run with a connection that CTranslate2 does not know."""
    return trained(*tiny, *SHORT, "skip=rskip_ln", "skip.lam=2", f"paths.runs={tmp_path_factory.mktemp('runs')}")
