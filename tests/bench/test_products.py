"""`products` finds all matrix products of a step, forward and of both gradients, and can repeat them."""

import sys

import torch
from torch import nn

from scripts.bench.records.products import Products, products
from skipln.ops import linear


def test_a_layer_has_three_products():
    layer, x = nn.Linear(3, 5), torch.randn(7, 3, requires_grad=True)
    found = products(lambda: layer(x).square().sum().backward())
    assert found.flops == 3 * 2 * 7 * 3 * 5
    assert len(found.calls) == 3
    assert products(found.run).flops == found.flops


def test_onednn_products_are_counted_too(monkeypatch):
    module = sys.modules[linear.__module__]
    monkeypatch.setattr(module, "onednn_is_faster", lambda: True)
    monkeypatch.setattr(module, "SMALLEST", 0)
    x, weight = torch.randn(7, 3, requires_grad=True), torch.randn(5, 3, requires_grad=True)
    assert products(lambda: linear(x, weight).square().sum().backward()).flops == 3 * 2 * 7 * 3 * 5


def test_a_convolution_and_its_gradients_in_bfloat16_and_channels_last():
    net, x = nn.Conv2d(2, 4, 3, padding=1).to(memory_format=torch.channels_last), torch.randn(1, 2, 6, 6)

    def step():
        with torch.autocast("cpu", torch.bfloat16):
            net(x.contiguous(memory_format=torch.channels_last)).square().sum().backward()

    found = products(step)
    assert found.flops == 2 * 2 * (6 * 6 * 4) * (2 * 9)  # x has no gradient
    kinds = []

    class Watch(Products):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            kinds.append((args[0].dtype, args[0].is_contiguous(memory_format=torch.channels_last)))
            return super().__torch_dispatch__(func, types, args, kwargs)

    with Watch():
        found.run()
    assert kinds == [(torch.bfloat16, True)] * 2


def test_batched_products_of_attention_and_other_work_do_not_count():
    batch = torch.randn(2, 3, 4)
    assert products(lambda: (batch @ batch.mT, batch + 1, batch.sum())).flops == 0
