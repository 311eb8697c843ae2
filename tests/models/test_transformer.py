from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from skipln import skips
from skipln.configuration.composition import compose
from skipln.models.transformer import Transformer, TransformerShape, sinusoids
from skipln.norms import LayerNorm
from skipln.seam.connection import Connection, Place

SHAPE = TransformerShape(2, 3, 32, 64, 4)


def model(name: str = "xskip_ln", shape: TransformerShape = SHAPE, vocabulary: int = 50) -> Transformer:
    torch.manual_seed(0)
    return Transformer(vocabulary, shape, lambda dim, place: skips.create(name, dim, place=place))


@pytest.mark.parametrize(("size", "millions"), [("base", 65), ("big", 213)])
def test_parameter_counts_are_those_published(size, millions):
    """Vaswani et al. 2017, table 3, with a joint vocabulary of 37k."""
    fields = compose([f"model=transformer_{size}"]).model.model_dump(exclude={"kind"})
    with torch.device("meta"):
        built = model(shape=TransformerShape(**fields), vocabulary=37_000)
    assert sum(p.numel() for p in built.parameters()) == pytest.approx(1e6 * millions, rel=0.03)


def test_every_site_knows_its_place():
    places: list[Place] = []

    def connection(dim: int, place: Place) -> Connection:
        places.append(place)
        return skips.create("skip", dim, place=place)

    Transformer(50, SHAPE, connection)
    depths = {"encoder": 2, "decoder": 3}
    branches = {"encoder": ["self_attention", "feed_forward"]}
    branches["decoder"] = ["self_attention", "source_attention", "feed_forward"]
    assert places == [
        Place(stack, (layer - 1) * each + i, layers * each, layer, layers, branch, depths)
        for stack, layers, each in (("encoder", 2, 2), ("decoder", 3, 3))
        for layer in range(1, layers + 1)
        for i, branch in enumerate(branches[stack])
    ]
    assert [place.first for place in places] == [i in (0, 4) for i in range(13)]
    assert [place.last for place in places] == [i in (3, 12) for i in range(13)]
    assert [place.begins_layer for place in places] == [place.branch == "self_attention" for place in places]
    assert [place.ends_layer for place in places] == [place.branch == "feed_forward" for place in places]


class Words(nn.Module):
    """Replaces the embedding and remembers which tokens were read."""

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self.embedding, self.weight, self.read = embedding, embedding.weight, []

    def forward(self, tokens):
        self.read.append(tokens)
        return self.embedding(tokens)


@pytest.mark.parametrize("rate", [0.1, 0.6])
def test_word_dropout_replaces_tokens_with_the_given_probability(rate):
    """It drops each token independently, in both languages, begin and end symbols included, but no padding.

    Nguyen & Salazar 2019, model.py, replace_with_unk.
    """
    built = model(shape=replace(SHAPE, word_dropout=rate, dropout=0.0)).train()
    built.embedding = words = Words(built.embedding)
    torch.manual_seed(1)
    tokens = [torch.randint(2, 50, (200, 40)).masked_fill(torch.arange(40) >= 30, 0) for _ in range(2)]
    given = [t.clone() for t in tokens]
    built(*tokens)
    assert all(torch.equal(a, b) for a, b in zip(tokens, given, strict=True))  # the batch itself is unchanged
    drops = []
    for read, before in zip(words.read, given, strict=True):
        dropped = read != before
        drops.append(dropped[:, :30].float())
        assert (read[dropped] == built.unknown).all()
        assert not dropped[:, 30:].any()
        assert drops[-1].mean().item() == pytest.approx(rate, abs=0.02)  # more than 4 standard deviations
        assert (drops[-1].mean(0) - rate).abs().max() < 5 * (rate * (1 - rate) / 200) ** 0.5  # at every position
    assert not torch.equal(*drops)
    words.read.clear()
    built.eval()(*tokens)
    assert all(torch.equal(a, b) for a, b in zip(words.read, given, strict=True))


def test_word_dropout_scales_nothing_and_keeps_the_targets():
    """Dropping every word equals giving a sentence of unknown words, with the same targets."""
    torch.manual_seed(0)
    source, target, out = (torch.randint(4, 50, (3, 9)) for _ in range(3))
    certain = model(shape=replace(SHAPE, word_dropout=1 - 1e-9, dropout=0.0)).train()
    plain = model(shape=replace(SHAPE, dropout=0.0)).train()
    unknown = torch.full_like(source, plain.unknown)
    torch.testing.assert_close(certain(source, target, out)[0], plain(unknown, unknown, out)[0], rtol=0, atol=0)


