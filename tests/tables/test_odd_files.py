"""An odd file affects its own cell but never the whole table, whatever numbers, types, encoding or nesting it has."""

import json
import lzma
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skipln.errors import UserError
from skipln.report.latex import latex
from skipln.report.markdown import markdown
from skipln.report.spreadsheet import spreadsheet
from skipln.runs.folder import RunFolder
from skipln.runs.reading import last_line, read_state
from skipln.runs.result import read_result
from skipln.system.strict_json import loads
from skipln.system.strict_yaml import read_yaml
from skipln.tables.cells import CACHE, cells
from skipln.tables.manifest import load
from skipln.tables.presentation.page import page
from skipln.tables.presentation.render import render
from skipln.tables.presentation.text import document
from skipln.tables.presentation.values import values
from skipln.tables.records import collect
from skipln.tables.statistics.summary import summarise
from skipln.tables.status import status
from skipln.tables.store import read
from tests.tables import fakes
from tests.tables.conftest import Workplace

NAN, INFINITE = float("nan"), float("inf")
ODD = [NAN, INFINITE, -INFINITE, -1, 10**400, 2**63, "a", "", None, True, [], [1], {}, {"a": 1}, 0.5, "\ud800"]
DEEP = '{"a":' * 20_000 + "1" + "}" * 20_000
BYTES = [b"", b"\0" * 100, b"{", b"[]", b'"state"', b"null", b"NaN", b"1e999", DEEP.encode(), b"\xff\xfe{\0}\0"]
BYTES += ['{"state": "done", "message": "é"}'.encode(codec) for codec in ("latin-1", "utf-16", "utf-32")]
YAML = [b"a: &x [*x]\n", b"a: !!binary aGFsbG8=\n", b"a: .nan\n", b"1: 2\n", b"a: !!python/object:os.system x\n"]
YAML += [
    b"a: 2024-99-99\n",
    b"\xe9: 1\n",
    b"a: " + b"[" * 5000,
    b"x: ${oc.env:HOME}\n",
    b"a: 1\na: 2\n",
    b'a: "\\ud800"\n',
    *BYTES,
]


def _table(workplace: Workplace) -> list[str]:
    """Make the table from the folders and return the rows that have a record."""
    collect(workplace.manifest, workplace.cells(), workplace.folder)
    kept = read(workplace.folder)
    summary, curves = summarise(workplace.manifest, "test", kept.records, kept.examples), kept.curves
    printed = document(summary)
    for made in (markdown(printed), latex(printed), spreadsheet(values(summary)), page(summary, curves)):
        made.encode()
    status(workplace.manifest, "test", [1])
    return [record.row for record in kept.records]


@pytest.mark.parametrize(
    "key",
    [
        *("hash", "state", "update", "metrics", "signatures", "parameters", "tokens_per_second", "train_seconds"),
        *("data", "environment", "message", "row"),
    ],
)
def test_odd_values_of_a_result(finished: Workplace, key: str) -> None:
    """Engine and table both refuse the result, so the run is made again, or both accept it."""
    folder = finished.cell("rskip_ln").folder
    whole = json.loads((folder / "result.json").read_text())
    for value in [
        *ODD,
        *([{"a": odd} for odd in ODD]),
        *([whole[key] | {"bleu": odd} for odd in ODD if key == "metrics"]),
    ]:
        (folder / "result.json").write_text(json.dumps({**whole, key: value}))
        refused = RunFolder(folder).finished() is None
        assert _table(finished) == ["xskip", "post_ln", *([] if refused else ["rskip_ln"]), "rskip_ln_3"], value
        shutil.rmtree(finished.folder)
    must_refuse = {"hash": "other", "train_seconds": NAN, "environment": {"cores": NAN}, "parameters": 10**400}
    if key in must_refuse:
        (folder / "result.json").write_text(json.dumps({**whole, key: must_refuse[key]}))
        assert read_result(folder) is None


@pytest.mark.parametrize(
    "name", ["result.json", "status.json", "ticket.json", "metrics.jsonl", "examples.npy", "config.yaml"]
)
def test_odd_bytes_in_a_run_folder(finished: Workplace, name: str) -> None:
    folder = finished.cell("rskip_ln").folder
    for content in YAML if name == "config.yaml" else BYTES:
        (folder / name).write_bytes(content)
        rows = _table(finished)
        assert [row for row in rows if row != "rskip_ln"] == ["xskip", "post_ln", "rskip_ln_3"]
        assert ("rskip_ln" in rows) == (name != "result.json")
        shutil.rmtree(finished.folder)
    (folder / name).unlink()
    (folder / name).mkdir()
    assert len(_table(finished)) == 3 + (name != "result.json")


