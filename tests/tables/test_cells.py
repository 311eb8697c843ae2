"""From a manifest to the runs that the trainer makes."""

from collections import Counter
from pathlib import Path

import pytest

from skipln.configuration.composition import compose
from skipln.errors import UserError
from skipln.system.files import sha256
from skipln.tables.cells import CACHE, cells, trial
from skipln.tables.manifest import load
from skipln.tables.runner import Order, plan, refuse_lacking
from tests.tables.conftest import Workplace


def test_hash_and_folder_are_those_of_the_trainer(workplace: Workplace) -> None:
    for cell in workplace.cells((3,))[-2:]:
        config = compose(list(cell.overrides))
        assert (cell.hash, cell.folder, cell.updates) == (config.hash, config.folder, config.training.updates)


def test_all_rows_of_a_seed_come_before_the_next_seed(workplace: Workplace) -> None:
    found = workplace.cells((1, 2))
    assert [cell.seed for cell in found] == [1] * 4 + [2] * 4
    assert len({cell.hash for cell in found}) == 8


def test_cells_are_the_same_without_a_cache_and_with_a_damaged_one(workplace: Workplace) -> None:
    remembered = workplace.cells()
    CACHE.write_text('{"digest": ')
    assert workplace.cells() == remembered
    assert cells(workplace.manifest, "test", [1], cache=None) == remembered


def test_an_extra_override_wins_and_makes_a_trial(workplace: Workplace) -> None:
    extra = ("training.updates=5", "compute.threads=1", "training.checkpoint_every=1")
    assert {cell.updates for cell in workplace.cells(extra=extra)} == {5}
    assert trial(workplace.manifest, "test", extra) == ("training.updates=5", "training.checkpoint_every=1")
    assert trial(workplace.manifest, "small", ("data.dir=/x",)) == ()


def test_execution_settings_change_neither_hash_nor_record(workplace: Workplace) -> None:
    plain, moved = workplace.cells(), workplace.cells(extra=("paths.runs=elsewhere", "compute.threads=1"))
    assert [cell.hash for cell in plain] == [cell.hash for cell in moved]
    assert [cell.shared for cell in plain] == [cell.shared for cell in moved]
    assert moved[0].folder.parent.name == "elsewhere"


def test_initial_weights_are_recorded_by_their_hash(workplace: Workplace, tmp_path: Path) -> None:
    """The file is read each time, since it may have changed."""
    file = tmp_path / "weights.safetensors"
    names = set()
    for content in (b"some", b"others"):
        file.write_bytes(content)
        cell = workplace.cells(extra=(f"init_from={file}",))[0]
        assert f"init_weights={sha256(file)}" in cell.shared and str(file) not in " ".join(cell.shared)
        assert compose(list(cell.shared)).hash == cell.hash
        names.add(cell.hash)
    assert len(names) == 2 and workplace.cells()[0].hash not in names


def test_a_cell_lacks_the_users_data_until_given(workplace: Workplace) -> None:
    without = cells(workplace.manifest, "small", [1])[0]
    assert without.lacks == 'needs data.dir for Multi30k: give it as make table9 SCALE=small ARGS="data.dir=…"'
    with pytest.raises(UserError, match=r'table9 at scale small needs data\.dir for Multi30k: .*ARGS="data\.dir=…"'):
        refuse_lacking(workplace.manifest, "small", plan(workplace.manifest, "small", [1]))
    cell = cells(workplace.manifest, "small", [1], ["data.dir=/secret"])[0]
    assert not cell.lacks
    assert cell.hash == without.hash
    assert "data.dir=/secret" in cell.overrides
    assert "/secret" not in " ".join(cell.shared)


