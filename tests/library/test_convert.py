"""Converted nets of torch and torchvision: equal at λ = 1, with the same parameters, or refused."""

import copy

import pytest
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

import skipln
from skipln.errors import UserError
from skipln.skips import names

SIZE = {"d_model": 16, "nhead": 2, "dim_feedforward": 24, "dropout": 0.0}
IDENTITIES = {False: [("xskip_ln", 1.0), ("rskip_ln", 1)], True: [("xskip", 1.0)]}  # by norm_first
CASES = [(first, skip, lam) for first, found in IDENTITIES.items() for skip, lam in found]


def shaken(module: nn.Module) -> nn.Module:
    """Change the module to double precision, and its gains, biases and statistics from their initial values."""
    torch.manual_seed(3)
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.is_floating_point():
                tensor.add_(0.2 * torch.rand_like(tensor))
    return module.double()


def alike(theirs: nn.Module, ours: nn.Module, *inputs: torch.Tensor, **options) -> None:
    """Compare outputs, and the gradients of the inputs and of every parameter."""
    found = []
    for net in (theirs, ours):
        net.zero_grad()
        given = [value.clone().requires_grad_(value.is_floating_point()) for value in inputs]
        output = net(*given, **options)
        torch.manual_seed(9)
        (output * torch.randn_like(output)).sum().backward()
        gradients = sorted(float(p.grad.norm()) for p in net.parameters())
        found.append((output.detach(), [value.grad for value in given], gradients))
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("norm_first", "skip", "lam"), CASES)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_a_converted_encoder_computes_the_same(
    norm_first: bool, skip: str, lam: float, batch_first: bool, training: bool
) -> None:
    layer = nn.TransformerEncoderLayer(**SIZE, norm_first=norm_first, batch_first=batch_first, layer_norm_eps=1e-3)
    theirs = shaken(nn.TransformerEncoder(layer, 2, nn.LayerNorm(16), enable_nested_tensor=False)).train(training)
    ours = skipln.convert(copy.deepcopy(theirs), skip, lam=lam)
    assert ours.training == training and all(one.training == training for one in ours.modules())
    x = torch.randn(3, 5, 16, dtype=torch.double)
    padding = torch.zeros(3, 5, dtype=torch.bool)
    padding[1, 3:] = True
    given = x if batch_first else x.transpose(0, 1)
    alike(theirs, ours, given)
    alike(theirs, ours, given, src_key_padding_mask=padding)
    causal = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.double)
    alike(theirs, ours, given, mask=causal, is_causal=True)


@pytest.mark.parametrize(("norm_first", "skip", "lam"), CASES)
def test_a_converted_transformer_computes_the_same(norm_first: bool, skip: str, lam: float) -> None:
    theirs = shaken(nn.Transformer(**SIZE, num_encoder_layers=2, num_decoder_layers=2, norm_first=norm_first))
    ours = skipln.convert(copy.deepcopy(theirs), skip, lam=lam)
    source, target = (torch.randn(time, 3, 16, dtype=torch.double) for time in (6, 4))
    causal = nn.Transformer.generate_square_subsequent_mask(4, dtype=torch.double)
    padding = torch.zeros(3, 6, dtype=torch.bool)
    padding[2, 2:] = True
    masks = {"src_key_padding_mask": padding, "memory_key_padding_mask": padding}
    alike(theirs, ours, source, target, tgt_mask=causal, **masks)
    single = shaken(nn.TransformerDecoderLayer(**SIZE, norm_first=norm_first))
    alike(single, skipln.convert(copy.deepcopy(single), skip, lam=lam), target, source)
    assert [site.place.stack for site in ours.decoder.layers[1].sites] == ["decoder"] * 3
    assert ours.decoder.layers[1].sites[2].place.last


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
@pytest.mark.parametrize("training", [True, False])
def test_a_converted_resnet_computes_the_same(block, training: bool) -> None:
    theirs = shaken(ResNet(block, [2, 1, 1, 1], num_classes=5)).train(training)
    ours = skipln.convert(copy.deepcopy(theirs), "xskip", lam=1.0)
    images = torch.randn(4, 3, 32, 32, dtype=torch.double)
    alike(theirs, ours, images)
    places = [module.place for module in ours.modules() if hasattr(module, "place")]
    assert [(place.stack, place.layer, place.layers) for place in places] == [
        ("stage1", 1, 2), ("stage1", 2, 2), ("stage2", 1, 1), ("stage3", 1, 1), ("stage4", 1, 1),
    ]  # fmt: skip


def test_torchs_kernels_for_whole_layers_are_not_used() -> None:
    """In evaluation without gradients torch would use one, and skip the sites."""
    layer = nn.TransformerEncoderLayer(**SIZE, batch_first=True)
    theirs = nn.TransformerEncoder(layer, 2).eval()
    ours = skipln.convert(copy.deepcopy(theirs), "xskip_ln", lam=2.0)
    padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    x = torch.randn(2, 5, 16)
    with torch.no_grad():
        found = ours(x, src_key_padding_mask=padding)
    torch.testing.assert_close(found, ours(x, src_key_padding_mask=padding))
    assert not torch.allclose(found[0], theirs(x, src_key_padding_mask=padding)[0], atol=1e-2)


