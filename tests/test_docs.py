"""Pages: links have targets, commands exist, examples are valid Python, and the site can be built."""

import ast
import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from skipln.configuration.composition import compose
from skipln.system.places import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
OTHERS = {"cp", "eval", "fairseq-train", "fairseq-generate", "wandb"}  # programs that are not ours

BLOCKS = [
    (page, language, code)
    for page in PAGES
    for language, code in re.findall(r"^ *```(\w+)\n(.*?)^ *```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
]
COMMANDS = [
    (page, command.split("  #")[0].strip())
    for page, language, code in BLOCKS
    if language == "bash"
    for command in code.replace("\\\n", " ").splitlines()
    if command.strip()
]


def slug(heading: str) -> str:
    """Return the anchor that GitHub and MyST give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-")


def anchors(page: Path) -> set[str]:
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_has_a_target(page: Path) -> None:
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name) if name else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(path), f"{page.name}: {target}"


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{page.name}-{command}" for page, command in COMMANDS])
def test_a_command_exists_and_its_overrides_compose(page: Path, command: str) -> None:
    words = shlex.split(command.replace("$(", "").rstrip(")")) if "=$(" not in command else ["eval"]
    while re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words.pop(0)
    program = Path(words[0]).name
    if program == "make":
        assert re.search(rf"^[a-z0-9- ]*\b{words[1]}\b[a-z0-9- ]*:", MAKEFILE, re.MULTILINE), command
        return
    if program == "python":
        assert words[1] == "-m" and importlib.util.find_spec(words[2]), command
        program = {"skipln.train": "skipln-train"}.get(words[2], "")
    else:
        assert program in SCRIPTS or program in OTHERS, command
    if program == "skipln-train":
        given = [word.replace("launcher=mine", "launcher=slurm") for word in words[1:] if "=" in word]
        given = [word for word in given if not word.startswith("init_")]  # tests/engine/weights/test_initial.py
        compose([re.sub(r"=([^=,]+),.*", r"=\1", word) for word in given])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_within_sentences_exist(page: Path) -> None:
    for target in re.findall(r"`make ([a-z0-9_-]+)\b[^`]*`", page.read_text("utf-8")):
        assert re.search(rf"^[a-z0-9_ -]*\b{target}\b[a-z0-9_ -]*:", MAKEFILE, re.MULTILINE), target
    for module in re.findall(r"`python -m ([\w.]+)[^`]*`", page.read_text("utf-8")):
        assert importlib.util.find_spec(module), module
    for words in re.findall(r"`skipln-train ([^`]*=[^`]*)`", page.read_text("utf-8")):
        compose(shlex.split(words))


@pytest.mark.parametrize(
    "code", [code for _, language, code in BLOCKS if language == "python" and "def load" not in code]
)
def test_an_example_is_valid_python(code: str) -> None:
    """tests/library and tests/test_add_a_connection.py execute the examples of README and the guide."""
    if not re.match(r"\w+\(", code) and "←" not in code:  # docs/api.md has signatures, which are no statements
        ast.parse(re.sub(r"^   ", "", code, flags=re.MULTILINE) if code.startswith("   ") else code)


def test_the_citation_names_the_paper_and_this_repository() -> None:
    """It has the keys that version 1.2.0 of the format requires, and agrees with README."""
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(found) and found["cff-version"] == "1.2.0"
    assert str(found["version"]) == tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    paper, readme = found["preferred-citation"], (ROOT / "README.md").read_text("utf-8")
    assert {"type", "title", "authors"} <= set(paper) and paper["type"] == "conference-paper"
    bibtex = readme.split("```bibtex")[1].split("```")[0]
    names = " and ".join(f"{one['family-names']}, {one['given-names']}" for one in paper["authors"])
    for said in (f"title = {{{paper['title']}}}", f"author = {{{names}}}", f"doi = {{{paper['doi']}}}"):
        assert said in bibtex
    assert f"pages = {{{paper['start']}--{paper['end']}}}" in bibtex


def test_the_site_is_built_without_warnings(tmp_path: Path) -> None:
    for name in ("sphinx", "myst_parser", "furo"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed: make setup")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-c",
        "docs",
        "-b",
        "html",
        ".",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first = (tmp_path / "index.html").read_text("utf-8")
    assert 'href="docs/guide.html"' in first and 'href="results/demo/table2/table.html"' in first