def test_without_word_dropout_no_random_number_is_drawn():
    """So runs from before word dropout existed keep their numbers."""
    built = model(shape=replace(SHAPE, dropout=0.0)).train()
    state = torch.get_rng_state()
    built(torch.full((1, 3), 5), torch.full((1, 3), 5))
    assert torch.equal(torch.get_rng_state(), state)


class Streamed(Connection):
    """Carries (x, calls) from site to site, in the way of ResiDual and Hyper-Connections."""

    def enter(self, x):
        return x, 0

    def forward(self, stream, branch, mask=None):
        x, calls = stream
        return x + branch(x), calls + 1

    def leave(self, stream):
        x, calls = stream
        assert calls == self.place.sites
        return x


def test_a_connection_may_carry_a_stream():
    torch.manual_seed(0)
    streamed = Transformer(50, SHAPE, lambda dim, place: Streamed(dim, place=place)).eval()
    plain = model("skip").eval()
    source, target = torch.randint(4, 50, (2, 3, 6))
    torch.testing.assert_close(streamed(source, target), plain(source, target))


class Initialises(Connection):
    """Has its own matrix, changes the weights of its branch, and puts a norm before the branch's last matrix."""

    def __init__(self, dim, *, layout="btc", place):
        super().__init__(dim, layout=layout, place=place)
        self.gate = torch.nn.Linear(dim, dim)
        torch.nn.init.constant_(self.gate.bias, -2)

    def join(self, x, f, mask=None):
        return x + self.gate(x).sigmoid() * f

    def init_branch(self, branch):
        self.scaled = {role: weight.mul_(0).add_(i) for i, (role, weight) in enumerate(branch.weights().items(), 1)}
        branch.before_output(lambda channels: LayerNorm(channels))


def test_a_connection_initialises_its_branch():
    """It does so after the model's own initialisation, which leaves the connection's parameters alone."""
    built = Transformer(50, SHAPE, lambda dim, place: Initialises(dim, place=place)).eval()
    layer = built.decoder[2]
    for attention in (layer.self_attention, layer.source_attention):
        key, value = attention.key_value.weight.chunk(2)
        assert [int(w.mean()) for w in (attention.query.weight, key, value, attention.out.weight)] == [1, 2, 3, 4]
        assert attention.inner.dim == 32
    hidden, out = (module for module in layer.feed_forward.children() if isinstance(module, torch.nn.Linear))
    assert [int(hidden.weight.mean()), int(out.weight.mean())] == [1, 2]
    assert [list(site.scaled) for site in layer.sites] == [["query", "key", "value", "out"]] * 2 + [["hidden", "out"]]
    assert all((site.gate.bias == -2).all() for site in layer.sites)
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    source, target = torch.randint(4, 50, (2, 3, 7))
    whole = built(source, target)
    state = built.start(*built.encode(source), steps=7)
    steps = torch.stack([built.step(target[:, t], state) for t in range(7)], dim=1)
    torch.testing.assert_close(steps.flatten(0, 1), whole, rtol=1e-4, atol=1e-4)
    whole.sum().backward()
    norms = [m for m in built.modules() if isinstance(m, LayerNorm)]
    assert len(norms) == 13 and all(norm.weight.grad.abs().sum() > 0 for norm in norms)


@pytest.mark.parametrize("gradients", [True, False])  # without gradients the kernels are used
@pytest.mark.parametrize("name", skips.names())
def test_decoding_step_by_step_gives_the_logits_of_the_whole(name, gradients):
    built = model(name).eval()
    source, target = torch.randint(4, 50, (2, 3, 7))
    source[1, 5:] = target[2, 3:] = 0
    whole = built(source, target)
    with torch.set_grad_enabled(gradients):
        state = built.start(*built.encode(source), steps=7)
        steps = torch.stack([built.step(target[:, t], state) for t in range(7)], dim=1)[target != 0]
    torch.testing.assert_close(steps, whole, rtol=1e-4, atol=1e-5 * whole.abs().max().item())


@torch.no_grad()
def test_packed_weights_give_the_same_logits():
    """They do in the encoder, the decoder and the output. Afterwards the weights are read again."""
    built = model("rskip_ln").eval()
    source, target = torch.randint(4, 50, (2, 3, 7))
    expected = built(source, target)
    with built.packed_weights(torch.bfloat16):
        rounded = built(source, target)
    with built.packed_weights():
        torch.testing.assert_close(built(source, target), expected, rtol=1e-4, atol=1e-4)
        built.embedding.weight.zero_()
        assert built.project(torch.ones(1, built.dim)).any() or built.packed is None
    assert 1e-6 < (rounded - expected).abs().max() < 0.05 * expected.abs().max()
    assert not built.project(torch.ones(1, built.dim)).any()
    with torch.autocast("cpu", torch.bfloat16), built.packed_weights():
        assert built.packed is None


