"""DeepNorm and Sub-LN against whole stacks of torchscale, on equal weights."""

import sys
import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from skipln.models.transformer import Transformer
from skipln.skips.deepnorm import constants
from tests.parity.agreement import CLOSE, leaf
from tests.skips.stacks import transformer

pytestmark = pytest.mark.parity
ROWS, TIME, DIM, HEADS, HIDDEN = 2, 5, 16, 4, 32  # the last three as in `transformer`, which has 2 and 3 layers
NAMES = {  # theirs → ours
    "self_attn_layer_norm": "sites.0.norm",
    "encoder_attn_layer_norm": "sites.1.norm",
    "self_attn": "self_attention",
    "encoder_attn": "source_attention",
    "q_proj": "query",
    "k_proj": "key_value",
    "v_proj": "key_value",
    "out_proj": "out",
    "inner_attn_ln": "inner",
    "ffn.fc1": "feed_forward.0",
    "ffn.fc2": "feed_forward.3",
    "ffn.ffn_layernorm": "feed_forward.2.1",
}


@pytest.fixture(scope="module")
def torchscale():
    pytest.importorskip("torchscale", reason="torchscale is not installed (make parity)")
    sharding = SimpleNamespace(checkpoint_wrapper=None, wrap=None)  # imported from fairscale, but never called here
    sys.modules.setdefault("fairscale", SimpleNamespace(nn=sharding))
    sys.modules.setdefault("fairscale.nn", sharding)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports a deprecated module of timm
        from torchscale.architecture import config, decoder, encoder

    def build(part: str, **options: object) -> nn.Module:
        sizes = {"encoder_layers": 2, "decoder_layers": 3}
        for stack in ("encoder", "decoder"):
            sizes |= {f"{stack}_embed_dim": DIM, f"{stack}_attention_heads": HEADS, f"{stack}_ffn_embed_dim": HIDDEN}
        given = config.EncoderDecoderConfig(activation_fn="relu", no_output_layer=True, **sizes, **options)
        given.drop_path_rate = 0.0
        torch.manual_seed(1)
        kind = {"encoder": encoder.Encoder, "decoder": decoder.Decoder}[part]
        return kind(given, is_encoder_decoder=True)

    return build


def renamed(name: str, last: int, stack: str) -> str:
    for old, new in NAMES.items():
        name = name.replace(f".{old}.", f".{new}.")
    closing = f"sites.{1 if stack == 'encoder' else 2}"
    name = name.replace("final_layer_norm", f"{closing}.norm").replace("layers.", f"{stack}.")
    return f"{stack}.{last}.{closing}.last_norm.{name.split('.')[1]}" if name.startswith("layer_norm.") else name


def pairs(ours: Transformer, theirs: nn.Module, stack: str) -> dict[str, list[Tensor]]:
    """Map the name of each of our parameters in the stack to theirs: two if ours joins keys and values."""
    found: dict[str, list[Tensor]] = {}
    for name, parameter in theirs.named_parameters():
        found.setdefault(renamed(name, len(theirs.layers) - 1, stack), []).append(parameter)
    assert set(found) == {name for name, _ in ours.named_parameters() if name.startswith(f"{stack}.")}
    return found


def perturb(net: nn.Module) -> None:
    """Change all weights, because at the start gains are 1 and biases 0."""
    for i, parameter in enumerate(net.parameters()):
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(i))


def copy_weights(ours: Transformer, theirs: dict[str, list[Tensor]]) -> None:
    for name, parameter in ours.named_parameters():
        if name in theirs:
            parameter.data = torch.cat([part.detach() for part in theirs[name]])


def gradients(y: Tensor, groups: list[list[Tensor]]) -> list[Tensor]:
    """Return the gradients of a weighted sum of y for each group of tensors, concatenated within the group."""
    weights = torch.cos(torch.arange(y.numel(), dtype=y.dtype)).view_as(y)
    found = iter(torch.autograd.grad((y * weights).sum(), [leaf for group in groups for leaf in group]))
    return [torch.cat([next(found) for _ in group]) for group in groups]


