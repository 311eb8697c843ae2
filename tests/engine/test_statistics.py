"""Batch norm statistics of averaged weights are plain means over batches, computed here by the formula."""

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from skipln.configuration.composition import compose
from skipln.engine.checkpoint import Checkpoints
from skipln.engine.run import execute
from skipln.engine.statistics import estimate_statistics
from skipln.norms.batch import BatchNorm
from skipln.runs.folder import RunFolder

FABRIC = Fabric(accelerator="cpu", devices=1)


class Batches:
    """A task whose loss passes its batches through the model."""

    def __init__(self, batches: list[torch.Tensor]) -> None:
        self.batches = batches

    def epoch(self, number: int) -> list[torch.Tensor]:
        return self.batches

    def loss(self, model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return model(batch)


@pytest.mark.parametrize("kind", [lambda: BatchNorm(3), lambda: nn.BatchNorm1d(3, affine=False)])
def test_statistics_are_the_means_over_the_batches(kind):
    torch.manual_seed(0)
    batches = [5 + 2 * torch.randn(size, 3) for size in (8, 20, 4)]
    norm = kind()
    norm.running_mean.fill_(1e6)  # earlier statistics must not count
    momentum = norm.momentum
    estimate_statistics(nn.Sequential(norm), Batches(batches), FABRIC, seed=1)
    means = torch.stack([batch.double().mean(0) for batch in batches])
    variances = torch.stack([batch.double().var(0) for batch in batches])  # unbiased, as running variances are
    assert torch.allclose(norm.running_mean.double(), means.mean(0), atol=1e-5)
    assert torch.allclose(norm.running_var.double(), variances.mean(0), rtol=1e-5)
    assert norm.momentum == momentum


def test_a_norm_that_is_called_twice_counts_both_calls():
    norm = BatchNorm(2)
    net = nn.Sequential(norm, nn.Linear(2, 2), norm)
    x = torch.randn(16, 2)
    estimate_statistics(net, Batches([x]), FABRIC, seed=1)
    with torch.no_grad():
        second = net[1](nn.functional.batch_norm(x, None, None, training=True))
    assert torch.allclose(norm.running_mean, (x.mean(0) + second.mean(0)) / 2, atol=1e-5)


def test_nothing_happens_without_a_batch_norm():
    net = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)).eval()
    estimate_statistics(net, Batches([]), FABRIC, seed=1)
    assert not net.training


@pytest.mark.parametrize("average", [1, 2])
@pytest.mark.parametrize("task", ["translation", "classification"])
def test_the_same_rule_holds_for_every_task(tiny, tmp_path, task, average):
    """The test uses the statistics of training, or new ones if the weights are an average of several checkpoints."""
    own = tiny if task == "translation" else ["task=classification", "scale=test"]
    config = compose([*own, "skip=xskip_bn", f"training.average={average}", f"paths.runs={tmp_path}"])
    assert execute(config) == "done"
    checkpoints = Checkpoints(RunFolder(config.folder).checkpoints, config.hash, average)
    tested = checkpoints.load_tested(config.training.updates)
    trained = checkpoints.average(config.training.updates, config.training.checkpoint_every)
    same = {torch.equal(value, trained[name]) for name, value in tested.items() if "running_" in name}
    assert same == {average == 1}
    assert all(torch.equal(value, trained[name]) for name, value in tested.items() if name.endswith("weight"))
