"""The code behind a result: uncommitted changes are recorded as a patch that restores them."""

import subprocess

import pytest

from skipln.runs.source import Source, source


def git(folder, *arguments):
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path):
    """Make a repository with a package, and return its root as git names it."""
    root = tmp_path.resolve() / "clone"
    (root / "skipln").mkdir(parents=True)
    (root / "results").mkdir()
    (root / "skipln" / "a.py").write_text("a = 1\n")
    (root / "results" / "table.md").write_text("1\n")
    (root / ".gitignore").write_text("__pycache__\n")
    git(root.parent, "init", "-q", str(root))
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    return root


def test_a_clean_clone_is_its_commit(clone):
    (clone / "results" / "table.md").write_text("2\n")  # results of runs are not code
    (clone / "skipln" / "__pycache__").mkdir()
    (clone / "skipln" / "__pycache__" / "a.pyc").write_text("x")
    (clone / "notes.txt").write_text("mine\n")
    found = source(clone)
    assert found == Source(git(clone, "rev-parse", "--short=12", "HEAD"))
    assert found.describe() == {"commit": found.commit, "dirty": False}


def test_the_patch_restores_the_files(clone, tmp_path):
    """A changed file, a new one with odd bytes, and a new connection that git does not track."""
    (clone / "skipln" / "a.py").write_text("a = 2\n")
    (clone / "skipln" / "skips").mkdir()
    (clone / "skipln" / "skips" / "mine über.py").write_text("b = 1")
    (clone / "skipln" / "codes.bin").write_bytes(bytes(range(256)))
    (clone / "skipln" / "empty.py").write_text("")
    found = source(clone)
    assert found.describe() == {"commit": found.commit, "dirty": True, "patch": found.digest}
    assert len(found.digest) == 12
    git(tmp_path, "clone", "-q", str(clone), "again")
    subprocess.run(["git", "apply", "-"], cwd=tmp_path / "again", input=found.patch, check=True)
    for path in (clone / "skipln").rglob("*"):
        if path.is_file():
            assert (tmp_path / "again" / path.relative_to(clone)).read_bytes() == path.read_bytes(), path.name
    assert source(tmp_path / "again").commit == found.commit


def test_a_change_is_another_patch(clone):
    (clone / "skipln" / "new.py").write_text("1\n")
    one = source(clone).digest
    (clone / "skipln" / "new.py").write_text("2\n")
    assert source(clone).digest not in ("", one)


def test_a_repository_around_an_installation_is_ignored(clone):
    (clone / "lib").mkdir()
    assert source(clone / "lib") == Source("")
    assert source(clone.parent) == Source("")


def test_without_git_the_source_is_unknown(clone, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert source(clone) == Source("")
