"""Switching off a piece of the fast path switches off that piece and nothing else."""

from importlib import import_module

import pytest
import torch

from scripts.bench.parts import mt_step, pieces
from scripts.bench.parts.text import random_batches
from skipln.models.transformer import TransformerShape
from skipln.ops import output_cross_entropy
from skipln.ops.residual_norm import cpu
from skipln.seam import fused

INSIDE = {  # a function that only this piece calls
    "attention": ("skipln.ops.attention", "short_attention"),
    "cross-entropy": ("skipln.ops.output_cross_entropy", "linear"),
    "residual-site": ("skipln.seam.fused", "scaled_residual_norm"),
}


class Called(Exception):
    pass


def refuse(*_, **__):
    raise Called


@pytest.mark.parametrize("name", pieces.SWITCHES)
def test_a_switch_turns_its_piece_off(name, monkeypatch):
    if cpu.library() is None:
        pytest.skip("no C++ compiler here")
    monkeypatch.setattr(fused, "SMALLEST", 0)
    batch = random_batches(50, 64, 1, 8)[0]
    step = mt_step.our_step(50, TransformerShape(1, 1, 16, 32, 2), "fp32")
    sides = pieces.switched(lambda _: step(batch), pieces.SWITCHES[name][1])
    module, attribute = INSIDE[name]
    monkeypatch.setattr(import_module(module), attribute, refuse)
    sides.peer(0)
    with pytest.raises(Called):
        sides.ours(0)


def test_images_without_the_kernel_for_batch_norm(monkeypatch):
    monkeypatch.setattr(pieces.resnet, "BATCH", 2)
    sides = pieces.without_kernel_for_batch_norm("fp32")
    monkeypatch.setattr(import_module("skipln.ops.batch_norm")._BatchNorm, "apply", refuse)
    sides.peer(0)
    if cpu.library() is not None:
        with pytest.raises(Called):
            sides.ours(0)


def test_torchs_cross_entropy_equals_ours():
    torch.manual_seed(0)
    hidden, weight, targets = torch.randn(5, 3), torch.randn(7, 3), torch.randint(7, (5,))
    ours = output_cross_entropy(hidden, weight, targets, 0.1)
    torch.testing.assert_close(pieces.torchs_cross_entropy(hidden, weight, targets, 0.1), ours)
