"""The wheel in an environment of its own, without the clone: it trains, makes a table and lists its choices."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from skipln.system.places import CONFIGS, EXPERIMENTS, PACKAGE, ROOT

SOURCE = ("skipln", "configs", "experiments", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a fresh environment with the wheel and with the dependencies of this one."""
    folder = tmp_path_factory.mktemp("install")
    (folder / "source").mkdir()
    for name in SOURCE:
        path, target = ROOT / name, folder / "source" / name
        if path.is_dir():
            shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, target)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder / "wheels")]
    subprocess.run([*pip, *build, str(folder / "source")], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    python = folder / "env" / "bin" / "python"
    wheels = list((folder / "wheels").glob("*.whl"))
    subprocess.run([*pip, "--python", str(python), "install", "--no-deps", "--no-index", *map(str, wheels)], check=True)
    shutil.rmtree(folder / "source")
    (packages(folder / "env") / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "env"


def packages(environment: Path) -> Path:
    return next(environment.glob("lib/python*/site-packages"))


@pytest.fixture
def command(environment: Path, tmp_path: Path):
    """Return a function that runs a console script of the environment in an empty folder."""

    def run(name: str, *arguments: str, status: int = 0, **variables: str) -> str:
        found = subprocess.run(
            [environment / "bin" / name, *arguments],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OMP_NUM_THREADS": "1", **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert found.returncode == status, found.stderr
        return found.stdout if status == 0 else found.stderr

    return run


def test_every_file_is_in_the_wheel(environment):
    """Including kernels, pages, locks, configurations and manifests."""
    here = {path.relative_to(PACKAGE) for path in PACKAGE.rglob("*") if path.is_file()}
    here |= {path.relative_to(ROOT) for path in (*CONFIGS.rglob("*"), *EXPERIMENTS.rglob("*")) if path.is_file()}
    here = {path for path in here if "__pycache__" not in path.parts}
    package = packages(environment) / "skipln"
    assert here - {path.relative_to(package) for path in package.rglob("*")} == set()


def test_it_trains_without_writing_to_its_own_folder(environment, command, tmp_path):
    package = packages(environment) / "skipln"
    command("python", "-m", "compileall", "-q", str(package))
    before = {path: path.stat().st_mtime_ns for path in package.rglob("*")}
    command("skipln-train", "scale=test", "task=classification")
    (folder,) = (path.parent for path in (tmp_path / "runs").glob("*/result.json"))
    result = json.loads((folder / "result.json").read_text())
    assert (result["state"], result["hash"]) == ("done", folder.name)
    assert result["environment"]["commit"] == ""  # whatever repository may lie around the environment
    where = command("python", "-c", "import skipln, sys; print(skipln.__path__[0])").strip()
    assert Path(where) == package
    assert {path: path.stat().st_mtime_ns for path in package.rglob("*")} == before


def test_it_makes_a_table(command, tmp_path):
    command("skipln-tables", "run", "table1", "--scale", "test", "--seeds", "1", "--rows", "skip")
    assert "skip" in (tmp_path / "runs" / "tables" / "test" / "table1" / "table.md").read_text()
    assert "1 done" in command("skipln-tables", "status", "table1", "--scale", "test", "--seeds", "1")


def test_it_lists_its_choices(command):
    choices = ", ".join(sorted(path.stem for path in (CONFIGS / "skip").glob("*.yaml")))
    assert f"skip=foo: choose one of {choices}\n" in command("skipln-train", "skip=foo", status=2)
    assert "table1, table2," in command("skipln-tables", "run", "table0", status=2)
    assert f"skip: {choices}\n" in command("skipln-train", "--help")


def test_overrides_are_completed(command):
    def completed(line: str) -> list[str]:
        return command("skipln-train", "-sc", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line))).split()

    assert {"skip=rskip_ln", "skip=xskip"} <= set(completed("skipln-train skip="))
    assert "optim.lr=0.0015" in completed("skipln-train optim.lr=")
    assert "complete -o nospace -o default -F hydra_bash_completion skipln-train" in command(
        "skipln-train", "-sc", "install=bash"
    )
