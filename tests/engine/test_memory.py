"""The bytes that a forward pass keeps for its backward pass."""

import torch
from torch import nn

from skipln.engine.memory import kept_bytes


def test_each_tensor_that_the_backward_pass_needs_counts_once() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    x = torch.randn(3, 4)
    # The first product needs its input, 3·4 numbers; relu and the second product share one tensor of 3·8.
    assert kept_bytes(net, lambda model: model(x).sum()) == 4 * (3 * 4 + 3 * 8)


def test_weights_and_statistics_do_not_count_and_a_view_counts_as_its_storage() -> None:
    net = nn.BatchNorm1d(4)
    x = torch.randn(6, 4)
    whole = kept_bytes(net, lambda model: model(x).sum())
    assert 4 * 6 * 4 <= whole <= 4 * (6 * 4 + 2 * 4)  # x, and the mean and deviation of the batch
    assert kept_bytes(net, lambda model: model(x[:3]).square().sum()) >= 4 * 6 * 4


def test_measuring_leaves_no_gradients() -> None:
    net, x = nn.Sequential(nn.Linear(4, 8), nn.Tanh()), torch.randn(3, 4)
    kept_bytes(net, lambda model: model(x).sum())
    assert all(parameter.grad is None for parameter in net.parameters())
    net(x).sum().backward()
