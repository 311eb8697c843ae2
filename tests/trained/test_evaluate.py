"""A trained run gives its own result on its own test set, and sacreBLEU's score of its translations on another."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sacrebleu.metrics import BLEU

import skipln
from skipln.data.images.digits import load_digits
from skipln.errors import UserError
from skipln.evaluate import main
from skipln.runs.sums import KEYS, check_sum
from skipln.trained.evaluation import evaluate


def test_a_runs_own_test_set_gives_its_own_result(translator: Path) -> None:
    folder, result = evaluate(translator, [], "cpu")
    own = json.loads((translator / "result.json").read_text())
    assert result.metrics == own["metrics"]
    assert result.signatures == own["signatures"]
    written = json.loads((folder / "result.json").read_text())
    check_sum(written)
    assert {key: value for key, value in written.items() if key not in KEYS} == result.content()
    for name in ("translations.tsv", "examples.npy"):
        assert (folder / name).read_bytes() == (translator / name).read_bytes()


def test_another_test_set_and_another_search(translator: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The files of one split are enough; the score is that of sacreBLEU for the run's translations."""
    sources, references = ["two red dogs and trees", "a house sees"], ["zwei rot Hund und Baum\u200b", "ein Haus sieht"]
    for suffix, lines in (("en", sources), ("de", references)):
        (tmp_path / f"mine.{suffix}").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    overrides = [f"data.dir={tmp_path}", "data.test=mine", "data.name=mine", "task.beam=2", "task.length_penalty=0"]
    assert main([str(translator), *overrides, "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    outputs = skipln.load_run(translator, "cpu").translate(sources, beam=2, length_penalty=0.0)
    expected = BLEU().corpus_score(outputs, [references]).score
    assert f"bleu {expected:.2f}   nrefs:1" in said
    (record,) = [
        found
        for path in (translator / "evaluations").glob("*/result.json")
        if (found := json.loads(path.read_text()))["data"]["name"] == "mine"
    ]
    assert record["metrics"]["bleu"] == pytest.approx(expected)
    assert record["data"]["test_examples"] == 2
    assert record["evaluated"] == overrides


def test_a_classifier_is_evaluated_and_other_channels_are_refused(classifier: Path, tmp_path: Path) -> None:
    own = json.loads((classifier / "result.json").read_text())
    assert evaluate(classifier, [], "cpu")[1].metrics == own["metrics"]
    _, train, test = load_digits()  # the same classes as files, a few of them
    for split, found in (("train", train), ("test", test)):
        for i in range(60):
            folder = tmp_path / "digits" / split / str(found.labels[i])
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(found.images[i, :, :, 0]).save(folder / f"{i}.png")
    with pytest.raises(UserError, match="10 classes with 3 channels, but the run has learnt 10 with 1"):
        evaluate(classifier, ["data=class_folders", f"data.dir={tmp_path / 'digits'}", "data.valid=0"], "cpu")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["seed=3"], "seed=3: an evaluation changes only data=NAME, data.KEY=VALUE and task.KEY=VALUE"),
        (["task=classification"], "an evaluation changes"),
        (["data.foo=3"], "data has no key 'foo': its keys are"),
        (["task.beam=0"], "task.translation.beam=0: input should be greater than 0"),
        (["task.beam=x"], "task.translation.beam='x': input should be a valid integer"),
        (["data.dir=/nowhere"], "No such file or directory"),
        (["data=digits"], "data: digits is not for task=translation"),
        (["data=multi30k"], "data.dir has no default: give it as data.dir=…"),
    ],
)
def test_a_mistake_is_one_line(
    translator: Path, capsys: pytest.CaptureFixture, overrides: list[str], said: str
) -> None:
    assert main([str(translator), *overrides, "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_unequal_files_are_one_line(translator: Path, tmp_path: Path) -> None:
    (tmp_path / "test.en").write_text("a\nb\n")
    (tmp_path / "test.de").write_text("a\n")
    with pytest.raises(UserError, match=r"has 2 lines and .* has 1"):
        evaluate(translator, [f"data.dir={tmp_path}"], "cpu")
    shutil.copy(tmp_path / "test.de", tmp_path / "test.en")
    assert np.isfinite(evaluate(translator, [f"data.dir={tmp_path}"], "cpu")[1].metrics["chrf"])
