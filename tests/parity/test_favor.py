"""FAVOR+ against performer-pytorch, on the same queries, keys, values and features."""

import warnings
from functools import partial

import pytest
import torch
from torch import Tensor

from skipln import attention
from tests.parity.agreement import CLOSE, agree, leaf

pytestmark = pytest.mark.parity

HEADS, DEPTH, ROWS, TIME = 2, 8, 2, 7
DIM = HEADS * DEPTH


@pytest.fixture(scope="module")
def performer():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports deprecated names of torch and Python
        return pytest.importorskip("performer_pytorch", reason="performer-pytorch is not installed (make parity)")


def pair(performer, causal: bool) -> tuple:
    """Return our attention with identity projections, and theirs with our W; both have their eps."""
    torch.manual_seed(0)
    ours = attention.create("favor", features=32, eps=1e-4)(DIM, HEADS, 0.0)
    for weight in (ours.query.weight, *ours.key_value.weight.chunk(2), ours.out.weight):
        weight.data.copy_(torch.eye(DIM))
    for bias in (ours.query.bias, ours.key_value.bias, ours.out.bias):
        bias.data.zero_()
    theirs = performer.FastAttention(DEPTH, nb_features=32, causal=causal)
    theirs.projection_matrix.copy_(ours.projection)
    return ours, theirs


def split(x: Tensor) -> Tensor:
    return x.unflatten(-1, (HEADS, DEPTH)).transpose(1, 2)


def merged(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)


def test_attention_to_a_memory_and_its_gradients_agree(performer):
    ours, theirs = pair(performer, causal=False)
    x, memory = leaf(ROWS, TIME, DIM), leaf(ROWS, TIME + 2, DIM, seed=1)
    agree(lambda: ours(x, memory), lambda: merged(theirs(split(x), split(memory), split(memory))), x, memory)


def test_the_causal_form_agrees_at_the_last_position(performer):
    """At other positions theirs subtracts a maximum over keys that they must not see.

    Theirs also adds 1e-6 to the denominator, which is not in the formula and is removed here.
    """
    ours, theirs = pair(performer, causal=True)
    theirs.causal_linear_fn = partial(theirs.causal_linear_fn, eps=0.0)
    x = leaf(ROWS, TIME, DIM)
    found = lambda: merged(theirs(split(x), split(x), split(x)))  # noqa: E731
    agree(lambda: ours(x, x, causal=True)[:, -1:], lambda: found()[:, -1:], x)
    changed = torch.cat((x[:, :-1], 8 * x[:, -1:]), dim=1)
    before, after = ours(x, x, causal=True), ours(changed, changed, causal=True)
    assert torch.equal(before[:, :-1], after[:, :-1])
    later = merged(theirs(split(changed), split(changed), split(changed)))
    assert (later - found())[:, :-1].abs().max() > 10 * CLOSE["atol"]


def test_they_mask_keys_and_we_mask_their_features(performer):
    """A zero key has features too, so theirs counts a masked key. In ours the rest of a row is as if it were alone."""
    ours, theirs = pair(performer, causal=False)
    x, mask = leaf(ROWS, TIME, DIM).detach(), torch.arange(TIME) < TIME - 2
    alone = merged(theirs(*(split(x[:, : TIME - 2]) for _ in range(3))))
    torch.testing.assert_close(ours(x, x, mask.expand(ROWS, -1))[:, : TIME - 2], alone, **CLOSE)
    hidden = x * mask[:, None]
    counted = merged(theirs(split(x), split(hidden), split(hidden)))
    assert not torch.allclose(counted[:, : TIME - 2], alone, atol=1e-2)
