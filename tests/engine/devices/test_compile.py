"""A run with compute.compile=true has the same loss curve."""

import shutil

import pytest

from skipln.configuration.composition import compose
from skipln.engine.run import execute
from tests.engine.devices.test_ranks import losses


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
def test_a_compiled_run_has_the_curve_of_a_plain_run(tiny, tmp_path, capfd):
    short = ["training.updates=6", "training.log_every=1", "training.checkpoint_every=3", "model.dropout=0"]
    plain, compiled = (
        compose([*tiny, *short, "skip=rskip_ln", f"compute.compile={how}", f"paths.runs={tmp_path / how}"])
        for how in ("false", "true")
    )
    assert plain.hash == compiled.hash
    assert execute(plain) == execute(compiled) == "done"
    assert "compiling included" in capfd.readouterr().err
    assert losses(compiled.folder) == pytest.approx(losses(plain.folder), rel=1e-3)
