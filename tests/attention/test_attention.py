"""Properties of every attention: stepwise decoding equals the whole sequence, and rows keep their own past."""

from pathlib import Path

import pytest
import torch
import yaml

from skipln import attention
from skipln.configuration.composition import compose
from skipln.errors import UserError

CONFIGS = Path(__file__).resolve().parents[2] / "configs/attention"
ROWS, TIME, DIM = 3, 7, 16


@pytest.fixture(params=attention.names())
def built(request):
    torch.manual_seed(0)
    return attention.create(request.param)(DIM, 4, 0.0).eval()


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, DIM, generator=torch.Generator().manual_seed(seed))


def test_the_yaml_lists_the_options_of_the_class():
    assert sorted(path.stem for path in CONFIGS.glob("*.yaml")) == attention.names()
    for name in attention.names():
        content = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
        assert content == {"name": name, **attention.options(name)}


@torch.no_grad()
def test_steps_equal_causal_attention_at_once(built):
    x = draw(ROWS, TIME)
    state = built.begin(ROWS, TIME)
    steps = torch.cat([built.step(x[:, t : t + 1], state) for t in range(TIME)], dim=1)
    torch.testing.assert_close(steps, built(x, x, causal=True), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_selected_rows_continue_from_their_own_past(built):
    """Rows branch, swap places and are dropped."""
    histories, state = draw(1, 1), built.begin(1, 5)
    built.step(histories, state)
    for i, rows in enumerate(([0, 0, 0], [2, 0], [1, 1, 0, 0], [3, 1])):
        state.select(torch.tensor(rows))
        histories = torch.cat((histories[rows], draw(len(rows), 1, seed=i + 1)), dim=1)
        after = built.step(histories[:, -1:], state)
    torch.testing.assert_close(after, built(histories, histories, causal=True)[:, -1:], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_any_rows_may_query_a_remembered_memory(built):
    """Whole targets may, and several rows of one sentence; padding has no effect."""
    memory, queries, mask = draw(ROWS, TIME), draw(ROWS, 4, seed=1), torch.arange(TIME) < torch.tensor([[7], [3], [5]])
    state = built.remember(memory, mask)
    whole = built(queries, memory, mask)
    torch.testing.assert_close(built.step(queries, state), whole, rtol=1e-4, atol=1e-5)
    beam = queries.flatten(0, 1).unsqueeze(1)  # four rows per sentence, one position each
    torch.testing.assert_close(built.step(beam, state), whole.flatten(0, 1).unsqueeze(1), rtol=1e-4, atol=1e-5)
    changed = torch.where(mask.unsqueeze(-1), memory, 100.0)
    torch.testing.assert_close(built(queries, changed, mask), whole, rtol=1e-4, atol=1e-5)
    rows = torch.tensor([2, 0, 2, 1])
    state.select(rows)
    torch.testing.assert_close(built.step(queries[rows], state), whole[rows], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_joined_rows_keep_their_own_past_and_source(built):
    """The rows began at different times and read sources of different lengths."""
    memories = [draw(2, 5, seed=1), draw(1, 3, seed=2)]
    sources, pasts, histories = [built.remember(memory, None) for memory in memories], [], []
    for rows, time in ((2, 20), (1, 2)):
        x = draw(rows, time, seed=time)
        pasts.append(built.begin(rows, 30))
        histories.append(x)
        for t in range(time):
            built.step(x[:, t : t + 1], pasts[-1])
    pasts[0].join(pasts[1])
    sources[0].join(sources[1])
    order = torch.tensor([2, 0, 2, 1])
    for state in (pasts[0], sources[0]):
        state.select(order)
    x = draw(4, 1, seed=9)
    after, asked = built.step(x, pasts[0]), built.step(x, sources[0])
    for i, row in enumerate(order.tolist()):
        of, own = divmod(row, 2)
        history = torch.cat((histories[of][own], x[i])).unsqueeze(0)
        whole = built(history, history, causal=True)[0, -1:]
        torch.testing.assert_close(after[i], whole, rtol=1e-4, atol=1e-5)
        memory = memories[of][own].unsqueeze(0)
        torch.testing.assert_close(asked[i], built(x[i : i + 1], memory)[0], rtol=1e-4, atol=1e-5)


def test_no_position_sees_a_later_one(built):
    x = draw(ROWS, TIME)
    x[:, 4:] += 1
    torch.testing.assert_close(
        built(x, x, causal=True)[:, :4], built(draw(ROWS, TIME), draw(ROWS, TIME), causal=True)[:, :4]
    )


def test_weights_returns_the_parameters_themselves(built):
    for weight in built.weights().values():
        weight.zero_()
    assert not built(draw(ROWS, TIME), draw(ROWS, TIME)).detach().sub(built.out.bias).any()


def test_dim_must_divide_into_heads(built):
    with pytest.raises(ValueError, match="dim 10 is not divisible by 4 heads"):
        type(built)(10, 4)


def test_mistakes_are_one_line():
    with pytest.raises(UserError, match="attention: softmax has no option 'features': it takes no options"):
        compose(["+attention.features=3"])
    with pytest.raises(UserError, match=r"attention\.name=no_such: choose one of "):
        compose(["attention.name=no_such"])
