import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from skipln.data.text.demo import catalogs, extraction, wheels
from skipln.errors import UserError
from skipln.system.files import sha256
from tests.data.text.conftest import SENTENCES, Registry, po, write_wheel

PREPARED = Path(__file__).parents[4] / "data" / "catalogs"


def prepare(registry: Registry, expected: Path | None = None) -> Path:
    return catalogs.prepare(registry.cache, registry.lock, expected, held_out=2)


def sums(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path) for path in sorted(folder.iterdir())}


def test_every_sentence_is_in_exactly_one_split(registry: Registry) -> None:
    folder = prepare(registry)
    files = json.loads((folder / "MANIFEST.json").read_text("utf-8"))
    assert {name: file["lines"] for name, file in files["files"].items()} == {
        "train.en": 8, "train.de": 8, "valid.en": 2, "valid.de": 2, "test.en": 2, "test.de": 2,
    }  # fmt: skip
    assert files["sources"]["apple==1.0"] == {"wheel": registry.wheels[0].name, "licence": "MIT"}
    read = {
        s: [(folder / f"{s}.{side}").read_text("utf-8").splitlines() for side in ("en", "de")]
        for s in ("train", "valid", "test")
    }
    assert sorted(pair for english, german in read.values() for pair in zip(english, german, strict=True)) == sorted(
        SENTENCES
    )


def test_a_build_gives_the_same_bytes_in_any_environment(registry: Registry, tmp_path: Path) -> None:
    folder = prepare(registry)
    code = (
        "import sys; from pathlib import Path; from skipln.data.text.demo import catalogs\n"
        "catalogs.prepare(Path(sys.argv[1]), Path(sys.argv[2]), None, 2)"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "LC_ALL": "C", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, str(tmp_path / "other"), str(registry.lock)]
    two = [subprocess.Popen(command, env=environment) for _ in range(2)]  # at the same time, into one folder
    assert [process.wait() for process in two] == [0, 0]
    assert sums(tmp_path / "other" / "catalogs") == sums(folder)
    assert sorted(path.name for path in (tmp_path / "other").iterdir()) == [".catalogs.lock", "catalogs", "wheels"]


def test_a_prepared_folder_needs_no_wheel(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = prepare(registry)
    monkeypatch.setattr(wheels, "fetch", lambda *_: pytest.fail("fetched again"))
    assert prepare(registry) == folder


@pytest.mark.parametrize("damage", ["changed", "missing", "no manifest"])
def test_a_damaged_folder_is_built_again(registry: Registry, damage: str) -> None:
    folder = prepare(registry)
    whole = sums(folder)
    if damage == "changed":
        (folder / "train.en").write_text("something else\n")
    else:
        (folder / ("test.de" if damage == "missing" else "MANIFEST.json")).unlink()
    assert sums(prepare(registry)) == whole


def test_a_build_that_differs_from_the_committed_one_is_refused(registry: Registry, tmp_path: Path) -> None:
    expected = tmp_path / "expected.json"
    expected.write_text(json.dumps({"valid.de": {"sha256": "0" * 64}}))
    with pytest.raises(UserError, match=f"valid.de has SHA-256 [0-9a-f]{{64}}, expected {'0' * 64}"):
        prepare(registry, expected)
    assert not (registry.cache / "catalogs").exists()
    assert not list(registry.cache.glob(".*.tmp"))


def test_the_most_frequent_translation_wins(tmp_path: Path) -> None:
    source, common, rare = "The door is open.", "Die Tür ist offen.", "Das Tor ist offen."
    made = [
        write_wheel(
            tmp_path, name, {f"x/{place}/de/LC_MESSAGES/a.po": po([(said, text)]) for place, said, text in entries}
        )
        for name, entries in {
            "one": [("a", source, rare), ("b", source, common)],
            "two": [("a", source.upper(), common), ("b", source, common)],
        }.items()
    ]
    assert catalogs.pairs(made) == [(source, common)]


def test_an_interrupted_build_leaves_nothing(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Path) -> None:
        raise KeyboardInterrupt

    (registry.cache / ".catalogs.old.tmp").mkdir(parents=True)  # what a killed process left
    monkeypatch.setattr(extraction, "messages", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(registry)
    assert sorted(path.name for path in registry.cache.iterdir()) == [".catalogs.lock", "wheels"]


@pytest.mark.skipif(not PREPARED.is_dir(), reason="data/catalogs is not prepared: make data")
def test_the_prepared_corpus_is_the_committed_one() -> None:
    expected = json.loads(catalogs.EXPECTED.read_text("utf-8"))
    assert {name: catalogs.describe(PREPARED / name) for name in expected} == expected
    assert {name: file["lines"] for name, file in expected.items() if name[:5] != "train"} == dict.fromkeys(
        ["valid.en", "valid.de", "test.en", "test.de"], 1000
    )