@pytest.mark.parametrize("key", ["state", "update", "updates", "message", "host", "job"])
def test_odd_values_of_a_status_and_a_ticket(tmp_path: Path, key: str) -> None:
    for value in [*ODD, "a" * 5000, "a\0b"]:
        fakes.write_status(tmp_path, "running")
        status = json.loads((tmp_path / "status.json").read_text())
        (tmp_path / "status.json").write_text(json.dumps({**status, key: value}))
        (tmp_path / "ticket.json").write_text(json.dumps({"name": value, "index": value}))
        (tmp_path / "ticket.json").write_text(json.dumps({"name": "a", "index": 0, "log": value}))
        assert last_line(tmp_path) == ""
        found = read_state(tmp_path)
        assert isinstance(found.message, str)
        assert 0 <= found.update < 2**53


def test_odd_points(finished: Workplace) -> None:
    path = finished.cell("rskip_ln").folder / "metrics.jsonl"
    lines = [json.dumps({"update": value, "train/loss": 1.0}) for value in ODD]
    lines += [json.dumps({"update": 3, "wall": value, "valid/bleu": value, "train/loss": value}) for value in ODD]
    path.write_text(path.read_text() + "\n".join(lines) + "\n")
    assert len(_table(finished)) == 4
    render(finished.manifest, "test", finished.folder)


def test_odd_examples(finished: Workplace) -> None:
    path = finished.cell("rskip_ln").folder / "examples.npy"
    whole = np.load(path)
    arrays: list[Any] = [
        whole[:5],
        whole[:, :3],
        whole * NAN,
        -whole,
        whole.astype("U8"),
        whole * 1j,
        np.float64(3),
        whole.ravel(),
    ]
    for array in [*arrays, np.zeros((0, 10))]:
        np.save(path, array)
        assert len(_table(finished)) == 4
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999999, 10), }"
    path.write_bytes(header.ljust(127) + b"\n" + b"\0" * 80)  # it claims 800 TB
    assert len(_table(finished)) == 4


@pytest.mark.parametrize("name", ["records.jsonl", "curves.jsonl"])
def test_odd_results(finished: Workplace, name: str) -> None:
    """They belong to the user, so they are refused in one line that names the file."""
    _table(finished)
    whole = (finished.folder / name).read_bytes()
    for content in BYTES[1:]:
        (finished.folder / name).write_bytes(whole + content)
        with pytest.raises(UserError, match=name) as error:
            _table(finished)
        assert len(str(error.value).splitlines()) == 1


def test_odd_statistics_of_examples(finished: Workplace) -> None:
    _table(finished)
    path = finished.folder / "examples" / f"{finished.cell('post_ln').hash}.xz"
    whole = path.read_bytes()
    for content in (*BYTES, whole[:-20], lzma.compress(b"{"), lzma.compress(b"\x93NUMPY\x01\x00v\x00{}".ljust(200))):
        path.write_bytes(content)
        with pytest.raises(UserError, match=path.name) as error:
            _table(finished)
        assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("content", YAML, ids=lambda content: repr(content[:20]))
def test_odd_manifests(finished: Workplace, content: bytes) -> None:
    Path("experiments/table9.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"table9\.yaml") as error:
        load("table9", Path("experiments"))
    assert len(str(error.value).splitlines()) == 1


def test_yaml_aliases_that_expand_to_gigabytes_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [1, 1]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    with pytest.raises(ValueError, match="alias"):
        read_yaml(tmp_path / "bomb.yaml")


def test_a_damaged_cache_of_configurations_is_ignored(finished: Workplace) -> None:
    """Even if it is valid JSON with another run's configuration, configurations are composed again."""
    wanted = [cell.hash for cell in finished.cells()]
    whole = json.loads(Path(CACHE).read_text())
    first, second, *_ = whole["configurations"]
    swapped = whole["configurations"] | {first: whole["configurations"][second]}
    other = json.loads(json.dumps(whole["configurations"]).replace('"seed": 1', '"seed": "a"'))
    damaged: list[bytes] = [
        *BYTES,
        *(json.dumps(whole | {"configurations": c}).encode() for c in (swapped, other, [], 3)),
    ]
    for content in damaged:
        Path(CACHE).write_bytes(content)
        assert [cell.hash for cell in cells(load("table9", Path("experiments")), "test", [1])] == wanted


def test_strict_json_refuses_nan_large_numbers_and_surrogates() -> None:
    assert loads(b'{"a": [1, 2.5, null, true, "\xce\xbb"]}') == {"a": [1, 2.5, None, True, "λ"]}
    assert loads(b"[NaN]", finite=False)[0] != 0
    for text in (b"NaN", b"-Infinity", b"1e999", b"9223372036854775808", b'"\\ud800"', b'{"\\ud800": 1}', b"[" * 40):
        with pytest.raises(ValueError):
            loads(text)
