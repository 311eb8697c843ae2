"""FAVOR+ against its formula, written out with the full matrix of weights, and against the softmax it estimates."""

import math
from copy import deepcopy

import pytest
import torch

from skipln import attention
from skipln.attention import favor
from skipln.attention.favor import FavorAttention, orthogonal_features
from skipln.decode.translate import Search, translate
from skipln.engine.loop import after_step
from skipln.models.transformer import Transformer, TransformerShape
from skipln.skips import create

DIM, HEADS, TIME, ROWS = 8, 2, 11, 3
MASK = torch.arange(TIME) < torch.tensor([[11], [4], [7]])


def build(**options: object) -> FavorAttention:
    torch.manual_seed(0)
    return attention.create("favor", **{"features": 16, **options})(DIM, HEADS, 0.0).double().eval()


def draw(time: int = TIME, scale: float = 1.0, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(ROWS, time, DIM, dtype=torch.float64, generator=generator)


def heads_of(made: FavorAttention, x: torch.Tensor, projection: torch.nn.Linear) -> torch.Tensor:
    return projection(x).unflatten(-1, (HEADS, -1)).transpose(1, 2)


def written_out(made: FavorAttention, x: torch.Tensor, memory: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Compute the formula query by query, with the maximum over the keys it sees; seen: bool [batch, query, key]."""
    query, (key, value) = made.query, made.key_value.weight.chunk(2)
    biases = made.key_value.bias.chunk(2)
    depth, w = DIM // HEADS, made.projection
    out = torch.zeros(ROWS, x.size(1), DIM, dtype=torch.float64)
    for row in range(ROWS):
        for head in range(HEADS):
            part = slice(head * depth, (head + 1) * depth)
            k, v = ((memory[row] @ p.T + b)[:, part] for p, b in ((key, biases[0]), (value, biases[1])))
            q = query(x[row])[:, part]
            for time in range(x.size(1)):
                kept = k[seen[row, time]] * depth**-0.25
                asked = q[time] * depth**-0.25
                phi_q = torch.exp(w @ asked - asked @ asked / 2 - (w @ asked).max()) + made.eps
                products = kept @ w.T
                phi_k = torch.exp(products - kept.square().sum(1, keepdim=True) / 2 - products.max()) + made.eps
                weights = phi_k @ phi_q
                out[row, time, part] = (weights / weights.sum()) @ v[seen[row, time]]
    return made.out(out)


@pytest.mark.parametrize("eps", [1e-6, 0.1])
@torch.no_grad()
def test_every_form_equals_the_formula(eps, monkeypatch):
    """The encoder's form, attention to a memory, and the causal form in chunks that do not divide the length."""
    made, x, memory = build(eps=eps), draw(), draw(seed=2)
    for mask in (MASK, torch.ones_like(MASK)):
        seen = mask[:, None, :].expand(-1, TIME, -1)
        torch.testing.assert_close(made(x, x, mask), written_out(made, x, x, seen))
        torch.testing.assert_close(made(x[:, :5], memory, mask), written_out(made, x[:, :5], memory, seen[:, :5]))
    causal = torch.ones(ROWS, TIME, TIME, dtype=torch.bool).tril()
    for chunk in (1, 4, 128):
        monkeypatch.setattr(favor, "CHUNK", chunk)
        torch.testing.assert_close(made(x, x, causal=True), written_out(made, x, x, causal))


@torch.no_grad()
def test_the_error_against_softmax_falls_as_features_grow():
    """The mean error of an output over 20 draws: a hundred times as many features leave about a tenth of it."""
    torch.manual_seed(0)
    softmax = attention.create("softmax")(DIM, HEADS, 0.0).double().eval()
    x, errors = draw(time=20, scale=0.4), []
    for features in (16, 64, 256, 1600):
        found = []
        for seed in range(20):
            torch.manual_seed(seed)
            made = attention.create("favor", features=features, eps=1e-12)(DIM, HEADS, 0.0).double().eval()
            made.load_state_dict(softmax.state_dict(), strict=False)
            found.append((made(x, x, MASK.new_ones(ROWS, 20)) - softmax(x, x)).square().mean().sqrt())
        errors.append(torch.stack(found).mean().item())
    assert errors == sorted(errors, reverse=True)
    assert 6 < errors[0] / errors[-1] < 16


def test_the_kernel_is_unbiased():
    """E exp(Wq' − ‖q'‖²/2)·exp(Wk' − ‖k'‖²/2) equals exp(q·k/√d), within four standard errors of 4,000 draws."""
    made, generator = build(), torch.Generator().manual_seed(3)
    q, k = 1.2 * torch.randn(2, 1, 1, 1, DIM // HEADS, dtype=torch.float64, generator=generator)
    found = []
    for _ in range(4000):
        made.projection = orthogonal_features(8, DIM // HEADS, generator).double()
        (of_q, _), (of_k, _) = made._exponents(q), made._exponents(k)
        found.append((of_q + of_k).exp().mean())
    found = torch.stack(found)
    expected = math.exp((q * k).sum().item() / (DIM // HEADS) ** 0.5)
    assert abs(found.mean().item() - expected) < 4 * found.std().item() / 4000**0.5
    assert found.std().item() / 4000**0.5 < 0.05 * expected  # otherwise the bound would be too weak


def test_features_are_orthogonal_in_blocks_with_gaussian_norms():
    rows = orthogonal_features(4000, 16, torch.Generator().manual_seed(0)).double()
    products = rows.view(-1, 16, 16) @ rows.view(-1, 16, 16).transpose(1, 2)
    assert products.masked_fill(torch.eye(16, dtype=torch.bool), 0.0).abs().max() < 1e-4
    squares = rows.square().sum(1)  # χ² with 16 degrees of freedom: mean 16, variance 32
    assert squares.mean().item() == pytest.approx(16, abs=4 * (32 / 4000) ** 0.5)
    assert squares.var().item() == pytest.approx(32, rel=0.2)
    assert rows.mean(0).abs().max() < 4 / 4000**0.5
    assert orthogonal_features(5, 3, torch.Generator()).shape == (5, 3)


@pytest.mark.parametrize(("dim", "heads", "count"), [(512, 8, 266), (8, 4, 1), (4, 4, 1)])
def test_zero_features_mean_d_ln_d(dim, heads, count):
    assert attention.create("favor", features=0)(dim, heads, 0.0).projection.shape == (count, dim // heads)
    assert attention.create("favor")(dim, heads, 0.0).projection.shape == (256, dim // heads)


def test_gradients(monkeypatch):
    """Gradients of the queries, the memory and every weight in all three forms; eps is too small to matter."""
    monkeypatch.setattr(favor, "CHUNK", 2)
    made, x, memory = build(eps=1e-13, features=5), draw(5), draw(5, seed=2)
    for tensor in (x, memory):
        tensor.requires_grad_()
    assert torch.autograd.gradcheck(lambda x, m, *_: made(x, m, MASK[:, :5]), (x, memory, *made.parameters()))
    assert torch.autograd.gradcheck(lambda x, *_: made(x, x, causal=True), (x, *made.parameters()))


def test_later_tokens_change_nothing_however_large(monkeypatch):
    """They change no bit of the earlier outputs and get no gradient from them, within a chunk and beyond it."""
    for chunk in (4, 128):
        monkeypatch.setattr(favor, "CHUNK", chunk)
        made, x = build(eps=0.01), draw().requires_grad_()
        before = made(x, x, causal=True)[:, :6]
        (gradient,) = torch.autograd.grad(before.square().sum(), x)
        assert not gradient[:, 6:].any() and gradient[:, :6].all()
        for size in (1.0, 1e3):
            changed = torch.cat((x[:, :6], size * draw(seed=5)[:, 6:]), dim=1)
            assert torch.equal(made(changed, changed, causal=True)[:, :6], before)
    assert made(changed, changed, causal=True).isfinite().all()


@torch.no_grad()
def test_padding_and_other_rows_have_no_effect():
    made, x = build(eps=0.01), draw()
    whole = made(x, x, MASK)
    for row, length in enumerate(MASK.sum(1).tolist()):
        alone = x[row : row + 1, :length]
        torch.testing.assert_close(whole[row : row + 1, :length], made(alone, alone))
    for filler in (0.0, 1e3):  # if it counted, padding would have the largest exponents
        changed = torch.where(MASK.unsqueeze(-1), x, filler)
        torch.testing.assert_close(made(x, changed, MASK), whole)


def test_beam_search_is_the_same_in_any_batch():
    """Sentences are translated together and alone, in double precision, so that rounding decides nothing."""
    torch.manual_seed(0)
    shape = TransformerShape(2, 2, 16, 32, 4, dropout=0.0)
    made = attention.create("favor", features=32)
    net = Transformer(40, shape, lambda dim, place: create("xskip_ln", dim, place=place), attention=made).double()
    generator = torch.Generator().manual_seed(1)
    sources = [torch.randint(4, 40, (length,), generator=generator).tolist() for length in (1, 7, 3, 7, 2, 5)]
    for beam in (1, 3):
        together, alone = (
            translate(net, sources, Search(beam=beam, extra_length=4, max_tokens=tokens), bos=1, eos=2)
            for tokens in (1000, 1)
        )
        assert together == alone
    assert len({tuple(words) for words in alone}) > 1


def test_a_mask_that_hides_every_key_is_one_line():
    made, x, mask = build(), draw(), MASK.clone()
    mask[1] = False
    for ask in (lambda: made(x, x, mask), lambda: made.remember(x, mask)):
        with pytest.raises(ValueError, match="favor: the mask hides every key of row 1; each row needs one"):
            ask()


def test_autograd_keeps_neither_a_matrix_of_weights_nor_a_state_per_position():
    """For 1,024 causal positions it keeps no more than a constant times length·m in all."""
    torch.manual_seed(0)
    made, sizes = attention.create("favor", features=32)(32, 2, 0.0), {}
    x = torch.randn(1, 1024, 32)

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes() // 4
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        made(x, x, causal=True)
    assert max(sizes.values()) <= 2 * 1024 * 64  # both heads' length·m; 1024² and 1024·m·d are 16 and 8 times that
    assert sum(sizes.values()) < 20 * 2 * 1024 * 64


def test_features_are_redrawn_and_a_checkpoint_restores_them():
    made = build(redraw=3)
    first, drawn = made.projection.clone(), []
    for _ in range(7):
        after_step(made)
        drawn.append(made.projection.clone())
    assert torch.equal(drawn[1], first) and torch.equal(drawn[2], drawn[4])
    assert not torch.equal(drawn[2], first) and not torch.equal(drawn[5], drawn[4])
    torch.manual_seed(7)
    other = attention.create("favor", features=16, redraw=3)(DIM, HEADS, 0.0).double()
    assert not torch.equal(other.projection, made.projection)
    other.load_state_dict(deepcopy(made.state_dict()))
    for _ in range(3):
        assert torch.equal(other.projection, made.projection)
        after_step(made)
        after_step(other)
    assert not torch.equal(made.projection, drawn[-1])
    never = build(redraw=0)
    after_step(never)
    assert torch.equal(never.projection, first) and not made.state_dict()["drawn"].is_floating_point()


def test_dropout_drops_keys_only_in_training():
    torch.manual_seed(0)
    made, x = attention.create("favor")(DIM, HEADS, 0.5), draw().float()
    assert torch.equal(made.eval()(x, x), made(x, x))
    made.train()
    mean = torch.stack([made(x, x) for _ in range(1000)]).mean(0)
    assert not torch.allclose(made(x, x), made(x, x))
    torch.testing.assert_close(mean, made.eval()(x, x), atol=0.08, rtol=0)


@torch.no_grad()
def test_only_the_projections_run_in_half_precision():
    torch.manual_seed(0)
    made, x = attention.create("favor")(DIM, HEADS, 0.0).eval(), draw().float()
    for causal in (False, True):
        exact = made(x, x, causal=causal)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = made(x, x, causal=causal)
            state = made.begin(ROWS, TIME)
            steps = torch.cat([made.step(x[:, t : t + 1], state) for t in range(TIME)], dim=1)
        torch.testing.assert_close(rounded.float(), exact, atol=0.03, rtol=0.03)
    torch.testing.assert_close(steps, rounded, atol=0.02, rtol=0.02)
    assert state.sums.weighted.dtype == torch.float32


@pytest.mark.parametrize("option", ["features", "eps", "redraw"])
def test_every_option_changes_a_net(option):
    def logits(**options: object) -> torch.Tensor:
        torch.manual_seed(0)
        made = attention.create("favor", **options)
        shape = TransformerShape(1, 1, 8, 16, 2, dropout=0.0)
        net = Transformer(20, shape, lambda dim, place: create("skip", dim, place=place), attention=made).eval()
        after_step(net)
        return net(*torch.randint(4, 20, (2, 3, 5), generator=torch.Generator().manual_seed(1)))

    assert torch.equal(logits(), logits())
    assert not torch.allclose(logits(**{option: {"features": 32, "eps": 0.1, "redraw": 1}[option]}), logits())
