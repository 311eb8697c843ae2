"""The files that fuzzing (`make fuzz`) started from and found, read without atheris."""

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS, attempt

CORPUS = Path(__file__).with_name("corpus")


@pytest.mark.parametrize("name", TARGETS)
def test_every_file_of_the_corpus_and_variants_of_it(name: str) -> None:
    contents = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
    assert contents
    for content in contents:
        attempt(TARGETS[name], content)
        for place in range(0, len(content), max(1, len(content) // 16)):
            attempt(TARGETS[name], content[:place] + b"\xff" + content[place + 1 :])
