import pytest

from scripts.illegal_pairs import PAGE, nets, page
from skipln.configuration.composition import compose
from skipln.errors import UserError
from skipln.tasks import create_task


def test_the_page_is_what_the_registry_says():
    assert PAGE.read_text("utf-8") == page()


def test_every_resnet_of_the_zoo_is_asked():
    assert {"resnet56", "preact_resnet20", "resnet50"} <= set(nets())


def test_a_pair_on_the_page_is_refused_when_it_is_built_and_another_is_not():
    config = compose(["task=classification", "scale=test", "model=resnet20", "skip=denseformer"])
    with pytest.raises(UserError, match="denseformer carries more than x"):
        create_task(config).build()
    assert "`denseformer` | " in page() and "`rskip_ln` | " not in page() and "`preact_resnet20`" not in page()
    create_task(compose(["task=classification", "scale=test", "model=preact_resnet20", "skip=denseformer"])).build()
