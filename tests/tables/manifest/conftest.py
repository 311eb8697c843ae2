"""A manifest with a mistake in it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from skipln.errors import UserError
from skipln.tables.manifest import load
from tests.tables.conftest import MANIFEST


@pytest.fixture
def complaint(tmp_path: Path) -> Callable[[str, str], str]:
    """complaint(old, new) is the line about the manifest with `new` in the place of `old`."""

    def read(old: str, new: str) -> str:
        assert old in MANIFEST
        (tmp_path / "table9.yaml").write_text(MANIFEST.replace(old, new))
        with pytest.raises(UserError) as caught:
            load("table9", tmp_path)
        said = str(caught.value)
        assert "\n" not in said and said.startswith("table9.yaml: ")
        return said

    return read
