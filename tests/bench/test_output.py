"""The output layer in chunks: as torch's in value, and memory that does not grow with positions times vocabulary."""

from importlib import import_module

import pytest

from scripts.bench.parts import output
from skipln.ops.compiled import cpu_kernel

OUTPUT = import_module("skipln.ops.output_cross_entropy")
VOCABULARY = 2_000


def megabytes(positions: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    monkeypatch.setattr(output, "POSITIONS", positions)
    return output.against_the_whole(VOCABULARY, "fp32").found()["megabytes"]


def test_memory_does_not_grow_with_positions_times_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    if cpu_kernel(OUTPUT.SOURCE, OUTPUT.torch.float32) is None:
        pytest.skip("no C++ compiler here")
    monkeypatch.setattr(output, "DIM", 8)
    monkeypatch.setattr(OUTPUT, "CHUNK", 128)
    once, twice = (megabytes(positions, monkeypatch) for positions in (1024, 2048))
    logits = 1024 * VOCABULARY * 4 / 1e6
    assert twice["peer"] - once["peer"] > logits
    assert twice["ours"] - once["ours"] < logits / 50
