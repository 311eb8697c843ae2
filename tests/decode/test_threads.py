import threading
import time
from contextlib import nullcontext

import pytest
import torch

from skipln import skips
from skipln.attention import create
from skipln.decode import beam_search
from skipln.decode.threads import CancelledError, side_by_side
from skipln.decode.translate import Search, hypotheses
from skipln.models.transformer import Transformer, TransformerShape


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def searching(monkeypatch):
    """The names of the threads that searched."""
    names: set[str] = set()

    def search(*arguments):
        names.add(threading.current_thread().name)
        return beam_search(*arguments)

    monkeypatch.setattr("skipln.decode.translate.beam_search", search)
    return names


def test_every_item_is_done_in_a_thread_of_its_own_with_one_thread_of_torchs(two_threads):
    meeting = threading.Barrier(2, timeout=20)  # no one passes before two are there

    def work(item, check):
        meeting.wait()
        return item, threading.current_thread().name, torch.get_num_threads()

    items, names, numbers = zip(*side_by_side(work, range(10), 2), strict=True)
    assert items == tuple(range(10))
    assert len(set(names)) == 2 and threading.current_thread().name not in names
    assert set(numbers) == {1}
    assert torch.get_num_threads() == 2
    torch.set_num_threads(4)
    assert side_by_side(lambda item, check: torch.get_num_threads(), [1, 2, 3], 2) == [2] * 3  # each has half of them
    torch.set_num_threads(2)
    later: list[int] = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [2]


def test_one_thread_is_this_one_and_keeps_torchs_threads(two_threads):
    def work(item, check):
        check()
        return threading.current_thread(), torch.get_num_threads()

    assert side_by_side(work, [1, 2], 1) == [(threading.current_thread(), 2)] * 2


@pytest.mark.parametrize("error", [ValueError("an item"), KeyboardInterrupt()])
def test_an_error_ends_the_others_and_is_raised_here(two_threads, error):
    """The other piece would never end by itself, and those that wait do not begin."""
    begun, ended = [], []

    def work(item, check):
        begun.append(item)
        if item == 1:
            raise error
        try:
            while True:
                check()
                time.sleep(0.001)
        except CancelledError:
            ended.append(item)
            raise

    with pytest.raises(type(error)):
        side_by_side(work, range(50), 2)
    assert ended == [item for item in begun if item != 1]
    assert len(begun) < 50
    assert torch.get_num_threads() == 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decoder")]


def trained_like(connection: str, attention: str) -> Transformer:
    torch.manual_seed(1)
    model = Transformer(
        30,
        TransformerShape(1, 1, 16, 32, 2),
        lambda dim, place: skips.create(connection, dim, place=place),
        attention=create(attention),
    )
    model.embedding.weight.data *= 3
    return model


@pytest.mark.parametrize(
    ("connection", "attention", "precision"),
    [("skip", "softmax", "fp32"), ("rskip_ln", "softmax", "bf16"), ("xskip_ln", "favor", "fp32")],
)
def test_translations_do_not_depend_on_the_number_of_threads(two_threads, searching, connection, attention, precision):
    model = trained_like(connection, attention)
    sources = [torch.randint(4, 30, (3 + n % 7,)).tolist() for n in range(100)]
    search = Search(beam=3, max_tokens=96, extra_length=4, precision=precision)
    together = hypotheses(model, sources, search, bos=2, eos=3, count=3)
    again = hypotheses(model, sources, search, bos=2, eos=3, count=3)
    assert together == again
    assert len(searching) == 2
    torch.set_num_threads(1)
    alone = hypotheses(model, sources, search, bos=2, eos=3, count=3)
    assert [[one.tokens for one in of] for of in together] == [[one.tokens for one in of] for of in alone]
    for of, others in zip(together, alone, strict=True):
        assert [one.score for one in of] == pytest.approx([one.score for one in others], abs=1e-5)
    assert model.packed is None


@pytest.mark.parametrize(
    ("threads", "sentences", "beam", "decoders"),
    [(2, 1000, 5, 2), (2, 1000, 1, 2), (2, 20, 5, 1), (2, 200, 1, 1), (1, 1000, 5, 1), (32, 1000, 5, 4), (32, 0, 5, 1)],
)
def test_decoders_share_torchs_threads_where_there_is_enough_to_do(
    two_threads, monkeypatch, threads, sentences, beam, decoders
):
    used: list[int] = []
    monkeypatch.setattr("skipln.decode.translate.side_by_side", lambda work, items, threads: used.append(threads))
    torch.set_num_threads(threads)
    hypotheses(trained_like("skip", "softmax"), [[4]] * sentences, Search(beam=beam), bos=2, eos=3)
    assert used == [decoders]


def test_a_thread_that_needs_fewer_positions_does_not_take_them_from_another():
    """Both make the table of positions longer; here the other one always comes in between with its shorter table."""

    class Raced(Transformer):
        def __setattr__(self, name, value):
            super().__setattr__(name, value[:1024] if name == "positions" else value)

    model = trained_like("skip", "softmax")
    search = Search(beam=1, extra_length=-1199)
    alone = hypotheses(model, [[4, 5, 6] * 400], search, bos=2, eos=3)
    assert len(model.positions) > 1200
    model.positions = model.positions[:1024]
    model.__class__ = Raced
    assert hypotheses(model, [[4, 5, 6] * 400], search, bos=2, eos=3) == alone
    assert len(model.positions) == 1024


def test_the_progress_bar_counts_sentences_as_they_end(two_threads, monkeypatch):
    counted: list[int] = []

    class Bar(nullcontext):
        def __init__(self, total: int, unit: str, label: str, **_: object) -> None:
            super().__init__()
            assert (total, unit, label) == (100, "sentence", "translate")

        def update(self, ended: int) -> None:
            counted.append(ended)

    monkeypatch.setattr("skipln.decode.translate.progress_bar", Bar)
    model = trained_like("skip", "softmax")
    sources = [torch.randint(4, 30, (3 + n % 7,)).tolist() for n in range(100)]
    hypotheses(model, sources, Search(beam=3, max_tokens=96, extra_length=4), bos=2, eos=3, progress="translate")
    assert sum(counted) == 100
    assert max(counted) < 50  # not a whole share at once