def agree(ours: Transformer, theirs: dict[str, list[Tensor]], outputs: list[Tensor], inputs: list[Tensor]) -> None:
    """Assert that both outputs and the gradients of every weight and every input agree within 1e-5."""
    torch.testing.assert_close(*outputs, **CLOSE)
    held, outside = dict(ours.named_parameters()), [[x] for x in inputs]
    mine = gradients(outputs[0], outside + [[held[name]] for name in theirs])
    others = gradients(outputs[1], outside + list(theirs.values()))
    for name, a, b in zip(["input"] * len(inputs) + list(theirs), mine, others, strict=True):
        assert a.abs().sum() > 0, name
        torch.testing.assert_close(a, b, **CLOSE, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize(("name", "options"), [("deepnorm", {"deepnorm": True}), ("sub_ln", {"subln": True})])
def test_encoders_agree(torchscale, name, options):
    ours, theirs = transformer(name), torchscale("encoder", **options)
    perturb(theirs)
    mapped = pairs(ours, theirs, "encoder")
    copy_weights(ours, mapped)
    x, mask = leaf(ROWS, TIME, DIM), torch.arange(TIME) < torch.tensor([[TIME], [3]])

    def encoded() -> Tensor:
        h = ours.encoder[0].sites[0].enter(x * mask.unsqueeze(-1))
        for layer in ours.encoder:
            h = layer(h, mask)
        return ours.encoder[-1].sites[-1].leave(h)

    other = theirs(None, encoder_padding_mask=~mask, token_embeddings=x, features_only=True)["encoder_out"]
    agree(ours, mapped, [encoded()[mask], other[mask]], [x])


@pytest.mark.parametrize(("name", "options"), [("deepnorm", {"deepnorm": True}), ("sub_ln", {"subln": True})])
def test_decoders_agree(torchscale, name, options):
    """torchscale's Sub-LN has no inner norm in the attention to the source, so ours is removed here."""
    ours, theirs = transformer(name), torchscale("decoder", **options)
    for layer in ours.decoder:
        layer.source_attention.inner = nn.Identity()
    perturb(theirs)
    mapped = pairs(ours, theirs, "decoder")
    copy_weights(ours, mapped)
    x, memory = leaf(ROWS, TIME, DIM), leaf(ROWS, TIME + 1, DIM, seed=1)
    mask, everything = torch.arange(TIME + 1) < torch.tensor([[TIME + 1], [4]]), torch.ones(ROWS, TIME) > 0

    def decoded() -> Tensor:
        h = ours.decoder[0].sites[0].enter(x)
        for layer in ours.decoder:
            h = layer(h, everything, memory, mask)
        return ours.decoder[-1].sites[-1].leave(h)

    source = {"encoder_out": memory, "encoder_padding_mask": ~mask}
    other, _ = theirs(torch.zeros(ROWS, TIME), encoder_out=source, token_embeddings=x, features_only=True)
    agree(ours, mapped, [decoded(), other], [x, memory])


@pytest.mark.parametrize(("name", "options"), [("deepnorm", {"deepnorm": True}), ("sub_ln", {"subln": True})])
@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_initial_matrices_are_scaled_by_the_same_factors(torchscale, stack, name, options):
    """Except in DeepNorm's encoder: torchscale's factor is 1.15 (N⁴M)^(-1/16), the paper's and ours has 0.87."""
    site = getattr(transformer(name), stack)[0].sites[0]
    factor = constants(site.place)[1] if name == "deepnorm" else site.gamma
    if (name, stack) == ("deepnorm", "encoder"):
        factor *= 1.15 / 0.87
    before, after = (dict(torchscale(stack, **given).named_parameters()) for given in ({"subln": False}, options))
    matrices = [role for role, weight in before.items() if weight.dim() == 2]
    assert len(matrices) == (2 * 6 if stack == "encoder" else 3 * 10)
    for role in matrices:
        scaled = any(part in role for part in ("fc1", "fc2", "out_proj", "v_proj"))
        scaled &= name == "deepnorm" or "encoder_attn" not in role
        torch.testing.assert_close(after[role], before[role] * (factor if scaled else 1.0), msg=role)
