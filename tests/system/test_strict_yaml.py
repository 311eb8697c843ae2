"""YAML from untrusted files: plain values, as the one who wrote it meant them, or one line."""

from pathlib import Path

import pytest
import yaml

from skipln.system.strict_yaml import read_dumped, read_yaml


def test_what_yaml_dumps_is_read_back(tmp_path: Path) -> None:
    """A hash such as 1234567890e1 is dumped without quotes, as in YAML 1.1 it is no number."""
    content = {"inputs": ["1234567890e1", "012345678901"], "eps": 1e-9, "a": None, "b": True, "c": "λ\n", "d": []}
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(content, allow_unicode=True))
    assert read_dumped(tmp_path / "x.yaml") == content


@pytest.mark.parametrize("date", ["2024-01-01", "2024-99-99"])
def test_no_date_is_ever_dumped(tmp_path: Path, date: str) -> None:
    (tmp_path / "x.yaml").write_text(f"a: {date}\n")
    assert read_yaml(tmp_path / "x.yaml") == {"a": date}
    with pytest.raises(ValueError):
        read_dumped(tmp_path / "x.yaml")


def test_a_persons_1e_3_is_a_number(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("lr: 1e-3\nname: ${oc.env:HOME}\n")
    assert read_yaml(tmp_path / "x.yaml") == {"lr": 0.001, "name": "${oc.env:HOME}"}


@pytest.mark.parametrize("read", [read_yaml, read_dumped])
@pytest.mark.parametrize(
    "content",
    [
        "a: 1".encode("utf-16"), b"\xe9: 1", b"a: [", b"a: " + b"[" * 1500, b"a: &x [*x]",
        b"a: !!binary aGFsbG8=", b"a: .nan", b"a: !!python/object/apply:os.getcwd []", b'a: "\\ud800"', b"\0",
    ],
)  # fmt: skip
def test_anything_else_is_one_line(tmp_path: Path, read, content: bytes) -> None:
    (tmp_path / "x.yaml").write_bytes(content)
    with pytest.raises(ValueError) as error:
        read(tmp_path / "x.yaml")
    assert len(str(error.value).splitlines()) == 1