def test_a_run_by_fairseq_lacks_a_missing_fairseq(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skipln.interop.fairseq.find_spec", lambda name: None)
    rows = [row.model_copy(update={"overrides": [*row.overrides, "engine=fairseq"]}) for row in workplace.manifest.rows]
    manifest = workplace.manifest.model_copy(update={"rows": [rows[0], *workplace.manifest.rows[1:]]})
    first, *others = cells(manifest, "test", [1])
    assert first.lacks.startswith("needs fairseq: `make peers`")
    assert not any(cell.lacks for cell in others)


def test_an_override_can_be_given_for_one_column(workplace: Workplace) -> None:
    """If two columns need the same key from the user, each gets its own by its name."""
    first = workplace.manifest.columns_at("small")[0]
    second = first.model_copy(update={"name": "other", "label": "Other", "overrides": ["data=multi30k", "optim.lr=1"]})
    rows = workplace.manifest.rows[:1]
    manifest = workplace.manifest.model_copy(
        update={"columns": {"small": [first, second]}, "rows": rows, "baseline": rows[0].name}
    )
    one, other = cells(manifest, "small", [1], ["other.data.dir=/there", "multi30k.model.dropout=0.5"])
    assert one.lacks.endswith('ARGS="multi30k.data.dir=…"')
    assert "model.dropout=0.5" in one.overrides
    assert not other.lacks
    assert "data.dir=/there" in other.overrides
    assert "model.dropout=0.5" not in other.overrides
    assert trial(manifest, "small", ("other.data.dir=/there",)) == ()
    assert trial(manifest, "small", ("other.optim.lr=2",)) == ("other.optim.lr=2",)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (
            "skip.lam=2",
            "rSkip+LN λ=2, En-De catalogs, seed 1 and rSkip+LN λ=3, En-De catalogs, seed 1 are the same run",
        ),
        ("seed=3", "give it as --seeds"),
        ("scale=demo", "give it as --scale"),
        ("fast", "an override is KEY=VALUE"),
        ("skip.lam=two", "xskip"),
    ],
)
def test_a_wrong_override_is_one_line(workplace: Workplace, extra: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        workplace.cells(extra=(extra,))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_limits_a_row_to_columns(workplace: Workplace) -> None:
    rows = [
        row.model_copy(update={"only": ["multi30k"]}) if row.name == "xskip" else row for row in workplace.manifest.rows
    ]
    manifest = workplace.manifest.model_copy(update={"rows": rows})
    assert [cell.row.name for cell in cells(manifest, "test", [1])] == ["post_ln", "rskip_ln", "rskip_ln_3"]


def test_a_column_may_have_some_of_the_rows() -> None:
    """At small scale, PreAct-ResNet-56 has the five rows that the manifest names."""
    manifest = load("table1")
    deep = [cell for cell in cells(manifest, "small", [1], cache=None) if cell.column.name == "cifar10_jpeg_56"]
    assert [cell.row.name for cell in deep] == ["skip", "xskip_05", "xskip_2", "xskip_ln_2", "rskip_ln_2"]
    assert all(cell.config.precision.name == "bf16" for cell in deep)


def test_table_3_shares_its_runs_with_tables_1_and_2() -> None:
    """At small scale, too, every row that has no BN is a run of table 1 or table 2."""
    ours, *others = (cells(load(name), "small", [1], cache=None) for name in ("table3", "table1", "table2"))
    shared = {cell.hash for other in others for cell in other}
    own = {cell.row.name for cell in ours if cell.hash not in shared}
    assert own == {"xskip_bn_1", "xskip_bn_2", "xskip_bn_3", "rskip_bn_2", "rskip_bn_3"}


AGAIN = """
title: Two test sets
metrics: [bleu]
baseline: skip
seeds: {small: 1}
columns:
  small:
    - name: m2016
      label: test_2016
      overrides: [task=translation, data=multi30k]
      needs: [data.dir]
      rows: [skip, xskip]
    - {name: m2017, label: test_2017, evaluates: m2016, overrides: [data.test=test_2017_flickr]}
rows:
  - {name: skip, label: skip, overrides: [skip=skip]}
  - {name: xskip, label: xSkip, overrides: [skip=xskip], only: [m2016]}
  - {name: rskip, label: rSkip, overrides: [skip=rskip_ln]}
"""


@pytest.mark.parametrize("given", ["data.dir=x", "m2016.data.dir=x"])
def test_a_column_may_evaluate_the_runs_of_another(tmp_path: Path, given: str) -> None:
    """It has the same rows and needs the same keys; each cell's input is the same row's run."""
    (tmp_path / "table9.yaml").write_text(AGAIN)
    manifest = load("table9", tmp_path)
    first, second, *again = cells(manifest, "small", [1], [given], cache=None)
    assert [cell.row.name for cell in again] == ["skip", "xskip"]
    assert [cell.config.inputs for cell in again] == [[first.hash], [second.hash]]
    assert [cell.config.data.test for cell in (first, *again)] == ["test_2016_flickr", *["test_2017_flickr"] * 2]
    assert not any(cell.lacks for cell in again) and all(cell.config.data.dir == "x" for cell in again)
    assert all(compose(list(cell.overrides)).hash == cell.hash for cell in again)
    assert manifest.asked("small", again[0].column) == manifest.asked("small", first.column) == ["data.dir=…"]


def test_what_an_evaluating_column_needs_is_given_for_the_trained_one(tmp_path: Path) -> None:
    """What is asked for is enough: with it, neither column lacks anything."""
    overrides = "[task=translation, data=multi30k, precision=bf16]"
    other = f"    - {{name: other, label: Other, overrides: {overrides}, needs: [data.dir]}}"
    (tmp_path / "table9.yaml").write_text(AGAIN.replace("rows:\n", f"{other}\nrows:\n", 1))
    manifest = load("table9", tmp_path)
    asked = {column.name: manifest.asked("small", column) for column in manifest.columns_at("small")}
    assert asked == {"m2016": ["m2016.data.dir=…"], "m2017": ["m2016.data.dir=…"], "other": ["other.data.dir=…"]}
    made = cells(manifest, "small", [1], [asked["m2017"][0].replace("…", "x")], cache=None)
    assert {cell.column.name for cell in made if cell.lacks} == {"other"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("evaluates: m2016", "evaluates: none", "m2017.evaluates=none: choose one of m2016"),
        ("evaluates: m2016", "evaluates: m2017", "m2017.evaluates=m2017: choose one of m2016"),
        ("evaluates: m2016", "evaluates: m2016, rows: [skip]", "m2017.evaluates: such a column has the rows of m2016"),
        ("overrides: [skip=rskip_ln]", "overrides: [], evaluates: skip", "m2017.evaluates: such a column has the rows"),
    ],
)
def test_a_column_evaluates_a_trained_one(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in AGAIN
    (tmp_path / "table9.yaml").write_text(AGAIN.replace(old, new))
    with pytest.raises(UserError) as caught:
        load("table9", tmp_path)
    assert said in str(caught.value)


TARGETS = """
title: Attacks
metrics: [success]
baseline: skip_pgd
seeds: {test: 1}
columns:
  test:
    - name: digits
      label: digits
      overrides: [task=classification, recipe=classification_test]
      metrics: [error]
      targets: [skip, rskip]
rows:
  - {name: skip, label: skip, overrides: [skip=skip]}
  - {name: rskip, label: rSkip, overrides: [skip=rskip_ln]}
  - {name: skip_pgd, label: "skip, PGD", evaluates: skip, overrides: [task=transfer_attack]}
"""


def test_a_target_makes_a_column_with_its_run_as_second_input(tmp_path: Path) -> None:
    (tmp_path / "table9.yaml").write_text(TARGETS)
    manifest = load("table9", tmp_path)
    columns = manifest.columns_at("test")
    assert [column.name for column in columns] == ["digits", "digits_to_skip", "digits_to_rskip"]
    assert [column.label for column in columns] == ["digits", "digits → skip", "digits → rSkip"]
    assert [[metric.key for metric in manifest.metrics_of(column)] for column in columns] == [
        ["error"], ["success"], ["success"],
    ]  # fmt: skip
    skip, rskip, *attacks = cells(manifest, "test", [1], cache=None)
    assert [cell.row.name for cell in attacks] == ["skip_pgd", "skip_pgd"]
    assert [cell.config.inputs for cell in attacks] == [[skip.hash, skip.hash], [skip.hash, rskip.hash]]
    assert all(cell.config.skip == skip.config.skip for cell in attacks)
    assert all(compose(list(cell.overrides)).hash == cell.hash for cell in attacks)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[skip, rskip]", "[skip, none]", "digits.targets=none: choose one of skip, rskip"),
        ("[skip, rskip]", "[skip_pgd]", "digits.targets=skip_pgd: choose one of skip, rskip"),
        (
            "targets: [skip, rskip]",
            "against: skip",
            "digits.against: list the rows as targets of the column that trains",
        ),
    ],
)
def test_a_target_must_be_a_trained_row(tmp_path: Path, old: str, new: str, said: str) -> None:
    (tmp_path / "table9.yaml").write_text(TARGETS.replace(old, new))
    with pytest.raises(UserError) as caught:
        load("table9", tmp_path)
    assert said in str(caught.value)


def test_a_row_may_have_more_seeds_than_the_table() -> None:
    """At small scale post-LN and rSkip+LN λ=2 have five, the others three. Seeds asked for hold for all rows."""
    manifest = load("table2")
    found = Counter(cell.row.name for cell in cells(manifest, "small", None) if cell.column.name == "multi30k")
    assert {name for name, count in found.items() if count == 5} == {"xskip_ln_1", "rskip_ln_2"}
    assert set(found.values()) == {3, 5}
    asked = Counter(cell.row.name for cell in cells(manifest, "small", [7]) if cell.column.name == "multi30k")
    assert set(asked.values()) == {1}
    order = Order(manifest, "small", None)
    assert order.asked(order.plan()) == order.plan()
    assert {cell.seed for cell in Order(manifest, "small", None, rows=["skip"]).plan()} == {1, 2, 3}
