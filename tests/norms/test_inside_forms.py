"""Every norm inside the forms that take one: both layouts, types, padding and options; every parameter learns."""

from pathlib import Path

import pytest
import torch
import yaml

from skipln import norms, skips
from skipln.configuration.composition import compose
from skipln.errors import UserError
from skipln.seam.place import Place
from tests.seam.test_registry import other_value

CONFIGS = Path(__file__).resolve().parents[2] / "configs/norm"
DIM = 8
SHAPES = {"btc": (3, 5, DIM), "nchw": (3, DIM, 2, 4)}
LEGAL = [(name, layout) for name in norms.names() for layout in SHAPES if (name, layout) != ("mimic", "btc")]
FORMS = {name: options for name in skips.names() if skips.takes_norm(name) for options in [skips.options(name)]}


def build(form: str, norm: str, layout: str, **options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return skips.create(form, DIM, layout=layout, place=Place(), norm=norms.create(norm, **options))


def through(site: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    return site.leave(site(site.enter(x), lambda h: (1.7 * h).sin() + 0.3 * h.roll(1, 0)))


def test_the_yaml_lists_the_options_of_the_class():
    chosen = [name for name in norms.names() if name != "batch"]  # the _bn forms have it
    assert sorted(path.stem for path in CONFIGS.glob("*.yaml")) == chosen
    for name in chosen:
        assert yaml.safe_load((CONFIGS / f"{name}.yaml").read_text()) == {"name": name, **norms.options(name)}


@pytest.mark.parametrize(("norm", "layout"), LEGAL)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_takes_every_norm(form, norm, layout):
    """Float32 and bf16 autocast both work. After one update every parameter has a gradient that is not zero."""
    site, x = build(form, norm, layout), torch.randn(SHAPES[layout])
    optimizer = torch.optim.SGD(site.parameters(), 1e-3) if list(site.parameters()) else None
    for _ in range(2):
        site.zero_grad()
        y = through(site, x.requires_grad_())
        assert y.shape == x.shape and y.dtype == x.dtype
        (y * torch.linspace(-1, 2, y.numel()).view_as(y)).sum().backward()
        if optimizer:
            optimizer.step()
    assert x.grad.isfinite().all()
    spared = {name for name, parameter in site.named_parameters() if parameter.grad is None or not parameter.grad.any()}
    assert not spared
    with torch.autocast("cpu", torch.bfloat16):
        rounded = through(site, x.bfloat16())
        assert rounded.isfinite().all()
    torch.testing.assert_close(rounded.float(), through(site, x), rtol=0.1, atol=0.2)


@pytest.mark.parametrize("form", ["xskip_ln", "rskip_ln"])
@pytest.mark.parametrize("norm", ["none", "mimic"])
def test_without_a_norm_both_forms_equal_the_scaled_skip(form, norm):
    x = torch.randn(SHAPES["nchw"]).double()
    site = skips.create(form, DIM, layout="nchw", norm=norms.create(norm), lam=3)
    plain = skips.create("xskip", DIM, layout="nchw", lam=3.0)
    torch.testing.assert_close(through(site, x), through(plain, x))


@pytest.mark.parametrize("norm", [norm for norm, layout in LEGAL if layout == "btc"])
def test_padding_changes_no_real_position(norm):
    made, mask = norms.create(norm)(DIM, "btc"), torch.arange(5) < torch.tensor([[5], [2], [4]])
    x = torch.randn(3, 5, DIM)
    other = torch.where(mask.unsqueeze(-1), x, 1e4)
    torch.testing.assert_close(made(other, mask)[mask], made(x, mask)[mask])


@pytest.mark.parametrize(("norm", "layout"), [pair for pair in LEGAL if pair[0] != "batch"])
def test_a_row_does_not_depend_on_others(norm, layout):
    made, x = norms.create(norm)(DIM, layout), torch.randn(SHAPES[layout])
    torch.testing.assert_close(made(x)[1:2], made(x[1:2]))


OPTIONS = [(name, option) for name in norms.names() for option in norms.options(name) if name not in ("batch", "mimic")]


@pytest.mark.parametrize(("norm", "option"), OPTIONS)
def test_every_option_changes_the_output(norm, option):
    value = other_value(norm, option, norms) if option != "axes" else {"all": "channel", "channel": "all"}
    value = value[norms.options(norm)[option]] if isinstance(value, dict) else value
    x = 1e-3 * torch.randn(SHAPES["nchw"])  # so small that eps matters
    if (norm, option) == ("scale", "eps"):
        x = 1e-6 * x
    default, other = norms.create(norm)(DIM, "nchw"), norms.create(norm, **{option: value})(DIM, "nchw")
    assert not torch.allclose(default(x), other(x), rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["norm=ada", "norm.k=-1"], "norm: ada: k is a number 0 or more, not -1.0"),
        (["norm=ada", "norm.c=0"], "norm: ada: c is a number greater than 0, not 0.0"),
        (["norm=scale", "norm.eps=0"], "norm: scale: eps is a number greater than 0, not 0.0"),
        (["norm=dyt", "norm.alpha=x"], "norm: dyt: alpha is a number, not 'x'"),
        (["norm=none", "+norm.eps=1"], "norm: none has no option 'eps': it takes no options"),
        (["norm=mimic"], "norm=mimic is for convolutional nets: choose task=classification, or another norm"),
        (["norm=mimic", "task=classification", "model.norm=none"], "norm=mimic replaces batch norm: give"),
        (["norm=simple"], "norm=simple: choose one of ada, derf, dyt, layer, layer_simple, mimic, none, rms, scale"),
    ],
)
def test_mistakes_are_one_line(overrides, said):
    with pytest.raises(UserError) as error:
        compose(overrides)
    assert str(error.value).startswith(said) and "\n" not in str(error.value)


def test_mistakes_of_a_constructor_are_one_line():
    with pytest.raises(ValueError, match="mimic is a norm for convolutional nets: a Transformer has no convolutions"):
        norms.create("mimic")(DIM, "btc")
    with pytest.raises(ValueError, match="ada: a single channel has no unbiased standard deviation"):
        norms.create("ada")(1, "btc")
