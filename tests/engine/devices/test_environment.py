"""What a scheduler or a launcher sets wrongly is one line."""

import os

import pytest

from skipln.configuration.composition import compose
from skipln.engine.environment import create_fabric
from skipln.errors import UserError

TWO = {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"}
PLACED = {"SLURM_JOB_ID": "7", "SLURM_NODEID": "0", "SLURM_LOCALID": "0"}


@pytest.mark.parametrize(
    ("devices", "variables", "said"),
    [
        (1, {"SLURM_NTASKS": "2"}, "--ntasks"),
        (1, {"SLURM_NTASKS": "two"}, "invalid literal for int"),
        (2, TWO, "SLURM_NODEID is not set"),
        (2, TWO | PLACED | {"SLURM_PROCID": "x"}, "invalid literal for int"),
    ],
)
def test_variables_that_do_not_fit_are_one_line(monkeypatch, devices, variables, said):
    """For example `sbatch --ntasks=2` sets SLURM_NTASKS, but not SLURM_NTASKS_PER_NODE."""
    config = compose(["compute.accelerator=cpu", f"compute.devices={devices}", f"training.accumulate={devices}"])
    outside = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
    monkeypatch.setattr(os, "environ", outside | variables)
    with pytest.raises(UserError, match=f"compute.devices={devices} compute.nodes=1 cannot be started here: .*{said}"):
        create_fabric(config)
