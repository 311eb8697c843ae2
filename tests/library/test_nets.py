"""Nets built by one call, and the examples of README and docs/guide.md, which are executed."""

import re

import pytest
import torch

import skipln
from skipln.configuration.composition import compose
from skipln.errors import UserError
from skipln.system.places import ROOT
from skipln.tasks.classification import build_resnet
from skipln.tasks.translation import build_transformer

PAGES = [path for path in (ROOT / "README.md", ROOT / "docs" / "guide.md") if path.is_file()]
EXAMPLES = [
    (path.name, code)
    for path in PAGES
    for code in re.findall(r"```python\n(.*?)```", path.read_text("utf-8"), re.DOTALL)
    if "register" not in code and "load_run" not in code  # see tests/test_add_a_connection.py and tests/trained
]


def test_the_transformer_equals_that_of_a_configuration() -> None:
    config = compose(["model=transformer_tiny", "skip=rskip_ln", "skip.lam=3"])
    expected = build_transformer(config, 90)
    net = skipln.transformer(90, skip="rskip_ln", lam=3, layers=2, dim=128, heads=4, dropout=0.0)
    assert list(map(str, net.children())) == list(map(str, expected.children()))
    assert {k: v.shape for k, v in net.state_dict().items()} == {k: v.shape for k, v in expected.state_dict().items()}
    source = torch.tensor([[5, 6, 7, 0], [5, 6, 0, 0]])
    assert net(source, source).shape == (5, 90)


@pytest.mark.parametrize(
    ("depth", "model", "activation"),
    [(20, "resnet20", "post"), (56, "preact_resnet56", "pre"), (18, "resnet18", "post"), (50, "resnet50", "post")],
)
def test_the_resnet_equals_that_of_a_configuration(depth: int, model: str, activation: str) -> None:
    with torch.device("meta"):
        config = compose(["task=classification", f"model={model}", "skip=xskip", "skip.lam=2"])
        expected = build_resnet(config, 3, 10)
        net = skipln.resnet(depth, skip="xskip", lam=2.0, activation=activation)
    assert {k: v.shape for k, v in net.state_dict().items()} == {k: v.shape for k, v in expected.state_dict().items()}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: skipln.resnet(21), "no ResNet has depth 21: choose 6n + 2, such as 20, 56 and 110, or 18, 34"),
        (lambda: skipln.resnet(2), "no ResNet has depth 2"),
        (lambda: skipln.resnet(20, skip="mine"), "unknown connection 'mine'"),
        (lambda: skipln.resnet(20, skip="denseformer"), "denseformer carries more than x"),
        (lambda: skipln.resnet(20, activation="preact"), "activation is post or pre, not 'preact'"),
        (lambda: skipln.resnet(20, classes=0), "classes is at least 1, not 0"),
        (lambda: skipln.transformer(90, layers=(2, 0)), "layers is at least 1, not 0"),
        (lambda: skipln.transformer(0), "vocabulary is at least 1, not 0"),
        (lambda: skipln.transformer(90, heads=0), "heads is at least 1, not 0"),
        (lambda: skipln.resnet(20, lam=0), "rskip_ln: lam is an integer greater than 0"),
        (lambda: skipln.transformer(90, dim=30, heads=4), "dim 30 is not divisible by 4 heads"),
        (lambda: skipln.transformer(90, attention="mine"), "unknown attention 'mine'"),
        (lambda: skipln.transformer(90, skip="skip", norm="rms"), "skip has no norm to choose"),
    ],
)
def test_a_mistake_is_one_line(make, said: str) -> None:
    with pytest.raises(UserError) as error:
        make()
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(("page", "code"), EXAMPLES, ids=[f"{page}-{i}" for i, (page, _) in enumerate(EXAMPLES)])
def test_the_example_runs(page: str, code: str) -> None:
    torch.manual_seed(0)
    exec(code, {})


def test_readme_has_an_example_of_every_call() -> None:
    said = "".join(code for page, code in EXAMPLES if page == "README.md")
    for call in ("skips.create(", "skipln.transformer(", "skipln.resnet(", "skipln.convert("):
        assert call in said
    (block,) = (code for page, code in EXAMPLES if page == "README.md" and "skips.create(" in code)
    assert len([line for line in block.splitlines() if line.strip()]) <= 10
