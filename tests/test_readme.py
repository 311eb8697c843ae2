"""README's commands work: every make target exists, every table can be planned, and numbers come from results/."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from skipln.tables.manifest import load

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
GUIDE = (ROOT / "docs" / "guide.md").read_text("utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", README + GUIDE, re.DOTALL)
COMMANDS = [line.split("  #")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]
MAKE = [command for command in COMMANDS if command.startswith("make ")]
TRAIN = [command for command in COMMANDS if command.startswith(".venv/bin/skipln-train")]  # composed in test_docs.py
# The other commands are tested in tests/trained/test_commands.py.
USE = [command for command in COMMANDS if re.match(r".venv/bin/skipln-(?!train)", command)]
COMPLETION = ['eval "$(.venv/bin/skipln-train -sc install=bash)"']  # tests/test_install.py


def test_every_command_is_covered():
    assert set(COMMANDS) == set(MAKE) | set(TRAIN) | set(USE) | set(COMPLETION)
    assert MAKE[:2] == ["make table2", "make test"]


@pytest.mark.parametrize("command", MAKE)
def test_make_knows_the_target(command):
    found = subprocess.run([*shlex.split(command), "-n"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("command", [command for command in MAKE if "make table" in command])
def test_the_table_can_be_planned(command, tmp_path):
    table, *words = shlex.split(command)[1:]
    given = dict(word.split("=", 1) for word in words)
    arguments = [f"--scale={given.get('SCALE', 'demo')}", f"--seeds={given.get('SEEDS', '')}", "--dry-run"]
    extra = [f"--rows={given.get('ROWS', '')}", *given.get("ARGS", "").split()]
    found = subprocess.run(
        [sys.executable, "-m", "skipln.tables", "run", table, *arguments, *extra, f"paths.runs={tmp_path}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    scale = given.get("SCALE", "demo")
    cells = {"table1": {"demo": 18, "small": 23}, "table2": {"demo": 7, "small": 38}, "table3": {"demo": 33}}
    cells |= {"table5": {"paper": 21}, "table6": {"small": 5}, "table4": {"paper": 8}}
    for name in ("table7", "table8", "table9", "table10", "table11", "table2_recipe"):  # as many as the manifest says
        manifest = load(name)
        columns = [column for column in manifest.columns_at(scale) for _ in manifest.rows_of(scale, column)]
        cells[name] = {scale: sum(1 + len(column.settings) for column in columns)}
    seeds = int(given.get("SEEDS") or load(table).seeds[scale])
    more = (
        20 if (table, scale) == ("table2", "small") and "SEEDS" not in given else 0
    )  # of 5 columns, 2 rows have 5 seeds
    every_column = len(load(table).columns_at(scale)) * len(given.get("ROWS", "").split(","))
    asked = every_column if "ROWS" in given else cells[table][scale]
    assert len(found.stdout.splitlines()) == asked * seeds + more


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / "data/catalogs").is_dir(), reason="the demo text is not prepared: make data")
@pytest.mark.parametrize(("table", "runs", "results"), [("table2", 7, 5), ("table3", 22, 18), ("table5", 7, 6)])
def test_the_table_is_made_and_made_again(tmp_path, table, runs, results):
    """At test scale every row is run and the table is printed; the second time nothing runs. results/ is untouched."""
    command = [sys.executable, "-m", "skipln.tables", "--results=results", "run", table, "--scale=test"]
    place = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(ROOT)}}
    arguments = [*command, f"paths.cache={ROOT / 'data'}"]
    first, second = (subprocess.run(arguments, capture_output=True, text=True, check=False, **place) for _ in range(2))
    assert not (tmp_path / "results").exists()
    assert first.returncode == second.returncode == 0, first.stderr
    assert f"{table} · test: 0 of " in first.stderr
    assert f"{table} · test: {runs} of " in second.stderr
    assert first.stdout == second.stdout
    assert first.stdout.count("(n=1)") >= results


def test_make_alone_explains_every_target():
    said = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets
    for target in targets:
        assert re.search(rf"^  {target} +\S", said, re.MULTILINE), target


def test_the_table_shown_is_the_committed_one():
    table = (ROOT / "results/demo/table2/table.md").read_text()
    shown = README.split("<!-- table2 -->")[1]
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert rows
    assert all(row in shown for row in rows)


def test_no_address_and_no_path_of_a_machine_in_what_is_committed():
    """No file names a registry or a path that exists on one machine only."""
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    if not files:
        pytest.skip("not a git checkout")
    trap = re.compile("|".join(["pypi" + r"\.org", "file" + ":///opt", "/" + "root/", "/" + "work/"]))
    for name in files:
        text = (ROOT / name).read_text("utf-8", errors="ignore")
        assert not trap.search(text), name
