"""Evaluations test finished runs again in another way, without training."""

import json
import shutil

import numpy as np
import pytest

from skipln.configuration.composition import compose
from skipln.engine.run import execute
from skipln.errors import UserError
from skipln.runs.folder import RunFolder
from skipln.runs.weights import weights_file
from skipln.trained.run import load_run

LONGER = ["training.updates=60", "training.checkpoint_every=30", "training.average=2", "optim.lr=0.01"]


def result(config) -> dict:
    return json.loads((config.folder / "result.json").read_text())


@pytest.fixture
def run(tiny, tmp_path):
    return lambda *overrides: compose([*tiny, f"paths.runs={tmp_path / 'runs'}", *overrides])


@pytest.fixture
def trained(run):
    config = run(*LONGER)
    assert execute(config) == "done"
    return config


def test_another_beam_and_length_penalty_give_what_such_a_run_gives(run, trained):
    """The result equals that of a run with the same training that had this search from the start."""
    search = ["task.beam=7", "task.length_penalty=4"]
    evaluation, whole = run(*LONGER, *search, f"inputs=[{trained.hash}]"), run(*LONGER, *search)
    assert len({trained.hash, evaluation.hash, whole.hash}) == 3
    assert execute(evaluation) == "done"
    assert execute(whole) == "done"
    assert result(evaluation)["metrics"] == result(whole)["metrics"]
    for name in ("translations.txt", "translations.tsv", "examples.npy"):
        assert (evaluation.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    assert not np.array_equal(np.load(evaluation.folder / "examples.npy"), np.load(trained.folder / "examples.npy"))
    assert not (evaluation.folder / "checkpoints").exists()
    assert not (evaluation.folder / "metrics.jsonl").exists()
    assert result(evaluation)["message"] == f"evaluates {trained.hash}"
    assert result(evaluation)["parameters"] == result(trained)["parameters"]
    before = (evaluation.folder / "result.json").stat().st_mtime_ns
    assert execute(evaluation) == "done"  # it is not repeated
    assert (evaluation.folder / "result.json").stat().st_mtime_ns == before


def test_an_evaluation_with_the_same_task_gives_the_same_numbers(run, trained):
    evaluation = run(*LONGER, f"inputs=[{trained.hash}]")
    assert execute(evaluation) == "done"
    assert result(evaluation)["metrics"] == result(trained)["metrics"]
    for use in (load_run, weights_file):  # it has no model of its own
        with pytest.raises(UserError, match=f"trained nothing: use the one that it tested, {trained.hash}$"):
            use(evaluation.folder)


def test_another_test_set_gives_what_such_a_run_gives(run, trained):
    """The result equals that of a run with the same training that had this test set from the start."""
    evaluation, whole = run(*LONGER, "data.test=valid", f"inputs=[{trained.hash}]"), run(*LONGER, "data.test=valid")
    assert execute(evaluation) == "done"
    assert execute(whole) == "done"
    assert result(evaluation)["metrics"] == result(whole)["metrics"] != result(trained)["metrics"]
    assert result(evaluation)["data"] == result(whole)["data"] != result(trained)["data"]
    assert (evaluation.folder / "examples.npy").read_bytes() == (whole.folder / "examples.npy").read_bytes()


def test_another_test_set_needs_the_vocabulary_of_the_run(run, trained):
    (vocabulary,) = (trained.folder / "inputs").glob("*.model")
    vocabulary.write_bytes(vocabulary.read_bytes() + b"\n")
    with pytest.raises(UserError, match=r"inputs: the vocabulary is not .*, with which the run was trained"):
        execute(run(*LONGER, "data.test=valid", f"inputs=[{trained.hash}]"))


def test_another_test_set_does_not_excuse_other_training_data(run, trained, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(trained.data.dir, folder)
    (folder / "train.en").write_text((folder / "train.en").read_text().replace("red", "blue"))
    data = [f"data.dir={folder}", f"data.name={trained.data.name}", "data.test=valid"]
    with pytest.raises(UserError, match="inputs: the data has changed since"):
        execute(run(*LONGER, *data, f"inputs=[{trained.hash}]"))


@pytest.mark.parametrize("damage", ["lam: 1.0", "heads: "])
def test_another_configuration_beside_the_weights_is_refused(run, trained, damage):
    """Weights of the same shapes would be taken for those of another λ, or of other heads."""
    path = trained.folder / "config.yaml"
    assert damage in path.read_text()
    path.write_text(path.read_text().replace(damage, f"{damage}2"))
    with pytest.raises(UserError, match=r"inputs: .*config.yaml is not of this run, but of"):
        execute(run(*LONGER, f"inputs=[{trained.hash}]"))


def test_missing_interrupted_and_failed_inputs_are_one_line(run, tmp_path):
    config = run("seed=7")
    evaluation = run("seed=7", f"inputs=[{config.hash}]")
    for state, said in (("", "missing"), ("interrupted", "interrupted: by a signal"), ("failed", "failed: no memory")):
        if state:
            RunFolder(config.folder).write_status(state, 5, 20, said.partition(": ")[2])
        with pytest.raises(UserError) as error:
            execute(evaluation)
        assert str(error.value) == f"inputs: {config.folder} has no result ({said}); run it first"


def test_an_evaluation_of_a_diverged_run_is_diverged(run):
    config = run("optim=sgd", "optim.lr=1e6", "skip=xskip", "skip.lam=3", "training.updates=30", "schedule=constant")
    assert execute(config) == "diverged"
    evaluation = config.model_copy(update={"inputs": [config.hash]})
    assert execute(evaluation) == "diverged"
    assert result(evaluation)["metrics"] == {}
    assert result(evaluation)["message"].startswith(f"evaluates {config.hash}, which diverged: training loss")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("seed=2", "is another run; an evaluation may differ from its input only in data.test and keys of task"),
        ("skip=skip", "is another run; an evaluation may differ from its input only in data.test and keys of task"),
        ("inputs=[0123456789ab,0123456789ac]", "0123456789ab has no result (missing); run it first"),
    ],
)
def test_an_evaluation_of_another_run_is_refused(run, trained, override, said):
    with pytest.raises(UserError) as error:
        execute(run(*LONGER, f"inputs=[{trained.hash}]", override))
    assert said in str(error.value)


def test_an_input_is_named_by_its_hash():
    with pytest.raises(UserError, match=r"inputs\.0='table2': string should match pattern"):
        compose(["inputs=[table2]"])


def test_lost_weights_are_one_line(run, trained):
    (trained.folder / "checkpoints/tested.pt").unlink()
    with pytest.raises(UserError, match=r"tested\.pt"):
        execute(run(*LONGER, f"inputs=[{trained.hash}]"))


@pytest.mark.parametrize("name", ["787909738042", "012345670123", "12e456789012", "0123456789ab", "000000000000"])
def test_a_hash_that_looks_like_a_number_stays_a_word(name):
    assert compose([f"inputs=[{name}]"]).inputs == [name]
    assert compose([f"inputs=[abcdefabcdef,{name}]"]).inputs == ["abcdefabcdef", name]
    assert compose([f"inputs=['{name}']"]).inputs == [name]
