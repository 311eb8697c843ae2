"""A search tests the best of several runs by the validation set; the runs themselves never read the test set."""

import json

import pytest

from skipln.configuration.composition import compose
from skipln.engine.run import execute
from skipln.errors import UserError
from skipln.tasks.translation import TranslationTask
from skipln.trained.run import load_run

RATES = ("1e-4", "1e-2", "1e-3")  # in 20 updates the highest rate learns most


def result(config) -> dict:
    return json.loads((config.folder / "result.json").read_text())


@pytest.fixture(scope="module")
def search(tiny, tmp_path_factory):
    """Return (a function that makes a configuration, the finished runs of a search by learning rate)."""
    runs = tmp_path_factory.mktemp("runs")

    def run(*overrides: str):
        return compose([*tiny, f"paths.runs={runs}", *overrides])

    def refuse(self, model):
        raise AssertionError("the test set was read")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TranslationTask, "test", refuse)
        found = {rate: run(f"optim.lr={rate}", "task.test=false") for rate in RATES}
        for config in found.values():
            assert execute(config) == "done"
    return run, found


def test_the_best_on_the_validation_set_is_tested(search):
    run, found = search
    losses = {rate: result(config)["metrics"]["valid_loss"] for rate, config in found.items()}
    assert min(losses, key=losses.__getitem__) == "1e-2"
    cell = run("optim.lr=1e-4", f"inputs=[{','.join(config.hash for config in found.values())}]")
    assert execute(cell) == "done"
    whole, given = run("optim.lr=1e-2"), result(cell)
    assert execute(whole) == "done"
    assert given["metrics"] == result(whole)["metrics"]
    assert (cell.folder / "translations.txt").read_bytes() == (whole.folder / "translations.txt").read_bytes()
    assert given["chosen"] == found["1e-2"].hash
    assert given["compared"] == [
        {"hash": found[rate].hash, "state": "done", "valid_loss": losses[rate], "settings": {"optim.lr": float(rate)}}
        for rate in RATES
    ]
    for key in ("tokens_per_second", "train_seconds", "seconds_per_update", "kept_bytes"):
        assert given[key] == result(found["1e-2"])[key] > 0
    with pytest.raises(UserError, match=f"trained nothing: use the one that it tested, {given['chosen']}$"):
        load_run(cell.folder)


def test_a_run_with_task_test_false_writes_no_test_outputs(search):
    _, found = search
    for config in found.values():
        assert {"valid_loss", "valid_nll", "valid_bleu"} == set(result(config)["metrics"])
        assert not (config.folder / "translations.txt").exists()
        assert not (config.folder / "examples.npy").exists()


def test_diverged_runs_are_never_chosen_and_if_all_diverged_so_has_the_search(search):
    run, _ = search
    exploding = ["optim=sgd", "skip=skip", "schedule=constant", "training.average=1", "task.test=false"]
    lost = [run(*exploding, f"optim.lr={rate}") for rate in ("1e6", "1e7")]
    assert [execute(config) for config in lost] == ["diverged", "diverged"]
    kept = run(*exploding, "optim.lr=1e-6")
    assert execute(kept) == "done"
    setting = [*exploding[:-1], "optim.lr=1e6"]
    one = run(*setting, f"inputs=[{lost[0].hash},{kept.hash}]")
    assert execute(one) == "done"
    assert result(one)["chosen"] == kept.hash
    assert result(one)["compared"][0] | {"hash": ""} == {
        "hash": "", "state": "diverged", "valid_loss": None, "settings": {"optim.lr": 1e6},
    }  # fmt: skip
    none = run(*setting, f"inputs=[{lost[0].hash},{lost[1].hash}]")
    assert execute(none) == "diverged"
    assert result(none)["metrics"] == {}


def test_a_run_that_has_read_the_test_set_is_refused(search):
    run, found = search
    tested = run("optim.lr=1e-2")
    execute(tested)
    with pytest.raises(UserError, match=f"inputs: {tested.hash} has read the test set; runs to be compared need"):
        execute(run("optim.lr=1e-2", f"inputs=[{found['1e-2'].hash},{tested.hash}]"))


@pytest.mark.parametrize("override", ["seed=2", "skip=skip", "training.updates=10"])
def test_runs_of_a_search_may_differ_in_optim_and_schedule_alone(search, override):
    run, found = search
    inputs = f"inputs=[{found['1e-2'].hash},{found['1e-3'].hash}]"
    with pytest.raises(UserError, match=r"only in data\.test and keys of task, optim and schedule"):
        execute(run(override, inputs))


def test_a_search_without_a_validation_set_is_refused():
    with pytest.raises(UserError, match=r"task\.test=false with data\.valid=0 leaves nothing to validate on"):
        compose(["task=classification", "scale=test", "task.test=false", "data.valid=0"])
