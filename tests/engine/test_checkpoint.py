import json
import os
import subprocess
import zipfile
from pathlib import Path

import pytest
import torch

from skipln.configuration.composition import compose
from skipln.engine.checkpoint import Checkpoints, load
from skipln.engine.run import execute
from skipln.engine.seal import seal
from skipln.errors import UserError

RUN = "0123456789ab"


def weights(value: float) -> dict[str, torch.Tensor]:
    return {"w": torch.full((3,), float(value)), "count": torch.tensor(int(value))}


def owner(kind: str, update: int) -> dict:
    return {"run": RUN, "kind": kind, "update": update}


def test_two_states_and_the_last_k_weights_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, RUN, keep=3)
    for update in range(1, 7):
        checkpoints.save_state(update, {"update": update})
        checkpoints.save_weights(update, weights(update))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "state-00000005.pt", "state-00000006.pt",
        "weights-00000004.pt", "weights-00000005.pt", "weights-00000006.pt",
    ]  # fmt: skip
    assert checkpoints.load_state() == {"update": 6}
    averaged = checkpoints.average(6, every=1)
    assert averaged["w"].tolist() == [5, 5, 5]
    assert averaged["count"] == 6


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_a_damaged_state_falls_back_to_the_one_before(tmp_path, damage, capsys):
    checkpoints = Checkpoints(tmp_path, RUN, keep=1)
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
    assert checkpoints.load_state() == {"update": 1}  # and the damaged one is not read again
    assert "damaged" not in capsys.readouterr().err


def test_averaging_fails_if_weights_are_missing_or_damaged(tmp_path):
    checkpoints = Checkpoints(tmp_path, RUN, keep=2)
    checkpoints.save_weights(1, weights(1))
    with pytest.raises(UserError, match="averaging needs the last 2 weights up to update 1, of which 1 are there"):
        checkpoints.average(1, every=1)
    checkpoints.save_weights(2, weights(2))
    (tmp_path / "weights-00000001.pt").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"weights-00000001\.pt: damaged"):
        checkpoints.average(2, every=1)


def test_older_weights_do_not_replace_missing_ones(tmp_path):
    checkpoints = Checkpoints(tmp_path, RUN, keep=2)
    checkpoints.save_weights(10, weights(1))
    checkpoints.save_weights(20, weights(2))
    (tmp_path / "weights-00000020.pt").unlink()
    checkpoints.save_weights(25, weights(3))  # where training.wall_limit ended the run
    with pytest.raises(UserError, match="of which 1 are there"):
        checkpoints.average(25, every=10)


def test_any_changed_bit_of_a_checkpoint_is_found(tmp_path):
    """It is in data, headers, central directory or seal. Zip programs and torch can still read a sealed file."""
    Checkpoints(tmp_path, RUN, keep=1).save_weights(7, weights(1))
    path = tmp_path / "weights-00000007.pt"
    whole = path.read_bytes()
    assert zipfile.ZipFile(path).testzip() is None
    assert torch.load(path, weights_only=True)["w"].tolist() == [1, 1, 1]
    assert load(path, owner("weights", 7))["w"].tolist() == [1, 1, 1]
    start = whole.index(b"PK\1\2")  # the central directory and all that follows
    for place in {*range(0, len(whole), 7), *range(start, len(whole))}:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"damaged|another run or update"):
            load(path, owner("weights", 7))
    for size in range(0, len(whole), 31):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match="damaged"):
            load(path, owner("weights", 7))


def test_a_checkpoint_of_another_run_or_update_is_refused(tmp_path, capsys):
    mine, other = Checkpoints(tmp_path / "mine", RUN, keep=1), Checkpoints(tmp_path / "other", "f" * 12, keep=1)
    mine.save_state(1, {"update": 1})
    other.save_state(2, {"update": 2})
    (tmp_path / "other" / "state-00000002.pt").rename(tmp_path / "mine" / "state-00000002.pt")
    assert mine.load_state() == {"update": 1}
    assert "another run or update" in capsys.readouterr().err
    mine.save_weights(5, weights(5))
    (tmp_path / "mine" / "weights-00000005.pt").rename(tmp_path / "mine" / "weights-00000006.pt")
    with pytest.raises(UserError, match="belongs to another run or update"):
        mine.average(6, every=6)
    mine.save_weights(6, weights(5))
    (tmp_path / "mine" / "weights-00000006.pt").rename(tmp_path / "mine" / "state-00000009.pt")
    assert mine.load_state() == {"update": 1}


def test_files_with_other_names_are_left_alone(tmp_path):
    checkpoints = Checkpoints(tmp_path, RUN, keep=1)
    for name in ("state-foo.pt", "weights-foo.pt", "weights-1.pt", "state-٠٠٠٠٠٠٠١.pt"):
        (tmp_path / name).write_bytes(b"mine")
    checkpoints.save_weights(3, weights(3))
    checkpoints.forget_after(0)
    assert checkpoints.load_state() is None
    assert len(list(tmp_path.iterdir())) == 4


def test_a_run_goes_back_to_where_its_log_is_intact(tiny, tmp_path, interrupt, capsys):
    """Checkpoints after lost or changed lines of the log are passed over, and the curve is the same in the end."""
    run = [*tiny, "training.checkpoint_every=5", "training.log_every=5"]
    whole = compose([*run, f"paths.runs={tmp_path / 'whole'}"])
    assert execute(whole) == "done"
    config = compose([*run, f"paths.runs={tmp_path / 'broken'}"])
    interrupt(config, 12)
    log = config.folder / "metrics.jsonl"
    content = log.read_bytes()
    log.write_bytes(content[:-20])
    states = sorted((config.folder / "checkpoints").glob("state-*.pt"))
    assert [path.name for path in states] == ["state-00000005.pt", "state-00000010.pt"]
    interrupt(config, 13)
    assert "metrics.jsonl: changed since the checkpoint of update 10" in capsys.readouterr().err
    log.write_bytes(log.read_bytes().replace(b'"update": 5', b'"update": 4'))
    assert execute(config) == "done"
    assert curve(config.folder) == curve(whole.folder)


def curve(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("wall", "tokens_per_second")} for line in lines]


def test_going_back_removes_later_weights(tmp_path):
    checkpoints = Checkpoints(tmp_path, RUN, keep=5)
    for update in (1, 2, 3):
        checkpoints.save_weights(update, weights(update))
    checkpoints.forget_after(2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["weights-00000001.pt", "weights-00000002.pt"]


def test_loading_a_checkpoint_executes_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/executed",)

    path = tmp_path / "state-00000001.pt"
    with path.open("w+b") as file:
        torch.save({"evil": Evil()}, file)
        seal(file, owner("state", 1))  # anybody who can write the file can seal it
    with pytest.raises(UserError, match="damaged"):
        load(path, owner("state", 1))
    assert not (tmp_path / "executed").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        checkpoints = Checkpoints(small, RUN, keep=1)
        checkpoints.save_state(1, {"update": 1})
        with pytest.raises(UserError, match="the disk is full"):
            checkpoints.save_state(2, {"w": torch.zeros(1_000_000)})
        assert [p.name for p in small.iterdir()] == ["state-00000001.pt"]
        assert checkpoints.load_state() == {"update": 1}
    finally:
        subprocess.run(["umount", str(small)], check=True)
