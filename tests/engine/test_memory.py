"""What an update keeps in memory, counted."""

import torch
from torch import nn

from skipln.engine.memory import kept_bytes


def test_inputs_and_outputs_that_the_backward_pass_needs_each_once() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    x = torch.randn(3, 4)
    # The first product needs its input, 3·4 numbers; relu and the second product need one tensor of 3·8.
    assert kept_bytes(net, lambda model: model(x).sum()) == 4 * (3 * 4 + 3 * 8)


def test_weights_and_statistics_of_the_net_are_not_counted_and_a_view_is_its_storage() -> None:
    net = nn.BatchNorm1d(4)
    x = torch.randn(6, 4)
    whole = kept_bytes(net, lambda model: model(x).sum())
    assert 4 * 6 * 4 <= whole <= 4 * (6 * 4 + 2 * 4)  # and the mean and deviation of the batch
    assert kept_bytes(net, lambda model: model(x[:3]).square().sum()) >= 4 * 6 * 4


def test_it_measures_without_changing_gradients() -> None:
    net, x = nn.Sequential(nn.Linear(4, 8), nn.Tanh()), torch.randn(3, 4)
    kept_bytes(net, lambda model: model(x).sum())
    assert all(parameter.grad is None for parameter in net.parameters())
    net(x).sum().backward()
