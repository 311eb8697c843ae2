"""The stream of micro-batches is the same for any number of ranks and workers, and from any position."""

from contextlib import closing

import pytest

from skipln.engine.stream import Stream

LENGTHS = [5, 3, 4]


class Epochs:
    """A task in which every batch is its own position."""

    def __init__(self, workers: int = 0) -> None:
        self.workers = workers

    def epoch(self, number: int) -> list[tuple[int, int]]:
        return [(number, i) for i in range(LENGTHS[number % 3])]


def positions(count: int) -> list[tuple[int, int]]:
    return [(number, i) for number in range(count) for i in range(LENGTHS[number % 3])][:count]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("world", "count"), [(1, 2), (2, 2), (2, 5), (3, 5)])
def test_ranks_share_the_micro_batches_of_one_process(world, count, workers):
    """Even if the ranks cannot divide an update's micro-batches evenly."""
    streams = [Stream(Epochs(workers), count=count, rank=rank, world=world) for rank in range(world)]
    for update in range(10 // count):
        shares = [stream.take() for stream in streams]
        taken = [shares[i % world][i // world] for i in range(count)]
        assert taken == positions(10)[update * count : (update + 1) * count]
    assert {(stream.number, stream.index) for stream in streams} == {(2, 2)}
    assert streams[0].epoch == 2.5
    for stream in streams:
        stream.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_the_stream_resumes_from_any_position(workers):
    whole = Stream(Epochs())
    for taken in range(12):
        with closing(Stream(Epochs(workers if taken % 5 == 0 else 0), whole.number, whole.index, count=3)) as again:
            assert again.take() == positions(20)[taken : taken + 3]
        whole.take()
