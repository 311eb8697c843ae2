"""GPU-hours before a run: an estimate that can be checked, or the measured time of a record."""

from pathlib import Path

import pytest

from skipln.configuration.composition import compose
from skipln.tables.cells import cells
from skipln.tables.cli import main
from skipln.tables.execution.cost import PEAK, SUSTAINED, flops, gpu_hours, multiplications, weights
from skipln.tables.manifest import load
from skipln.tables.store import Record
from tests.tables import fakes
from tests.tables.conftest import Workplace


@pytest.mark.parametrize("model", ["transformer_base", "transformer_tiny"])
def test_weights_are_the_models_matrices(model: str) -> None:
    import torch

    from skipln.models.transformer import Transformer, TransformerShape
    from skipln.tasks.connections import make_connections

    config = compose([f"model={model}"])
    shape = TransformerShape(**config.model.model_dump(exclude={"kind"}))
    with torch.device("meta"):
        built = Transformer(4000, shape, make_connections(config, "btc"))
    assert weights(config.model, 4000) == sum(p.numel() for p in built.parameters() if p.dim() == 2)


def test_multiplications_of_resnets_are_those_published() -> None:
    # He et al. 2015: 3.8e9 for ResNet-50 and 1.8e9 for ResNet-18 at 224 × 224, with stem, shortcuts and classifier.
    fifty, eighteen = (
        compose(["task=classification", f"model={m}", "training.batch=8"]).model for m in ("resnet50", "resnet18")
    )
    assert multiplications(fifty, 224) == pytest.approx(3.8e9, rel=0.15)
    assert multiplications(eighteen, 224) == pytest.approx(1.8e9, rel=0.15)


def test_flops_of_a_run_by_hand() -> None:
    config = compose(["task=translation", "scale=paper", "recipe=wmt14_base"])
    assert flops(config) == 6 * weights(config.model, 37_000) * 3584 * 8 * 100_000


def test_a_record_on_a_gpu_is_a_measurement(workplace: Workplace) -> None:
    cell = workplace.cell("post_ln")
    estimated, measured = gpu_hours(cell, [])
    assert (estimated, measured) == (flops(cell.config) / (PEAK * SUSTAINED["tokens"]) / 3600, False)
    result = fakes.finish(cell.folder, train_seconds=7200.0)
    place = {"table": "table9", "row": "post_ln", "column": "catalogs", "seed": 2, "overrides": []}
    on_cpu = Record.model_validate(result | place)
    assert gpu_hours(cell, [on_cpu]) == (estimated, False)
    environment = fakes.ENVIRONMENT | {"device": "NVIDIA A100"}
    on_gpus = result | place | {"environment": environment, "config": {"compute": {"devices": 4, "nodes": 2}}}
    assert gpu_hours(cell, [on_cpu, Record.model_validate(on_gpus)]) == (16.0, True)


def test_a_dry_run_at_paper_scale_shows_gpu_hours(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["run", "table4", "--scale", "paper", "--dry-run", f"paths.runs={tmp_path}"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 8
    assert all(" GPU-h estimated  " in line for line in out.splitlines())
    assert "8 runs: " in err
    assert "NVIDIA A100" in err
    assert "assumed" in err


def test_table4_has_no_demo_scale(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "table4"]) == 2
    assert capsys.readouterr().err == "error: table4 has no columns at scale demo: choose one of test, paper\n"


def test_table4_has_the_same_forms_at_test_scale() -> None:
    table = load("table4")
    test, paper = (cells(table, scale, [1], cache=None) for scale in ("test", "paper"))
    assert [cell.config.skip for cell in test] == [cell.config.skip for cell in paper]
