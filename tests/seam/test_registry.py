"""The registry is strict, and the configuration's YAML says exactly what the classes take."""

import ast
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from skipln import skips
from skipln.seam.options import check_options

ROOT = Path(__file__).resolve().parents[2]


def test_unknown_names_and_options_list_the_choices():
    with pytest.raises(ValueError, match="unknown connection 'highway': choose one of rskip_bn, rskip_ln, skip"):
        skips.create("highway", 4)
    with pytest.raises(ValueError, match="skip has no option 'lam': its options are pre_norm"):
        skips.create("skip", 4, lam=2.0)
    with pytest.raises(ValueError, match="layout is one of btc, nchw"):
        skips.create("skip", 4, layout="bct")


@pytest.mark.parametrize("lam", [0, -1, 1.5, 0.5, "2", True, None, float("nan"), float("inf")])
def test_rskip_wants_an_integer_of_at_least_one(lam):
    with pytest.raises(ValueError, match="rskip_ln: lam is an integer greater than 0, not"):
        skips.create("rskip_ln", 4, lam=lam)


@given(st.one_of(st.floats(max_value=0), st.just(float("nan")), st.text(), st.booleans(), st.none()))
def test_xskip_wants_a_positive_number(lam):
    with pytest.raises(ValueError, match="xskip: lam is a number greater than 0, not"):
        skips.create("xskip", 4, lam=lam)


@given(st.dictionaries(st.sampled_from(["a", "b"]), st.integers()))
def test_given_options_replace_defaults_and_nothing_else(options):
    assert check_options("it", options, {"a": 1, "b": 2}) == {"a": 1, "b": 2, **options}


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="registered twice"):
        skips.register("skip")(object)


@pytest.mark.parametrize("name", skips.names())
def test_yaml_lists_the_options_of_the_class(name):
    content = yaml.safe_load((ROOT / f"configs/skip/{name}.yaml").read_text())
    assert content.pop("name") == name
    options = skips.options(name)
    assert content == options
    assert {key: type(value) for key, value in content.items()} == {k: type(v) for k, v in options.items()}


@pytest.mark.parametrize("name", skips.names())
def test_every_option_changes_the_output(name):
    """A keyword that is accepted and never used would be a lie."""
    other = {"lam": 5, "pre_norm": True, "share_norm": True}
    x = torch.randn(2, 3, 8)

    def output(**options):
        torch.manual_seed(0)
        site = skips.create(name, 8, **options)
        for parameter in site.parameters():
            torch.nn.init.normal_(parameter)
        return site(x, torch.sin)

    for option in skips.options(name):
        assert not torch.allclose(output(), output(**{option: other[option]})), option


@pytest.mark.parametrize(
    ("folder", "known"),
    [
        ("seam", ("seam", "norms", "ops")),
        ("skips", ("seam", "skips", "norms")),
        ("norms", ("seam", "norms")),
        ("ops", ("ops",)),
    ],
)
def test_connections_norms_and_operations_import_nothing_of_ours_beyond_them(folder, known):
    for path in ROOT.glob(f"skipln/{folder}/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("skipln"):
                assert node.module == "skipln" or node.module.split(".")[1] in known, path


def test_models_never_add_a_residual_themselves():
    """In a model, only positions are added to embeddings: every x + f(x) goes through the seam."""
    for path in ROOT.glob("skipln/models/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Add):
                text = ast.unparse(node)
                assert "self.positions" in text or not {"x", "h", "branch"} & {
                    leaf.id for leaf in ast.walk(node) if isinstance(leaf, ast.Name)
                }, f"{path}: {text}"


def test_connections_are_small():
    for path in ROOT.glob("skipln/skips/*skip*.py"):
        assert len(path.read_text().splitlines()) <= 60, path
