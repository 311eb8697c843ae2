"""Connections with a learned λ; and every parameter of every connection learns."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from skipln import skips
from skipln.models.resnet import ResNet, ResNetShape
from tests.skips.stacks import DIM, branch, norm, run, sites, transformer


@pytest.mark.parametrize("per", ["scalar", "channel"])
@pytest.mark.parametrize(("name", "fixed"), [("xskip_learned", "xskip"), ("xskip_ln_learned", "xskip_ln")])
def test_a_learned_lambda_starts_as_a_fixed_one_and_moves(x, layout, name, fixed, per):
    assert torch.equal(run(name, x, layout, lam=2.5, per=per), run(fixed, x, layout, lam=2.5))
    (site, _) = sites(name, layout, count=1, per=per)
    site.lam.data = torch.rand_like(site.lam)
    lam = site.lam.reshape(-1, 1, 1) if layout == "nchw" else site.lam
    y = lam * x + branch(x)
    torch.testing.assert_close(site(x, branch), norm(y) if "_ln" in name else y)
    assert site.lam.numel() == (1 if per == "scalar" else DIM)


@pytest.mark.parametrize("lam", [1, 2, 5])
def test_a_learned_rskip_at_an_integer_equals_the_recursion(x, layout, lam):
    """`rskip_ln` computes the recursion step by step, with norms that start with gain 1 and bias 0."""
    for per in ("scalar", "channel"):
        learned = run("rskip_ln_learned", x, layout, lam=lam, per=per)
        torch.testing.assert_close(learned, run("rskip_ln", x, layout, lam=lam), rtol=1e-4, atol=1e-4)


def test_a_learned_rskip_takes_part_of_a_step_between_integers(x, layout):
    (site, _) = sites("rskip_ln_learned", layout, count=1, lam=2.25)
    over = -1 if layout == "btc" else (1, 2, 3)
    f = branch(x)
    a = 1.0
    for part in (1, 0.25):
        a = a + part * ((a * x + f).var(over, correction=0, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(site(x, branch), norm(a * x + f))
    torch.testing.assert_close(
        run("rskip_ln_learned", x, layout, lam=0.4), run("xskip_ln", x, layout, lam=0.4), rtol=1e-6, atol=1e-6
    )
    site.lam.data.fill_(float("nan"))  # a diverged training must not crash
    assert site(x, branch).isnan().all()
    site.lam.data.fill_(1e30)
    torch.testing.assert_close(site.float()(x.float(), branch), norm(x.float()), rtol=1e-4, atol=1e-4)


def test_a_learned_rskip_can_be_exported(x, layout):
    """The exported graph cannot depend on λ; steps beyond λ change nothing."""
    (site, _) = sites("rskip_ln_learned", layout, count=1, lam=2.25)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.site = site

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.site(x, torch.sin)

    torch.testing.assert_close(torch.export.export(Net(), (x,)).module()(x), site(x, torch.sin))


@pytest.mark.parametrize("per", ["scalar", "channel"])
@pytest.mark.parametrize("lam", [0.5, 1.6, 2.0, 3.3])
def test_the_gradient_of_a_learned_lambda_is_right(x, layout, lam, per):
    (site, _) = sites("rskip_ln_learned", layout, count=1, lam=lam, per=per)
    if per == "channel":
        site.lam.data += torch.linspace(-0.1, 0.1, DIM)
    elif lam == 2:
        site.lam.data -= 1e-3  # at an integer, the gradient is that of the step before

    def loss(value: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(site, {"lam": value}, (x, branch)).sin().sum()

    assert torch.autograd.gradcheck(loss, (site.lam,))


@pytest.mark.parametrize("name", skips.names())
def test_every_parameter_of_a_connection_learns(name):
    """After one or two updates: a branch that starts at zero gives no gradient to what feeds it, and the encoder gets
    one only after the decoder's branches. Modules put into branches learn too, and a step in bf16 is finite."""
    net, others = transformer(name), dict(transformer("skip").named_parameters())
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    source, target = torch.randint(4, 20, (2, 4, 7), generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", torch.bfloat16):
        loss = F.cross_entropy(net(source, target), target.flatten())
    loss.backward()
    assert loss.isfinite() and all(parameter.grad.isfinite().all() for parameter in net.parameters())
    for updates in range(3):
        optimizer.zero_grad()
        F.cross_entropy(net(source, target), target.flatten()).backward()
        for key, parameter in net.named_parameters():
            of_connection = ".sites." in key or key not in others
            if of_connection and (updates == 2 or (updates == 1 and key.startswith("decoder."))):
                assert parameter.grad.abs().sum() > 0, (updates, key)
        optimizer.step()


@pytest.mark.parametrize("name", [name for name in skips.names() if not skips.registry.find(name).kind.not_in_resnets])
def test_every_parameter_of_a_connection_learns_in_a_resnet(name):
    """Each has a gradient after two updates of a pre-activation net of two stages, where all connections are legal.

    In a block that projects its input, the branch reads what the projection reads. Parameters that change F's input
    have no effect there, and no gradient at all.
    """
    torch.manual_seed(0)
    shape = ResNetShape([2, 2], width=4, activation="pre")
    net = ResNet(shape, 1, 10, lambda dim, place: skips.create(name, dim, layout="nchw", place=place))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    images, labels = torch.randn(8, 1, 8, 8), torch.arange(8)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        optimizer.step()
    of_sites = {key: parameter.grad for key, parameter in net.named_parameters() if ".site." in key}
    assert all(gradient.any() for gradient in of_sites.values() if gradient is not None)
    spared = {key for key, gradient in of_sites.items() if gradient is None}
    assert all(key.startswith("stages.1.0.") for key in spared) and (len(spared) < len(of_sites) or not of_sites)
