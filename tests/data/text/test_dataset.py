import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skipln.data.text import ParallelFiles, TextData, Vocabulary, dataset
from skipln.errors import UserError
from tests.data.text.conftest import SENTENCES

OPTIONS: dict[str, Any] = {"vocab_size": 340, "max_length": 60}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_prepared_data_has_all_that_a_task_needs(parallel_text: Path, cache: Path) -> None:
    data = TextData.prepare(parallel_text, **OPTIONS, cache=cache)
    assert (len(data.train), len(data.valid), len(data.test), len(data.vocabulary)) == (8, 2, 2, 340)
    for split, pairs in {"train": SENTENCES[:8], "valid": SENTENCES[8:10], "test": SENTENCES[10:]}.items():
        assert list(zip(data.sources(split), data.references(split), strict=True)) == pairs
    assert data.vocabulary.decode(data.test.target[0].tolist()) == SENTENCES[10][1]
    assert data.languages == ("en", "de")


def test_data_are_built_only_once(parallel_text: Path, cache: Path) -> None:
    first = TextData.prepare(parallel_text, **OPTIONS, cache=cache)
    stamps = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in first.folder.iterdir()}
    again = TextData.prepare(parallel_text, **OPTIONS, cache=cache)
    assert (again.folder, again.fingerprint, again.counts) == (first.folder, first.fingerprint, first.counts)
    assert stamps == {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in first.folder.iterdir()}


def test_the_fingerprint_depends_on_text_and_options_but_not_on_paths(
    parallel_text: Path, cache: Path, tmp_path: Path
) -> None:
    first = TextData.prepare(parallel_text, **OPTIONS, cache=cache).fingerprint
    moved = parallel_text.rename(tmp_path / "moved")
    for path in moved.glob("valid.*"):
        path.rename(path.with_name(path.name.replace("valid", "val")))
    assert TextData.prepare(moved, valid="val", **OPTIONS, cache=cache).fingerprint == first
    others = {
        TextData.prepare(moved, valid="val", **(OPTIONS | change), cache=cache).fingerprint
        for change in ({"vocab_size": 345}, {"max_length": 61}, {"source": "de", "target": "en"})
    }
    (moved / "test.de").write_text("anderer\nText\n")
    others.add(TextData.prepare(moved, valid="val", **OPTIONS, cache=cache).fingerprint)
    assert len(others | {first}) == 5


def test_changed_prepared_text_is_prepared_again(
    parallel_text: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A changed bit in any file, a cut file, swapped languages, and another text's folder under this name."""
    first = TextData.prepare(parallel_text, **OPTIONS, cache=cache)
    whole = {path: path.read_bytes() for path in first.folder.iterdir()}
    other = TextData.prepare(parallel_text, **(OPTIONS | {"vocab_size": 345}), cache=cache)
    kept = {path.name: path.read_bytes() for path in other.folder.iterdir()}

    def damaged() -> Iterator[None]:
        for path, content in whole.items():
            middle = len(content) // 2
            path.write_bytes(content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])
            yield
            path.write_bytes(content[:-1])
            yield
        for split in ("train", "valid"):
            names = [first.folder / f"{split}.{language}.bin" for language in first.languages]
            for path, content in zip(names, map(whole.get, reversed(names)), strict=True):
                path.write_bytes(content or b"")
            yield
        for name, content in kept.items():
            (first.folder / name).write_bytes(content)
        yield

    attacks = 0
    for _ in damaged():
        caplog.clear()
        again = TextData.prepare(parallel_text, **OPTIONS, cache=cache)
        assert "the text is encoded again" in caplog.text
        assert {path: path.read_bytes() for path in again.folder.iterdir()} == whole
        attacks += 1
    assert attacks == 2 * len(whole) + 3


MARKED = ["Ein\u200b Satz", "noch\u2060  einer ", "\ufeffvorn", "▁mit ▁Marken", "▅ und\xa0mehr", "a\u2028b\rc\x85d"]


def test_references_are_kept_as_they_were_given(parallel_text: Path, cache: Path) -> None:
    for split in ("valid", "test"):
        (parallel_text / f"{split}.de").write_bytes("".join(f"{line}\r\n" for line in MARKED).encode())
        (parallel_text / f"{split}.en").write_text("".join(f"line {i}\n" for i in range(len(MARKED))))
    data = TextData.prepare(parallel_text, **OPTIONS, cache=cache)
    assert data.references("valid") == data.references("test") == MARKED
    assert data.vocabulary.decode(data.test.target[3].tolist()) == "mit Marken"  # a model writes spaces


