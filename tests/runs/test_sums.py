import json
from pathlib import Path

import pytest

from skipln.runs.sums import check_sum, unchanged, with_sums


def test_any_changed_byte_of_a_result_is_found(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    result = with_sums({"hash": "ab", "metrics": {"bleu": 31.25}, "message": "é"}, [tmp_path / "metrics.jsonl"])
    check_sum(json.loads(json.dumps(result)))
    text = json.dumps(result, ensure_ascii=False).encode()
    for place in range(len(text)):
        for bit in (1, 2):
            changed = text[:place] + bytes([text[place] ^ bit]) + text[place + 1 :]
            try:
                content = json.loads(changed)
            except ValueError:
                continue
            with pytest.raises(ValueError, match="changed since it was written"):
                check_sum(content)


def test_older_results_without_sums_are_accepted() -> None:
    check_sum({"hash": "ab", "metrics": {}})


def test_a_changed_file_beside_a_result_is_found(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("{}\n")
    files = with_sums({}, [path, tmp_path / "absent"])["files"]
    assert list(files) == ["metrics.jsonl"]
    assert unchanged(path, files) and unchanged(tmp_path / "other", files) and unchanged(path, None)
    path.write_text("{1}\n")
    assert not unchanged(path, files)
    path.unlink()
    assert not unchanged(path, files)
    assert "changed since the run ended" in caplog.text
