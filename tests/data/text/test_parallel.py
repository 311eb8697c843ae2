from pathlib import Path

import pytest

from skipln.data.text.parallel import ParallelFiles
from skipln.errors import UserError
from tests.data.text.conftest import SENTENCES

MULTI30K = Path(__file__).parents[4] / "shared" / "data" / "multi30k"


def test_pairs_come_in_order(parallel_text: Path) -> None:
    files = ParallelFiles(parallel_text)
    assert list(files.pairs("train")) == SENTENCES[:8]
    assert files.check() == {"train": 8, "valid": 2, "test": 2}


def test_carriage_returns_byte_order_marks_and_odd_separators_are_normalised(parallel_text: Path) -> None:
    (parallel_text / "valid.en").write_bytes("\ufeffone\u2028two\r\nthree\r\n".encode())
    assert [source for source, _ in ParallelFiles(parallel_text).pairs("valid")] == ["one two", "three"]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        ParallelFiles(tmp_path / "nothing").check()


def test_missing_files_are_named_beside_those_that_are_there(parallel_text: Path) -> None:
    with pytest.raises(UserError, match=r"missing train\.vi, val\.en, val\.vi, test\.vi \(there: test\.de, test\.en, "):
        ParallelFiles(parallel_text, target="vi", valid="val").check()


@pytest.mark.parametrize(("language", "counts"), [("en", "9 lines and .* 8"), ("de", "8 lines and .* 9")])
def test_unequal_line_counts_are_refused(parallel_text: Path, language: str, counts: str) -> None:
    with (parallel_text / f"train.{language}").open("a") as file:
        file.write("one more\n")
    with pytest.raises(UserError, match=counts):
        ParallelFiles(parallel_text).check()


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_line_that_is_empty_on_one_side_is_refused(parallel_text: Path, split: str, language: str) -> None:
    path = parallel_text / f"{split}.{language}"
    first, _, *rest = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([first, "\u200b ", *rest]) + "\n", "utf-8")
    with pytest.raises(UserError, match=rf"{split}\.{language}:2 is empty but .*:2 is not"):
        ParallelFiles(parallel_text).check()


def test_empty_pairs_are_dropped_from_train_and_refused_in_test(parallel_text: Path) -> None:
    def insert(split: str) -> None:
        for language in ("en", "de"):
            path = parallel_text / f"{split}.{language}"
            path.write_text("\n" + path.read_text("utf-8"), "utf-8")

    insert("train")
    assert ParallelFiles(parallel_text).check()["train"] == 8
    insert("test")
    with pytest.raises(UserError, match=r"test\.en:1 and .*test\.de:1 are empty"):
        ParallelFiles(parallel_text).check()


def test_a_split_without_sentences_is_refused(parallel_text: Path) -> None:
    for language in ("en", "de"):
        (parallel_text / f"valid.{language}").write_text("")
    with pytest.raises(UserError, match="no sentences"):
        ParallelFiles(parallel_text).check()


@pytest.mark.skipif(not MULTI30K.is_dir(), reason="Multi30k is not in shared/data/multi30k beside the clone")
def test_multi30k_has_its_known_counts() -> None:
    files = ParallelFiles(MULTI30K, valid="val", test="test_2016_flickr")
    assert files.check() == {"train": 29000, "valid": 1014, "test": 1000}
