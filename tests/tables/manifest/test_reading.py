"""Manifests are checked strictly, and every mistake is one line that lists the choices."""

from pathlib import Path

import pytest

from skipln.errors import UserError
from skipln.system.places import EXPERIMENTS
from skipln.tables.manifest import load, names
from tests.tables.conftest import MANIFEST


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("baseline: post_ln", "baseline: post", "baseline=post: choose one of xskip, post_ln, rskip_ln, rskip_ln_3"),
        (
            "[bleu, chrf]",
            "[bleu, rouge]",
            "metrics.1='rouge': choose one of bleu, chrf, error, error5",
        ),
        ("title:", "titel:", "titel is not a key: the keys are name, title"),
        ("label: post-LN", "labell: post-LN", "rows.1.labell is not a key: the keys are name, label, overrides"),
        ("value: 27.5", "valu: 27.5", "is not a key: the keys are value, source"),
        ("  test:", "  tiny:", "'demo'"),
        ("needs: [data.dir]", "need: [data.dir]", "is not a key: the keys are name, label, overrides, needs"),
        ("{catalogs: {", "{catalog: {", "post_ln.published: no column catalog; choose one of catalogs, multi30k"),
        (
            "label: Multi30k,",
            "label: Multi30k, rows: [skip],",
            "multi30k.rows: no row skip; choose from xskip, post_ln",
        ),
        ("name: rskip_ln_3", "name: rskip_ln", "rows: two are named rskip_ln"),
        ("[skip=xskip]", "[skip]", "an override is KEY=VALUE"),
        ("[skip=xskip]", "[seed=3]", "only the table sets a run's seed"),
        ("[skip=xskip]", "['data.name=${oc.env:WANDB_API_KEY}']", "it is not resolved: write out what ${…} stands for"),
        ("[skip=xskip]", '["data.name=\\x24{oc.env:HOME}"]', "it is not resolved"),
        ("[skip=xskip]", "['+launcher.setup=[touch x]']", "only the user chooses a launcher: leave it out"),
        ("[skip=xskip]", "[launcher@x=slurm]", "only the user chooses a launcher"),
        ("[skip=xskip]", "[tracker=wandb]", "only the user chooses a tracker"),
        ("name: xskip,", "name: X skip,", "rows.0.name='X skip'"),
        ("title: A small table", "title: [", "table9.yaml: "),
        (
            "overrides: [skip=xskip]}",
            "overrides: [skip=xskip], baseline: none}",
            "xskip.baseline=none: choose one of xskip, post_ln",
        ),
        (
            "overrides: [skip=xskip]}",
            "overrides: [], evaluates: none}",
            "xskip.evaluates=none: choose one of post_ln, rskip_ln, rskip_ln_3",
        ),
        (
            "overrides: [skip=xskip]}",
            "overrides: [], evaluates: xskip}",
            "xskip.evaluates=xskip: choose one of post_ln",
        ),
        (
            "label: Multi30k,",
            "label: Multi30k, evaluates: multi30k,",
            "multi30k.evaluates=multi30k: choose one of ",
        ),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in MANIFEST
    (tmp_path / "table9.yaml").write_text(MANIFEST.replace(old, new))
    with pytest.raises(UserError) as caught:
        load("table9", tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("table9.yaml: ")


def test_a_published_value_may_be_one_of_two_words(tmp_path: Path) -> None:
    (tmp_path / "table9.yaml").write_text(MANIFEST.replace("value: 27.5", "value: fail"))
    published = load("table9", tmp_path).rows[1].published["catalogs"]
    assert published is not None
    assert published.value == "fail"
    (tmp_path / "table9.yaml").write_text(MANIFEST.replace("value: 27.5", "value: good"))
    with pytest.raises(UserError, match="value='good': give a number, or diverged or fail"):
        load("table9", tmp_path)


def test_an_unknown_table_lists_the_tables(tmp_path: Path) -> None:
    (tmp_path / "table9.yaml").write_text(MANIFEST)
    with pytest.raises(UserError, match="no table table8: choose one of table9"):
        load("table8", tmp_path)


@pytest.mark.parametrize("name", names())
def test_a_committed_manifest_loads(name: str) -> None:
    manifest = load(name)
    lines = (EXPERIMENTS / f"{name}.yaml").read_text().splitlines()
    assert len(lines) - len(manifest.rows) <= 60, "a table's definition, but for its rows, fits a screen"
    assert any(manifest.columns_at(scale) for scale in ("demo", "small", "paper"))
