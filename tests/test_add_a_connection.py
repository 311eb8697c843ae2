"""Follow README's "Add a connection" to the letter in a copy of the tree, with three made-up connections.

They are README's own snippet, a formula; `tests/made_up/made_deep.py`, which needs the net's depth and initialises its
branch; and `tests/made_up/made_two.py`, whose stream is a dict of two tensors and whose `leave` has parameters.
"""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.conftest import write_tiny_text

ROOT = Path(__file__).resolve().parents[1]
SECTION = (ROOT / "README.md").read_text("utf-8").split("## Add a connection")[1].split("\n## ")[0]
NAMES = ("mine", "made_deep", "made_two")
TINY = "data=parallel_text data.dir={text} data.vocabulary=290 data.max_length=40 paths.cache={cache}"
MANIFEST = """
title: Made up
metrics: [bleu]
baseline: skip
threads: {{test: 1}}
seeds: {{test: 1}}
columns:
  test: [{{name: text, label: text, overrides: [{text}, training.updates=2, training.checkpoint_every=1]}}]
rows:
  - {{name: skip, label: skip, overrides: [skip=skip]}}
  - {{name: mine, label: Mine, overrides: [skip=mine]}}
  - {{name: made_deep, label: Deep, overrides: [skip=made_deep]}}
  - {{name: made_two, label: Two, overrides: [skip=made_two]}}
"""
FIGURE = """
title: Made up
forms: [mine, made_deep, made_two]
lams: [1]
law: []
scales:
  test:
    seeds: 1
    batches: 1
    threads: 1
    overrides: [training.updates=2, training.checkpoint_every=2, schedule.warmup=1, training.average=1]
    models: [{name: preact_resnet, label: PreAct-ResNet, overrides: [task=classification], depths: {8: []}}]
"""


def snippet(language: str) -> str:
    """Return the only block of that language in README's section."""
    (found,) = re.findall(rf"   ```{language}\n(.*?)\n   ```", SECTION, re.DOTALL)
    return textwrap.dedent(found) + "\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Copy what git would commit, and add the file and the YAML of each connection."""
    copy = tmp_path / "tree"
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=False).stdout.splitlines()
    if not files:
        pytest.skip("not a git checkout")
    for name in files:
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    (copy / "skipln/skips/mine.py").write_text(snippet("python"), "utf-8")
    (copy / "configs/skip/mine.yaml").write_text(snippet("yaml"), "utf-8")
    for name in NAMES[1:]:
        shutil.copy(ROOT / f"tests/made_up/{name}.py", copy / f"skipln/skips/{name}.py")
        shutil.copy(ROOT / f"tests/made_up/{name}.yaml", copy / f"configs/skip/{name}.yaml")
    return copy


def python(tree: Path, *words: str, status: int = 0) -> subprocess.CompletedProcess:
    """Run python -m WORDS in the copy; show its output if the status is unexpected."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    found = subprocess.run(
        [sys.executable, "-m", *words], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    assert found.returncode == status, f"{words}\n{found.stdout[-6000:]}\n{found.stderr[-6000:]}"
    return found


def golden(tree: Path) -> None:
    """Append one line of golden numbers for each connection, from those that are printed."""
    lines = python(tree, "tests.skips.test_golden").stdout.splitlines()
    with (tree / "tests/skips/golden.yaml").open("a", encoding="utf-8") as file:
        for name in NAMES:
            file.write(next(line for line in lines if line.startswith(f"- {{skip: {name},")) + "\n")


def pages(tree: Path) -> None:
    """Do what `make pages` does."""
    (tree / "docs/configuration.md").write_text(python(tree, "skipln.configuration.help").stdout, "utf-8")
    python(tree, "scripts.pages.illegal_pairs")
    python(tree, "scripts.gallery", "--pages")


def commit(tree: Path) -> None:
    """Commit the copy, since some tests ask git what is committed."""
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"]):
        subprocess.run(["git", *command], cwd=tree, check=True)


def test_the_printed_file_is_all_that_a_connection_needs(tree):
    """Each connection is listed and built. A broken file beside them affects only those who ask for its name."""
    (tree / "skipln/skips/torn.py").write_text('@register("torn")\nclass Torn(Connection):\n    pass\n')
    (tree / "configs/skip/torn.yaml").write_text("name: torn\n")
    golden(tree)
    code = (
        "from skipln import skips; from skipln.configuration.composition import compose\n"
        "from skipln.tasks.connections import *\n"
        f"for name in {NAMES}: make_connections(compose([f'skip={{name}}']), 'btc')\n"
        "try: make_connections(compose(['skip=torn']), 'btc')\n"
        "except UserError as error: print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True, check=True).stdout
    assert said.startswith("unknown connection 'torn': choose one of ")
    assert said.endswith("skipln/skips/torn.py, line 1 cannot be imported: NameError: name 'register' is not defined\n")
    assert said.count("\n") == 1
    cases = [f"tests/skips/test_golden.py::test_golden[{name}]" for name in NAMES]
    python(tree, "pytest", "-p", "no:cacheprovider", *cases)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_readme_followed_to_the_letter(tree, tmp_path):
    golden(tree)
    pages(tree)
    commit(tree)
    python(tree, "ruff", "check", ".")
    python(tree, "ruff", "format", "--check", ".")
    python(tree, "mypy")

    text = TINY.format(text=write_tiny_text(tmp_path / "text"), cache=tmp_path / "cache")
    images, step = "task=classification", ["training.updates=1", "training.checkpoint_every=1", "training.average=1"]
    place = ["scale=test", *step, f"paths.runs={tmp_path / 'runs'}"]
    for name in NAMES:
        python(tree, "skipln.train", *place, *text.split(), f"skip={name}")
        python(tree, "skipln.train", *place, images, f"skip={name}")
        post = python(
            tree,
            "skipln.train",
            *place,
            images,
            "model.activation=post",
            f"skip={name}",
            status=2 * (name == "made_two"),
        )
        if name == "made_two":
            assert "error: made_two carries more than x" in post.stderr

    experiments, results = tmp_path / "experiments", f"--results={tmp_path / 'results'}"
    experiments.mkdir()
    (experiments / "table9.yaml").write_text(MANIFEST.format(text=", ".join(text.split())))
    (experiments / "figure9.yaml").write_text(FIGURE)
    where = [f"--experiments={experiments}", results]
    runs = f"paths.runs={tmp_path / 'table'}"
    table = python(tree, "skipln.tables", *where, "run", "table9", "--scale=test", runs).stdout
    for label in ("Mine", "Deep", "Two"):
        assert re.search(rf"^\|? *{label} .*\(n=1\)", table, re.MULTILINE), table
    (page,) = (tree / "runs" / "tables").rglob("*.html")
    assert all(f'"{label}"' in page.read_text("utf-8") for label in ("Mine", "Deep", "Two"))
    python(tree, "skipln.figures", *where, "run", "figure9", "--scale=test")
    sites = next((tree / "runs" / "tables").rglob("sites.csv")).read_text("utf-8")
    assert all(f",{name}," in sites for name in NAMES)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_the_default_suite_passes_with_them(tree):
    golden(tree)
    pages(tree)
    commit(tree)
    others = ["-m", "not slow and not slurm and not browser and not matrix", "--ignore=tests/test_add_a_connection.py"]
    python(tree, "pytest", "-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider", *others)
