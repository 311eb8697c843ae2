import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skipln.data.text.lines import normalise, read_lines
from skipln.errors import UserError


@given(st.text())
def test_normalise_is_idempotent_and_gives_one_line(text: str) -> None:
    line = normalise(text)
    assert normalise(line) == line
    assert line.split() == line.split(" ") or line == ""


def test_only_a_newline_ends_a_line(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes("\ufeffone\r\ntwo\u2028still two\x0band\x85so on\nthr\u200bee\rthree\n\nlast".encode())
    assert list(read_lines(path)) == ["one", "two still two and so on", "three three", "", "last"]


def test_zero_width_joiners_stay() -> None:
    assert normalise("می\u200cخواهم") == "می\u200cخواهم"


def test_bytes_that_are_not_utf8_are_located(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"fine\nM\xfcnchen\n")
    with pytest.raises(UserError, match="text:2: not UTF-8"):
        list(read_lines(path))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        list(read_lines(tmp_path / "nothing"))


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("a line of text\n" * 30_000)
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_lines(path)) == 30_000
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()
