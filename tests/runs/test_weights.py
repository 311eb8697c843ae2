"""What prepares a model's inputs is checked before its weights are used."""

from pathlib import Path

import pytest

from skipln.errors import UserError
from skipln.runs.folder import RunFolder
from skipln.runs.result import Data, Result
from skipln.runs.weights import inputs_beside

RESULT = {"state": "done", "update": 3, "metrics": {}, "environment": {}}


@pytest.mark.parametrize("name", ["vocabulary.model", "images.json"])
def test_a_changed_bit_of_the_inputs_is_found(tmp_path: Path, name: str) -> None:
    """Most such bits leave a vocabulary that can be read, with another word in it."""
    folder = RunFolder(tmp_path)
    folder.inputs.mkdir()
    (folder.inputs / name).write_bytes(b"Hund")
    (folder.checkpoints).mkdir()
    assert inputs_beside(tmp_path) == folder.inputs  # of a run without a result
    folder.write_result(Result(**RESULT, hash="ab", data=Data(name="a", fingerprint="b", test_examples=1)))
    assert inputs_beside(tmp_path) == inputs_beside(folder.checkpoints / "tested.pt") == folder.inputs
    (folder.inputs / "notes.txt").write_text("a user's own")
    assert inputs_beside(tmp_path) == folder.inputs
    (folder.inputs / name).write_bytes(b"Huld")
    with pytest.raises(UserError, match=f"{name}: changed since the run ended"):
        inputs_beside(tmp_path)
