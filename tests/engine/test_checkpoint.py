import os
import subprocess

import pytest
import torch

from skipln.engine.checkpoint import Checkpoints, load
from skipln.errors import UserError


def weights(value: float) -> dict[str, torch.Tensor]:
    return {"w": torch.full((3,), float(value)), "count": torch.tensor(int(value))}


def test_keeps_two_states_and_the_last_k_weights(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=3)
    for update in range(1, 7):
        checkpoints.save_state(update, {"update": update})
        checkpoints.save_weights(update, weights(update))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "state-00000005.pt", "state-00000006.pt",
        "weights-00000004.pt", "weights-00000005.pt", "weights-00000006.pt",
    ]  # fmt: skip
    assert checkpoints.load_state() == {"update": 6}
    averaged = checkpoints.average()
    assert averaged["w"].tolist() == [5, 5, 5]
    assert averaged["count"] == 6


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_a_damaged_state_falls_back_to_the_one_before(tmp_path, damage, capsys):
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save_state(1, {"update": 1})
    checkpoints.save_state(2, {"update": 2, "w": torch.randn(1000)})
    path = tmp_path / "state-00000002.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes({"truncate": content[:-100], "flip": content, "empty": b""}[damage])
    assert checkpoints.load_state() == {"update": 1}
    said = capsys.readouterr().err
    assert "state-00000002.pt: damaged" in said
    assert said.count("\n") == 1
    assert checkpoints.load_state() == {"update": 1}  # and it is not asked again
    assert "damaged" not in capsys.readouterr().err


def test_averaging_fails_loudly_when_one_is_missing_or_damaged(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save_weights(1, weights(1))
    with pytest.raises(UserError, match="averaging needs the last 2 weights and 1 are there"):
        checkpoints.average()
    checkpoints.save_weights(2, weights(2))
    (tmp_path / "weights-00000001.pt").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"weights-00000001\.pt: damaged"):
        checkpoints.average()


def test_going_back_forgets_what_came_after(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=5)
    for update in (1, 2, 3):
        checkpoints.save_weights(update, weights(update))
    checkpoints.forget_after(2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["weights-00000001.pt", "weights-00000002.pt"]


def test_a_checkpoint_executes_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/executed",)

    path = tmp_path / "state-00000001.pt"
    torch.save({"evil": Evil()}, path)
    with pytest.raises(UserError, match="damaged"):
        load(path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        checkpoints = Checkpoints(small, keep=1)
        checkpoints.save_state(1, {"update": 1})
        with pytest.raises(UserError, match="the disk is full"):
            checkpoints.save_state(2, {"w": torch.zeros(1_000_000)})
        assert [p.name for p in small.iterdir()] == ["state-00000001.pt"]
        assert checkpoints.load_state() == {"update": 1}
    finally:
        subprocess.run(["umount", str(small)], check=True)
