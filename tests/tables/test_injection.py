"""Text from a manifest or a run folder stays text in LaTeX, Markdown, HTML, a spreadsheet and a shell."""

import csv
import io
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from skipln.configuration.composition import compose
from skipln.errors import UserError
from skipln.tables.manifest import load
from skipln.tables.presentation.footnotes import make_arguments
from skipln.tables.presentation.render import render
from skipln.tables.records import collect
from skipln.tables.status import status
from tests.tables import fakes
from tests.tables.conftest import MANIFEST, Workplace

BREAKS = "\n\r\v\f\x1c\x85\u2028\u2029"
HOSTILE = [f"a{end}\\input{{/etc/passwd}}" for end in BREAKS] + [
    *("[2pt] a", "* a", "$x^", "$\\foo$", "a\\|b|c", "<script>x</script>", "[a](javascript:x)", "\\<script>x</script>"),
    *("=1+1", "+1", "-1", "@a", "\t=1", "\x1b[2J", "\u202egnp.exe"),
]


@pytest.mark.parametrize("words", HOSTILE, ids=repr)
def test_hostile_text_does_not_change_a_tables_structure(finished: Workplace, words: str) -> None:
    """Lines, rows and cells are as many as with plain text, whatever label, title, note and run contain."""
    check_structure(*(_rendered(finished, text) for text in ("plain", words)))


def check_structure(plain: dict[str, str], odd: dict[str, str]) -> None:
    """Compare a table's files by name: the structure of `odd` must be that of `plain`."""
    for name in ("table.md", "table.tex", "table.csv"):
        assert len(odd[name].splitlines()) == len(plain[name].splitlines()) == odd[name].count("\n"), name
    commands = re.compile(r"\\[a-z]+\{")
    live = [line for line in odd["table.tex"].splitlines() if not line.startswith("%")]
    assert "input" not in " ".join(commands.findall("\n".join(live)))
    assert not any(line.startswith(("[", "*", "\\input")) for line in live)
    rows = [re.sub(r"\\\\|\\\|", "", line) for line in odd["table.md"].splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1
    assert not re.search(r"(?<!\\)(\\\\)*<[a-z]|\]\(", odd["table.md"])  # an even number of backslashes escapes nothing
    for line in csv.reader(io.StringIO(odd["table.csv"])):
        assert not any(cell.startswith(("=", "@", "\t", "\r")) for cell in line)
        assert not any(re.match(r"[+-]", cell) and not _is_number(cell) for cell in line)


def _rendered(workplace: Workplace, words: str) -> dict[str, str]:
    quoted = json.dumps(words)
    text = MANIFEST.replace('"xSkip λ=2"', quoted).replace("En-De catalogs", quoted).replace('"Somebody 2020', '"a')
    text = text.replace("A small table", quoted) + f"notes: [{quoted}]\n"
    Path("experiments/table9.yaml").write_text(text)
    workplace.manifest = load("table9", Path("experiments"))
    environment = fakes.ENVIRONMENT | {"cpu": words}
    data = {"name": words, "fingerprint": words, "test_examples": 200}
    signatures = {"bleu": words, "chrf": "c"}
    fakes.finish(workplace.cell("post_ln").folder, 0.6, environment=environment, data=data, signatures=signatures)
    shutil.rmtree(workplace.folder, ignore_errors=True)
    collect(workplace.manifest, workplace.cells(), workplace.folder)
    render(workplace.manifest, "test", workplace.folder)
    return {name: (workplace.folder / name).read_bytes().decode() for name in ("table.md", "table.tex", "table.csv")}


@pytest.mark.parametrize("name", ["status.json", "result.json", "log.txt"])
def test_a_message_of_a_foreign_folder_is_one_line_of_the_status_page(workplace: Workplace, name: str) -> None:
    """And it does not clear the terminal or move its cursor."""
    folder, words = workplace.cell("post_ln").folder, "a\n  rSkip+LN done\x1b[2J\u202e"
    fakes.write_status(folder, "failed", message=words if name == "status.json" else "")
    if name == "result.json":
        fakes.finish(folder, state="diverged", message=words)
    (folder / "log.txt").write_text(words.replace("\n", " "))
    page = status(workplace.manifest, "test", [1])
    assert len(page.splitlines()) == 2 + len(workplace.cells())
    assert page.replace("\n", "").isprintable()
    assert "rSkip+LN done [2J" in page


def _is_number(cell: str) -> bool:
    return bool(re.fullmatch(r"[+-]?\d+(\.\d+)?", cell))


@pytest.mark.parametrize(
    "override", ["a=b", "a=…", "data.dir=/a b", "a=$(id)", "a=`id`", "a='\"", "a=;id", "a=$HOME", "a=[1,2]"]
)
def test_make_arguments_survive_quoting(tmp_path: Path, override: str) -> None:
    """They pass through the shell, make, and make's shell."""
    (tmp_path / "Makefile").write_text("say:\n\t@printf '%s\\n' $(ARGS)\n")
    command = f"make --no-print-directory say {make_arguments([override, 'c=d'])}"
    found = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == [override, "c=d"]


def test_a_command_on_the_page_can_be_pasted_safely(finished: Workplace) -> None:
    fakes.finish(finished.cell("post_ln").folder, 0.6)
    collect(finished.manifest, finished.cells(), finished.folder)
    path = finished.folder / "records.jsonl"
    path.write_text(path.read_text().replace('"skip=xskip_ln"', '"skip=xskip_ln","a=$(id); b"'))
    render(finished.manifest, "test", finished.folder)
    page = (finished.folder / "curves.html").read_text()
    [command] = [text for text in re.findall(r'"command":"((?:[^"\\]|\\.)*)"', page) if "id" in text]
    assert shlex.split(json.loads(f'"{command}"'))[-2:] == ["a=$(id); b", "seed=1"]


@pytest.mark.parametrize("key", ["partition", "account", "qos", "gres", "srun_args", "additional_parameters"])
@pytest.mark.parametrize("value", ["a\nrm -rf x", "a\rb", "a\u2028b"])
def test_a_line_break_in_a_launcher_option_is_refused(key: str, value: str) -> None:
    given = {
        "srun_args": f'launcher.srun_args=["{value}"]',
        "additional_parameters": f'+launcher.additional_parameters.constraint="{value}"',
    }.get(key, f'launcher.{key}="{value}"')
    with pytest.raises(UserError, match=f"launcher.{key}") as error:
        compose(["launcher=slurm", given])
    assert len(str(error.value).splitlines()) == 1
