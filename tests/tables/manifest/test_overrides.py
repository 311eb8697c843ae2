"""What a manifest may override: nothing that is the table's or the user's own, and nothing that is resolved."""

from collections.abc import Callable

import pytest

from skipln.tables.manifest import checked_override


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("skip", "an override is KEY=VALUE"),
        ("seed=3", "only the table sets a run's seed"),
        ("'data.name=${oc.env:WANDB_API_KEY}'", "it is not resolved: write out what ${…} stands for"),
        ('"data.name=\\x24{oc.env:HOME}"', "it is not resolved"),
        ("'+launcher.setup=[touch x]'", "only the user chooses a launcher: leave it out"),
        ("launcher@x=slurm", "only the user chooses a launcher"),
        ("tracker=wandb", "only the user chooses a tracker"),
        ("hydra.run.dir=x", "only the user chooses a hydra"),
        ("hydra/launcher=slurm", "only the user chooses a hydra"),
        ("--config-dir=x", "it is an option of the command line"),
    ],
)
def test_an_override_that_is_refused(complaint: Callable[[str, str], str], override: str, said: str) -> None:
    assert said in complaint("[skip=xskip]", f"[{override}]")


@pytest.mark.parametrize("text", ["skip=xskip", "data.dir=/a b", "+norm.eps=1e-3", "data.name=a$b", "model.blocks=[1]"])
def test_any_other_is_taken_as_it_is(text: str) -> None:
    assert checked_override(text) == text
