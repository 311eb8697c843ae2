import pytest

from scripts.pages.illegal_pairs import PAGE, nets, page
from skipln.configuration.composition import compose
from skipln.errors import UserError
from skipln.tasks import create_task


def test_the_page_follows_from_the_registry():
    assert PAGE.read_text("utf-8") == page()


def test_every_resnet_of_the_zoo_is_covered():
    assert {"resnet56", "preact_resnet20", "resnet50"} <= set(nets())


@pytest.mark.parametrize(
    ("net", "name", "why"),
    [
        ("resnet20", "denseformer", "denseformer carries more than x"),
        ("preact_resnet20", "ngpt", "ngpt normalises matrices along the stream's channels"),
        ("preact_resnet20", "denseformer", ""),
    ],
)
def test_pairs_on_the_page_and_only_those_are_refused_when_built(net, name, why):
    task = create_task(compose(["task=classification", "scale=test", f"model={net}", f"skip={name}"]))
    (row,) = [line for line in page().splitlines() if line.startswith(f"| `{name}` | ")]
    assert bool(why) == (f"`{net}`" in row) and "`rskip_ln` | " not in page()
    if not why:
        task.build()
        return
    with pytest.raises(UserError, match=why):
        task.build()