@pytest.mark.parametrize("name", skips.names())
def test_padding_changes_nothing(name):
    built = model(name).eval()
    source, target = torch.randint(4, 50, (2, 1, 5))
    padded = [F.pad(tokens, (0, 4)) for tokens in (source, target)]
    whole = built(source, target)
    torch.testing.assert_close(built(*padded), whole, rtol=1e-4, atol=1e-5 * whole.abs().max().item())


def test_no_position_sees_a_later_one():
    built = model().eval()
    source, target = torch.randint(4, 50, (2, 1, 6))
    changed = target.clone()
    changed[0, 3] = 3
    first, second = built(source, target), built(source, changed)
    torch.testing.assert_close(first[:3], second[:3])
    assert not torch.allclose(first[3:], second[3:])


@pytest.mark.parametrize("gradients", [True, False])
def test_rows_are_selected_with_their_state(gradients):
    """After rows branched, swapped places and were dropped, each continues from its own tokens."""
    built = model().eval()
    source = torch.randint(4, 50, (3, 5))
    histories = torch.tensor([[5, 6, 7]]).T  # [rows, steps]
    with torch.set_grad_enabled(gradients):
        state = built.start(*built.encode(source), steps=4)
        built.step(histories[:, 0], state)
        origin = torch.arange(3)
        for rows, tokens in (([2, 0, 0, 1], [8, 9, 9, 4]), ([3, 1, 0], [11, 12, 13]), ([1, 1, 2], [14, 15, 16])):
            state.select(torch.tensor(rows))
            after = built.step(torch.tensor(tokens), state)
            origin = origin[rows]
            histories = torch.cat((histories[rows], torch.tensor(tokens)[:, None]), dim=1)
        whole = built(source[origin], histories).unflatten(0, histories.shape)[:, -1]
    torch.testing.assert_close(after, whole, rtol=1e-4, atol=1e-5 * whole.abs().max().item())


def test_initialisation_is_xaviers_for_each_projection():
    built = model(shape=TransformerShape(1, 1, 256, 1024, 4), vocabulary=1000)
    bound = (6 / (256 + 256)) ** 0.5
    for attention in (built.encoder[0].self_attention, built.decoder[0].source_attention):
        for matrix in (attention.query.weight, *attention.key_value.weight.chunk(2), attention.out.weight):
            assert matrix.abs().max().item() == pytest.approx(bound, rel=1e-3)
    assert built.encoder[0].feed_forward[0].weight.abs().max().item() == pytest.approx((6 / 1280) ** 0.5, rel=1e-3)
    assert built.embedding.weight.std().item() == pytest.approx(1 / 16, rel=0.02)


def test_positions_are_the_papers_sinusoids():
    table = sinusoids(50, 8)
    assert table[0].tolist() == [0, 1] * 4
    assert table[3, 2].item() == pytest.approx(torch.tensor(3 / 10000 ** (2 / 8)).sin().item())
    assert table[3, 3].item() == pytest.approx(torch.tensor(3 / 10000 ** (2 / 8)).cos().item())


def test_a_sentence_may_be_longer_than_the_table_of_positions():
    built = model().eval()
    logits = built(torch.randint(4, 50, (1, 1500)), torch.randint(4, 50, (1, 3)))
    assert built.positions.shape == (3000, 32)
    assert logits.isfinite().all()


def test_dim_must_divide_into_heads():
    with pytest.raises(ValueError, match="dim 30 is not divisible by 4 heads"):
        model(shape=TransformerShape(1, 1, 30, 64, 4))


class Casts(TorchDispatchMode):
    """The addresses of what is cast to bfloat16."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[int] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if function is torch.ops.aten._to_copy.default and (args[0].dtype, out.dtype) == (
            torch.float32,
            torch.bfloat16,
        ):
            self.addresses.append(args[0].data_ptr())
        return out


def test_weights_are_cast_once_an_update():
    net, tokens = model("rskip_ln"), torch.randint(4, 50, (3, 5))
    with Casts() as seen, torch.autocast("cpu", torch.bfloat16):
        net(tokens, tokens, tokens, 0.1)[0].backward()
    for name, parameter in net.named_parameters():
        multiplied = ".sites." not in name
        assert seen.addresses.count(parameter.data_ptr()) == multiplied, name
