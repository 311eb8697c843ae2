import pytest

from scripts.pages.illegal_pairs import PAGE, nets, page
from skipln.configuration.composition import compose
from skipln.errors import UserError
from skipln.tasks import create_task


def test_the_page_is_what_the_registry_says():
    assert PAGE.read_text("utf-8") == page()


def test_every_resnet_of_the_zoo_is_asked():
    assert {"resnet56", "preact_resnet20", "resnet50"} <= set(nets())


@pytest.mark.parametrize(
    ("net", "name", "why"),
    [
        ("resnet20", "denseformer", "denseformer carries more than x"),
        ("preact_resnet20", "ngpt", "ngpt norms matrices along the channels of a stream"),
        ("preact_resnet20", "denseformer", ""),
    ],
)
def test_a_pair_on_the_page_is_refused_when_it_is_built_and_another_is_not(net, name, why):
    task = create_task(compose(["task=classification", "scale=test", f"model={net}", f"skip={name}"]))
    (row,) = [line for line in page().splitlines() if line.startswith(f"| `{name}` | ")]
    assert bool(why) == (f"`{net}`" in row) and "`rskip_ln` | " not in page()
    if not why:
        task.build()
        return
    with pytest.raises(UserError, match=why):
        task.build()
