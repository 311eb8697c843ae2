"""Whole encoders of x-transformers against stacks of ours, whose branches are the encoder's own blocks."""

import pytest
import torch
from torch import Tensor

from skipln.seam.connection import Connection
from tests.parity.agreement import CLOSE, DIM, leaf, site, stream

pytestmark = pytest.mark.parity

SITES = 4


@pytest.fixture(scope="module")
def library():
    pytest.importorskip("x_transformers", reason="x-transformers is not installed (make parity)")
    from x_transformers import x_transformers

    return x_transformers


def encoder(library, **options: object):
    torch.manual_seed(0)
    made = library.Encoder(dim=DIM, depth=SITES // 2, heads=2, attn_dim_head=8, ff_no_bias=True, **options)
    for i, parameter in enumerate(made.parameters()):
        parameter.data += 0.2 * leaf(*parameter.shape, seed=i).detach()
    return made


def copy_norm(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    """Copy the gain of one of their norms, which may be stored minus 1; they have no bias."""
    gain = theirs.gamma if hasattr(theirs, "gamma") else theirs.g
    gain = (gain + float(theirs.unit_offset)) * (1 if hasattr(theirs, "gamma") else DIM**0.5)
    ours.weight.data = gain.detach().clone().view_as(ours.weight)


def stack(made, name: str, places: dict[str, int], **options: object) -> list[Connection]:
    """Return our sites with their norms: `places` maps the names of our norms to indices in a layer's three norms."""
    sites = [site(name, i, sites=SITES, layers=SITES // 2, **options) for i in range(SITES)]
    for one, (norms, _, _) in zip(sites, made.layers, strict=True):
        for attribute, which in places.items():
            if getattr(one, attribute) is not None:
                copy_norm(getattr(one, attribute), norms[which])
    if hasattr(sites[-1], "last_norm"):
        copy_norm(sites[-1].last_norm, made.final_norm)
    return sites


def through(made, sites: list[Connection], x: Tensor) -> Tensor:
    streams = sites[0].enter(x)
    for one, (_, block, _) in zip(sites, made.layers, strict=True):

        def f(h: Tensor, block=block) -> Tensor:
            found = block(h)
            return found[0] if isinstance(found, tuple) else found

        streams = one(streams, f)
    return sites[-1].leave(streams)


def agree(made, sites: list[Connection]) -> None:
    """Compare outputs, and the gradients of x and of every weight of the blocks."""
    x, found = stream(), []
    weights = [parameter for _, block, _ in made.layers for parameter in block.parameters()]
    for y in (through(made, sites, x), made(x)):
        factors = torch.cos(torch.arange(y.numel(), dtype=y.dtype)).view_as(y)
        found.append((y, *torch.autograd.grad((y * factors).sum(), [x, *weights])))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, **CLOSE)


def test_pre_ln_agrees(library):
    made = encoder(library)
    agree(made, stack(made, "pre_ln", {"norm": 0}))


def test_sandwich_ln_agrees(library):
    made = encoder(library, sandwich_norm=True)
    agree(made, stack(made, "sandwich_ln", {"norm": 0, "after": 1}))


@pytest.mark.parametrize("lam", [1.0, 2.5])
def test_post_ln_of_a_scaled_input_agrees(library, lam):
    made = encoder(library, pre_norm=False, scale_residual_constant=lam)
    agree(made, stack(made, "xskip_ln", {"norm": 2}, lam=lam))


def test_post_ln_with_scale_norm_agrees(library):
    made = encoder(library, pre_norm=False, use_scalenorm=True)
    agree(made, stack(made, "xskip_ln", {"norm": 2}, norm="scale"))


def test_pre_and_post_norm_is_keel_after_its_first_layer(library):
    """Their α is the same everywhere; in the paper's first layer it is 1, and its first site has no norm after it."""
    made = encoder(library, pre_and_post_norm=True, scale_residual_constant=4.0)
    sites = stack(made, "keel", {"inner": 0, "outer": 2})
    for one, (norms, _, _) in zip(sites[:2], made.layers[:2], strict=True):
        one.alpha = 4.0
        if one.outer is None:
            one.outer = type(one.inner)(DIM)
            copy_norm(one.outer, norms[2])
    made.final_norm = torch.nn.Identity()
    agree(made, sites)


def test_orthogonal_updates_of_single_positions_agree(library):
    """Theirs treats a whole sequence as one vector; ours, like the paper, treats each position alone."""
    theirs, one = library.OrthogonalResidualUpdate(DIM), site("orthogonal_update")
    x, f = (stream(seed).detach().flatten(0, 1).unsqueeze(1).requires_grad_() for seed in (0, 1))
    assert not torch.allclose(one.join(stream(), stream(1)), theirs(stream(1), stream()), atol=0.1)
    found = []
    for y in (one.join(x, f), theirs(f, x)):
        found.append((y, *torch.autograd.grad(y.sin().sum(), [x, f])))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, **CLOSE)
