"""C++ is compiled once for a source and its headers, and a failure is one line."""

import ctypes
import logging
import os
import shutil

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from skipln.ops import topk_log_softmax
from skipln.ops.compiled import compiled

SOURCE = '#include "number.h"\nextern "C" int number() { return NUMBER; }\n'


@pytest.fixture
def source(tmp_path, monkeypatch):
    if not any(map(shutil.which, (os.environ.get("CXX") or "c++", "g++", "clang++"))):
        pytest.skip("no C++ compiler here")
    monkeypatch.setenv("SKIPLN_CACHE", str(tmp_path / "cache"))
    compiled.cache_clear()
    (tmp_path / "number.h").write_text("#define NUMBER 7\n")
    path = tmp_path / "answer.cpp"
    path.write_text(SOURCE)
    yield path
    compiled.cache_clear()


def test_a_source_is_compiled_only_once(source):
    library = compiled(source)
    assert isinstance(library, ctypes.CDLL)
    assert library.number() == 7
    (kept,) = (source.parent / "cache").iterdir()
    written = kept.stat().st_mtime_ns
    compiled.cache_clear()
    assert compiled(source).number() == 7
    assert kept.stat().st_mtime_ns == written


@torch.no_grad()
def test_a_profile_shows_kernels(source):
    with profile(activities=[ProfilerActivity.CPU]) as found:
        topk_log_softmax(torch.randn(2, 30), 3, 1)
    assert "topk_log_softmax" in {event.key for event in found.key_averages()}


def test_a_changed_header_gives_another_library(source):
    assert compiled(source).number() == 7
    (source.parent / "number.h").write_text("#define NUMBER 8\n")
    compiled.cache_clear()
    assert compiled(source).number() == 8
    assert len(list((source.parent / "cache").iterdir())) == 2


def test_a_source_that_does_not_compile_is_one_line(source, caplog):
    source.write_text("nonsense")
    with caplog.at_level(logging.INFO):
        assert compiled(source) is None
        assert compiled(source) is None
    (record,) = caplog.records
    assert record.message.startswith("answer was not compiled and uses its plain form: ")
    assert list((source.parent / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_one_line(source, caplog, monkeypatch):
    monkeypatch.setenv("SKIPLN_CACHE", str(source))  # a file
    with caplog.at_level(logging.INFO):
        assert compiled(source) is None
    assert len(caplog.records) == 1