@pytest.mark.parametrize(
    ("name", "line", "changes"),
    [("train.en", line, True) for line in ("x▅y", "word " * 900, "▁", "\u200bx")]
    + [("test.de", line, True) for line in MARKED[:5]]
    + [("test.de", line, False) for line in ("schön …", "a\xa0b\u2028c  d", "word " * 800, "می\u200cخواهم 今天")],
)
def test_only_text_that_format_2_treats_differently_gets_a_new_fingerprint(
    parallel_text: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, name: str, line: str, changes: bool
) -> None:
    """Data that were prepared and published before keep their name."""
    path = parallel_text / name
    path.write_text(path.read_text("utf-8").replace("\n", f" {line}\n", 1), "utf-8")
    now = dataset.fingerprint_of(ParallelFiles(parallel_text), cache / "memory", 300, 60, "sentencepiece")
    monkeypatch.setattr(dataset, "FORMAT", 1)
    before = dataset.fingerprint_of(ParallelFiles(parallel_text), cache / "memory", 300, 60, "sentencepiece")
    assert (now != before) == changes


def test_long_sentences_leave_train_and_are_cut_in_test(
    parallel_text: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = (parallel_text / "train.en").read_text().splitlines()
    (parallel_text / "train.en").write_text("\n".join([lines[0], "word " * 10_000, *lines[2:]]) + "\n")
    (parallel_text / "test.de").write_text("sehr " * 500 + "lang\nkurz\n")
    data = TextData.prepare(parallel_text, **OPTIONS, cache=cache)
    assert data.counts["train"] == {"pairs": 7, "long": 1}
    assert data.counts["test"] == {"pairs": 2, "long": 1}
    assert data.test.target.lengths[0] == 60
    assert data.references("test")[0] == "sehr " * 500 + "lang"
    assert data.sources("train") == [lines[0], *lines[2:]]
    assert "train: 1 of 8 pairs have over 60 tokens: left out" in caplog.messages


def test_a_max_length_that_leaves_no_pair_is_refused(parallel_text: Path, cache: Path) -> None:
    with pytest.raises(UserError, match=r"at most data\.max_length=\d+ tokens; raise it"):
        TextData.prepare(parallel_text, vocab_size=340, max_length=1, cache=cache)
    assert not [path for path in (cache / "text").iterdir() if path.is_dir()]


def test_a_full_disk_is_one_line_and_the_next_try_works(
    parallel_text: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(dataset, "binarise", full)
        with pytest.raises(UserError, match="the disk is full"):
            TextData.prepare(parallel_text, **OPTIONS, cache=cache)
    assert not [path for path in (cache / "text").iterdir() if path.is_dir()]
    TextData.prepare(parallel_text, **OPTIONS, cache=cache)


@pytest.mark.parametrize("name", ["about.json", "train.en.bin", "test.de.offsets.npy", "vocabulary.model"])
def test_a_damaged_folder_is_built_again(parallel_text: Path, cache: Path, name: str) -> None:
    folder = TextData.prepare(parallel_text, **OPTIONS, cache=cache).folder
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:5])
    TextData.prepare(parallel_text, **OPTIONS, cache=cache)
    assert (folder / name).read_bytes() == whole


def test_missing_files_are_reported_before_anything_else(parallel_text: Path, cache: Path) -> None:
    (parallel_text / "test.de").unlink()
    with pytest.raises(UserError, match=r"missing test\.de"):
        TextData.prepare(parallel_text, **OPTIONS, cache=cache)
    assert not cache.exists()


def test_two_processes_at_once_build_one_folder(parallel_text: Path, cache: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from skipln.data.text import TextData\n"
        "data = TextData.prepare(Path(sys.argv[1]), vocab_size=340, max_length=60, cache=Path(sys.argv[2]))\n"
        "assert 'torch' not in sys.modules; print(data.fingerprint)"
    )
    command = [sys.executable, "-c", code, str(parallel_text), str(cache)]
    two = [subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"}) for _ in "ab"]
    assert len({process.communicate()[0] for process in two}) == 1
    assert [process.returncode for process in two] == [0, 0]
    assert len([path for path in (cache / "text").iterdir() if path.is_dir()]) == 1


def test_the_vocabulary_is_learnt_on_train_alone(parallel_text: Path, cache: Path) -> None:
    data = TextData.prepare(parallel_text, **OPTIONS, cache=cache)
    (parallel_text / "test.en").write_text("zebra\nquagga\n")
    other = TextData.prepare(parallel_text, **OPTIONS, cache=cache)
    models = [(one.folder / "vocabulary.model").read_bytes() for one in (data, other)]
    assert models[0] == models[1]
    assert isinstance(other.vocabulary, Vocabulary)
