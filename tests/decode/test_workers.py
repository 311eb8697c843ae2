import multiprocessing
import os

import pytest
import torch

from skipln import skips
from skipln.decode.translate import Search, translate
from skipln.decode.workers import forked
from skipln.models.transformer import Transformer, TransformerShape


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_every_item_is_done_once_in_another_process():
    done = list(forked(lambda item: (item, os.getpid()), range(20), workers=2))
    assert sorted(item for item, _ in done) == list(range(20))
    assert os.getpid() not in {process for _, process in done}


def test_a_workers_error_is_raised_here_and_no_worker_is_left():
    others = set(multiprocessing.active_children())

    def fail(item):
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item"):
        list(forked(fail, range(3), workers=2))
    assert not set(multiprocessing.active_children()) - others


def test_a_worker_that_dies_is_an_error_and_does_not_hang():
    with pytest.raises(RuntimeError, match="terminated abruptly"):
        list(forked(lambda item: os._exit(1), range(3), workers=2))


def test_translations_do_not_depend_on_the_number_of_workers(two_threads):
    torch.manual_seed(1)
    shape = TransformerShape(1, 1, 16, 32, 2)
    model = Transformer(30, shape, lambda dim, place: skips.create("skip", dim, place=place))
    model.embedding.weight.data *= 3
    sources = [torch.randint(4, 30, (3 + n % 7,)).tolist() for n in range(40)]
    search = Search(beam=3, max_tokens=96, extra_length=4)
    together = translate(model, sources, search, bos=2, eos=3)
    torch.set_num_threads(1)
    assert together == translate(model, sources, search, bos=2, eos=3)