def test_parameters_are_kept_and_norms_become_the_first_norms() -> None:
    layer = nn.TransformerEncoderLayer(**SIZE)
    before = dict(layer.named_parameters())
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    made = skipln.convert(layer, skip="rskip_ln", lam=2)
    after = dict(made.named_parameters())
    assert after["self_attn.in_proj_weight"] is before["self_attn.in_proj_weight"]
    assert after["sites.0.norms.0.weight"] is before["norm1.weight"]
    assert after["sites.1.norms.0.bias"] is before["norm2.bias"]
    assert set(map(id, before.values())) <= set(map(id, after.values()))
    assert after["sites.0.norms.1.weight"].eq(1).all()
    made(torch.randn(5, 2, 16)).square().sum().backward()
    optimizer.step()
    assert not after["sites.0.norms.1.weight"].grad.eq(0).all()


def test_converted_rskip_and_xskip_follow_their_formulas() -> None:
    layer = shaken(nn.TransformerEncoderLayer(**SIZE))
    theirs, x = copy.deepcopy(layer), torch.randn(5, 2, 16, dtype=torch.double)
    made = skipln.convert(layer, skip="rskip_ln", lam=2).double()
    h = x
    for site, (branch, norm) in enumerate(((theirs._sa_block, theirs.norm1), (theirs._ff_block, theirs.norm2))):
        f = branch(h, None, None) if site == 0 else branch(h)
        h = nn.functional.layer_norm(h + norm(h + f), (16,))
    torch.testing.assert_close(made(x), h, rtol=0, atol=1e-6)
    block = shaken(BasicBlock(4, 4))
    images = torch.randn(2, 4, 6, 6, dtype=torch.double)
    f = block.bn2(block.conv2(block.relu(block.bn1(block.conv1(images)))))
    expected = torch.relu(3 * images + f).detach()
    torch.testing.assert_close(skipln.convert(block, "xskip", lam=3.0)(images), expected, rtol=0, atol=1e-6)


def test_padding_does_not_count_in_a_converted_batch_norm() -> None:
    layer = nn.TransformerEncoderLayer(**SIZE, norm_first=True, batch_first=True)
    made = skipln.convert(nn.TransformerEncoder(layer, 1), "rskip_bn", lam=1)
    padding = torch.zeros(3, 5, dtype=torch.bool)
    padding[:, 3:] = True
    x = torch.randn(3, 5, 16)
    other = x.clone()
    other[:, 3:] = 7
    one, two = (made(given, src_key_padding_mask=padding)[:, :3] for given in (x, other))
    torch.testing.assert_close(one, two)


class Subclass(nn.TransformerEncoderLayer):
    pass


def hooked() -> nn.Module:
    layer = nn.TransformerEncoderLayer(**SIZE)
    layer.norm1.register_forward_hook(lambda *_: None)
    return layer


@pytest.mark.parametrize(
    ("module", "options", "said"),
    [
        (
            lambda: nn.Linear(2, 2),
            {},
            "Linear has nothing to convert: only TransformerEncoderLayer, TransformerDecoderLayer",
        ),
        (lambda: nn.Sequential(Subclass(**SIZE)), {}, "Subclass is a subclass of a known layer"),
        (hooked, {}, "has hooks, which would be lost"),
        (lambda: nn.TransformerEncoderLayer(**SIZE), {"skip": "mine"}, "unknown connection 'mine'"),
        (lambda: nn.TransformerEncoderLayer(**SIZE), {"lamb": 2}, "rskip_ln has no option 'lamb'"),
        (lambda: nn.TransformerEncoderLayer(**SIZE), {"skip": "skip"}, "skip has no norm of x + F(x), which a layer"),
        (lambda: nn.TransformerEncoderLayer(**SIZE), {"skip": "rskip_bn"}, "normalises x + F(x) by BatchNorm"),
        (lambda: nn.TransformerEncoderLayer(**SIZE), {"norm": "rms"}, "normalises x + F(x) by RMSNorm"),
        (lambda: nn.TransformerEncoderLayer(**SIZE, bias=False), {}, "a LayerNorm without gain or bias"),
        (lambda: nn.TransformerEncoderLayer(**SIZE), {"skip": "deepnorm"}, "deepnorm initialises the branches"),
        (lambda: nn.TransformerEncoderLayer(**SIZE), {"skip": "hyper_connections"}, "carries more than x"),
        (lambda: ResNet(BasicBlock, [1, 1, 1, 1]), {"skip": "denseformer"}, "carries more than x"),
    ],
)
def test_a_refused_module_is_left_unchanged(module, options: dict, said: str) -> None:
    net = module()
    before = {name: id(part) for name, part in net.named_modules()}
    with pytest.raises(UserError) as error:
        skipln.convert(net, **{"skip": "rskip_ln", **options})
    assert said in str(error.value) and "\n" not in str(error.value)
    assert {name: id(part) for name, part in net.named_modules()} == before


@pytest.mark.parametrize("name", names())
def test_every_connection_is_accepted_or_refused_in_one_line(name: str) -> None:
    nets = [
        (nn.TransformerEncoderLayer(**SIZE, norm_first=True), torch.randn(5, 2, 16)),
        (ResNet(BasicBlock, [1, 1, 1, 1]), torch.randn(2, 3, 32, 32)),
    ]
    for net, x in nets:
        try:
            output = skipln.convert(net, name)(x)
        except UserError as error:
            assert "\n" not in str(error) and str(error).startswith(name)
        else:
            assert output.isfinite().all()
