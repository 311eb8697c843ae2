"""Progress is shown as lines in a log file and as a bar on a terminal."""

import io

import pytest

from skipln.system import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("leave", [True, False])
@pytest.mark.parametrize(("stream", "returns"), [(io.StringIO, False), (Terminal, True)])
def test_only_terminals_get_carriage_returns(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], returns: bool, leave: bool
) -> None:
    monkeypatch.setattr("sys.stderr", stream())
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with progress.progress_bar(3, "update", "rskip_ln seed 1", initial=1, leave=leave) as bar:
        for _ in range(2):
            bar.update()
            bar.set_postfix_str("loss 1.000", refresh=False)
            bar.write("a note", progress.sys.stderr)
    said = progress.sys.stderr.getvalue()
    assert ("\r" in said) == returns
    assert said.count("a note\n") == 2
    assert "rskip_ln seed 1: 100%" in said


def test_a_hidden_bar_prints_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    with progress.progress_bar(3, "update", shown=False) as bar:
        bar.update()
    assert progress.sys.stderr.getvalue() == ""
