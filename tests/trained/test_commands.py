"""README's commands for finished runs, executed in a shell, and the scripts of an installation."""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skipln.configuration.composition import compose
from skipln.engine.run import execute
from skipln.errors import UserError
from tests.test_readme import ROOT, USE

SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]


@pytest.mark.parametrize("command", USE)
def test_readmes_command_works(command: str, translator: Path, classifier: Path, tmp_path: Path) -> None:
    script, rest = command.removeprefix(".venv/bin/").split(" ", 1)
    module = SCRIPTS[script].partition(":")[0]
    run = classifier if "classify" in script or "onnx" in rest or "class_folders" in rest else translator
    for package in ("ctranslate2", "onnx"):
        if package in rest and importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: make peers")
    rest = rest.replace("runs/HASH", shlex.quote(str(run))).replace("FOLDER", shlex.quote(str(tmp_path)))
    for name in ("text.en", "mine.en", "mine.de"):
        (tmp_path / name).write_text("two red dogs\n")
    (tmp_path / "test" / "3").mkdir(parents=True)
    for name in ("a.jpg", "photo.jpg", "test/3/a.jpg"):
        Image.fromarray(np.full((9, 9), 60, np.uint8)).save(tmp_path / name)
    done = subprocess.run(
        f"{shlex.quote(sys.executable)} -m {module} {rest}", shell=True, cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if ">" in command:
        assert (tmp_path / "text.de").read_text().count("\n") == 1
    elif "translate" in script:
        assert len(done.stdout.splitlines()) == 4 and done.stdout.startswith("0 ||| ")
    elif "export" in script:
        assert (tmp_path / done.stdout.strip() / "README.md").is_file()
    elif "json" in command:
        assert [row["rank"] for row in json.loads(done.stdout)] == [1, 2, 3, 4, 5]
    elif "classify" in script:
        assert len(done.stdout.splitlines()) == 1 + 2 * 5
    else:
        examples = 1 if "data." in rest else 10  # the run's own test set has ten pairs
        assert done.stdout.startswith("bleu " if run == translator else "error ")
        assert f"n = {examples} " in done.stdout


@pytest.mark.parametrize("script", ["skipln-translate", "skipln-classify", "skipln-evaluate", "skipln-export"])
def test_a_script_has_help(script: str, capsys: pytest.CaptureFixture) -> None:
    module, _, function = SCRIPTS[script].partition(":")
    with pytest.raises(SystemExit) as ended:
        getattr(import_module(module), function)(["--help"])
    assert ended.value.code == 0
    assert script in capsys.readouterr().out


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("translate", ["--beam", "1025"]),
        ("translate", ["--beam", "0"]),
        ("translate", ["--length-penalty", "1e30"]),
        ("translate", ["--length-penalty", "nan"]),
        ("translate", ["--length-penalty", "-1"]),
        *((script, ["--threads", value]) for script in ("translate", "evaluate") for value in ("100000000000", "-1")),
        ("classify", ["a.jpg", "--threads", "100000000000"]),
    ],
)
def test_a_number_that_cannot_be_computed_with_is_refused_at_once(
    script: str, words: list[str], capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as ended:
        import_module(f"skipln.{script}").main(["run", *words])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and "usage: " in said and words[-2] in said.splitlines()[-1]


def test_a_length_penalty_without_a_value_is_refused_before_training() -> None:
    with pytest.raises(UserError, match=r"task\.length_penalty=1e\+30: input should be less than or equal to 100"):
        compose(["scale=test", "task.length_penalty=1e30"])


def test_a_run_ends_with_the_line_that_uses_it(tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    short = ["training.updates=4", "training.checkpoint_every=2", "training.average=1"]
    assert execute(compose([*tiny, *short, f"paths.runs={tmp_path}/runs"])) == "done"
    said = capsys.readouterr().err
    assert "\r" not in said  # here stderr is no terminal
    (command,) = re.findall(r"^use it: (.* FILE)$", said, re.MULTILINE)
    (tmp_path / "text").write_text("two red dogs\none\n")
    done = subprocess.run(
        command.replace("FILE", shlex.quote(str(tmp_path / "text"))), shell=True, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 2


MISTAKES = """
import contextlib, importlib, io, json, sys
for module, words in json.loads(sys.argv[1]):
    with contextlib.redirect_stderr(io.StringIO()) as said:
        status = importlib.import_module(module).main(words)
    print(status, "torch" in sys.modules, said.getvalue().strip())
"""


def test_mistakes_about_a_run_are_answered_without_torch(translator: Path, classifier: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("two red dogs\n")
    file, missing = str(tmp_path / "file"), str(tmp_path / "none")
    no_run = f"error: {missing}: not a run's folder, because it has no config.yaml"
    cases = [
        ("skipln.translate", [missing, file], no_run),
        ("skipln.classify", [missing, file], no_run),
        ("skipln.evaluate", [missing], no_run),
        ("skipln.export.__main__", [missing, "--to", "safetensors", "-o", f"{tmp_path}/out"], no_run),
        ("skipln.translate", [str(classifier), file], f"error: {classifier}: this run classifies images; it has no"),
        ("skipln.classify", [str(translator), file], f"error: {translator}: this run translates; it has no classes"),
        (
            "skipln.evaluate",
            [str(translator), "--threads", "1", "seed=3"],
            "error: seed=3: an evaluation changes only data=NAME",
        ),
        ("skipln.evaluate", [str(translator), f"data.dir={missing}"], f"error: {missing}/test.en: no such file; data."),
        (
            "skipln.evaluate",
            [str(classifier), "data=class_folders", f"data.dir={missing}"],
            f"error: {missing}: no such folder or archive",
        ),
    ]
    done = subprocess.run(
        [sys.executable, "-c", MISTAKES, json.dumps([[module, words] for module, words, _ in cases])],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for line, (_, _, said) in zip(done.stdout.splitlines(), cases, strict=True):
        assert line.startswith(f"2 False {said}")
