"""Making a table changes nothing published; publishing reports what it changes, and refuses what it should."""

import json
import re
import shutil
from pathlib import Path

import pytest

from skipln.system import files
from skipln.tables import store
from skipln.tables.cli import main
from tests.tables import fakes
from tests.tables.conftest import Workplace, contents


def publish(workplace: Workplace, *more: str) -> int:
    return main(workplace.arguments("publish", "table9", "--scale", "test", *more))


@pytest.fixture
def published(finished: Workplace) -> Workplace:
    """The finished table, published; its run folders are gone, as for another user."""
    assert publish(finished) == 0
    for record in store.read_records(finished.published):
        shutil.rmtree(Path("runs") / record.hash)
    return finished


def test_making_a_table_leaves_published_results_alone(published: Workplace, capfd: pytest.CaptureFixture[str]) -> None:
    """Once, in a fresh clone, a seed that was trained again replaced a published one."""
    before = contents(published.results)
    published.behave(xskip="diverged", post_ln="0.6")
    capfd.readouterr()
    assert published.run() == 0
    assert len(published.starts()) == 4
    assert contents(published.results) == before
    out, err = capfd.readouterr()
    assert "0 of 4 runs are finished" in err
    beside = out[out.index("yours beside the published") :]
    assert re.search(
        r"\| xSkip λ=2 +\| 1 of 1 diverged +\| 1 of 1 diverged +\| +these are the published runs \|", beside
    )
    assert (published.folder / "beside.md").read_text() in out


def test_your_results_are_shown_beside_the_published_ones(
    finished: Workplace, capfd: pytest.CaptureFixture[str]
) -> None:
    for seed in (2, 3):
        fakes.finish(finished.cell("post_ln", seed).folder, 0.6, seed=seed)
    assert publish(finished, "--seeds", "3", "--allow", "unfinished") == 0
    now = fakes.ENVIRONMENT | {"time": "now"}
    for precision, said in ((0.602, "inside"), (0.8, "OUTSIDE")):
        fakes.finish(finished.cell("post_ln").folder, precision, environment=now)
        finished.behave()
        capfd.readouterr()
        assert finished.run() == 0
        place = rf"\| post-LN +\| +\d+\.\d \(n=1\) \| +\d+\.\d ± \d\.\d \(n=3\) \| +{said} \[\d+\.\d, \d+\.\d\] \|"
        assert re.search(place, capfd.readouterr().out)


def test_a_publication_records_its_author_and_runs(finished: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    assert publish(finished) == 0
    assert capsys.readouterr().out.count("new       ") == 4
    (made,) = store.read_publications(finished.published)
    assert made.by and made.time.startswith("20")
    assert made.runs == [record.hash for record in store.read_records(finished.published)]
    assert set(contents(finished.published)) >= {"table.md", "curves.svg", "publications.jsonl"}
    assert f"by {made.by}: 4 runs" in (finished.published / "table.md").read_text()

    before = contents(finished.published)
    assert publish(finished) == 0
    assert "nothing of yours is new or different" in capsys.readouterr().err
    assert contents(finished.published) == before

    fakes.finish(finished.cell("rskip_ln").folder, 0.75)
    assert publish(finished) == 0
    assert re.fullmatch(
        r"replaced  rskip_ln/catalogs/seed1: bleu [\d.]+, .* -> bleu [\d.]+, .*\n", capsys.readouterr().out
    )
    last = store.read_publications(finished.published)[-1]
    assert last.runs == last.replaced == [finished.cell("rskip_ln").hash]


@pytest.mark.parametrize("kind", ["unfinished", "mixed", "uncommitted"])
def test_doubtful_runs_are_published_only_on_request(
    finished: Workplace, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    cell = finished.cell("rskip_ln")
    if kind == "unfinished":
        shutil.rmtree(cell.folder)
        said = r"1 of 4 runs have no result: rskip_ln/catalogs/seed1 \(ALLOW=unfinished publishes"
    elif kind == "mixed":
        fakes.finish(cell.folder, environment=fakes.ENVIRONMENT | {"precision": "bf16"})
        said = r"catalogs: the runs differ in their arithmetic: bf16, fp32 \(ALLOW=mixed"
    else:
        fakes.finish(cell.folder, environment=fakes.ENVIRONMENT | {"dirty": True})
        said = r"1 runs were made with uncommitted code: rskip_ln/catalogs/seed1 \(ALLOW=uncommitted"
    assert publish(finished) == 2
    assert re.search(said, capsys.readouterr().err)
    assert not finished.published.exists()
    assert publish(finished, f"--allow={kind}") == 0
    assert store.read_publications(finished.published)[0].allowed == [kind]
    assert f"allowed: {kind}" in (finished.published / "table.md").read_text()


def test_mistakes_are_one_line(finished: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["--allow=everything"], "allow=everything: choose from unfinished, mixed, uncommitted"),
        (["--rows=nothing"], "table9 has no row nothing"),
        (["optim.lr=0.5"], "optim.lr=0.5: only the manifest's own table can be published"),
    ):
        assert publish(finished, *words) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"error: {said}") and err.count("\n") == 1


@pytest.mark.parametrize("moment", ["before", "between"])
def test_a_killed_publication_leaves_the_old_results(
    finished: Workplace, monkeypatch: pytest.MonkeyPatch, moment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish(finished) == 0
    old = contents(finished.published)
    fakes.finish(finished.cell("rskip_ln").folder, 0.75)
    rename = Path.rename

    def killed(path: Path, target: Path) -> Path:
        if moment == "before" or path.name.endswith(".new"):
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        assert publish(finished) == 130
    files.recover_folder(finished.published)
    assert contents(finished.published) == old
    assert publish(finished) == 0
    assert contents(finished.published) != old
    assert [path.name for path in finished.published.parent.iterdir()] == ["table9"]


def test_runs_of_a_changed_configuration_are_removed_and_reported(
    finished: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish(finished) == 0
    path = Path("experiments/table9.yaml")
    path.write_text(path.read_text().replace("skip.lam=3", "skip.lam=4"))
    capsys.readouterr()
    assert publish(finished, "--allow=unfinished") == 0
    assert "removed   rskip_ln_3/catalogs/seed1: bleu" in capsys.readouterr().out
    lines = (finished.published / "publications.jsonl").read_text().splitlines()
    assert len(json.loads(lines[1])["removed"]) == 1
