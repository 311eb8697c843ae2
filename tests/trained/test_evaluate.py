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
    overrides.append("task.decode_precision=bf16")
    assert main([str(translator), *overrides, "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    outputs = skipln.load_run(translator, "cpu").translate(sources, beam=2, length_penalty=0.0, precision="bf16")
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
    assert record["environment"]["precision"] == "bf16"


def as_files(folder: Path, scale: int = 1, only: str = "0123456789") -> Path:
    """Write the digits' test set as folders of RGB images, every pixel as scale × scale equal ones. No train/."""
    _, _, test = load_digits()
    for i, (image, label) in enumerate(zip(test.images[..., 0], test.labels, strict=True)):
        if str(label) in only:
            path = folder / "test" / str(label) / f"{i:04}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.repeat(scale, 0).repeat(scale, 1)).convert("RGB").save(path)
    return folder


def test_a_classifier_is_evaluated_on_its_own_test_set(classifier: Path) -> None:
    own = json.loads((classifier / "result.json").read_text())
    folder, result = evaluate(classifier, [], "cpu")
    assert result.metrics == own["metrics"]
    assert (folder / "examples.npy").read_bytes() == (classifier / "examples.npy").read_bytes()


@pytest.mark.parametrize("tar", [False, True])
def test_a_classifier_is_evaluated_on_a_folder_of_test_images(classifier: Path, tmp_path: Path, tar: bool) -> None:
    """The images of a grey training set, in colour and without any for training: the same pixels, the same result."""
    where = as_files(tmp_path / "digits")
    if tar:
        where = Path(shutil.make_archive(str(tmp_path / "digits"), "tar", where))
    _, result = evaluate(classifier, ["data=class_folders", f"data.dir={where}"], "cpu")
    assert result.metrics == pytest.approx(json.loads((classifier / "result.json").read_text())["metrics"])
    assert result.data.test_examples == 450


def test_test_images_are_brought_to_the_nets_size_and_classes(classifier: Path, tmp_path: Path) -> None:
    """The answers are those of `predict`: larger images are scaled, not cut, and classes are known by their names."""
    where = as_files(tmp_path / "large", scale=3, only="58")
    folder, result = evaluate(classifier, ["data=class_folders", f"data.dir={where}"], "cpu")
    files = sorted(where.rglob("*.png"))
    predicted = skipln.load_run(classifier, "cpu").predict(files)
    wrong = [answer != path.parent.name for answer, path in zip(predicted, files, strict=True)]
    assert result.metrics["error"] == pytest.approx(100 * np.mean(wrong))
    assert np.load(folder / "examples.npy")[:, 0].tolist() == wrong
    assert 0 < np.mean(wrong) < 1
    (where / "test" / "5").rename(where / "test" / "five")
    with pytest.raises(UserError, match="large: the run has not learnt its class 'five', but 0, 1, 2"):
        evaluate(classifier, ["data=class_folders", f"data.dir={where}"], "cpu")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["seed=3"], "seed=3: an evaluation changes only data=NAME, data.KEY=VALUE and task.KEY=VALUE"),
        (["task=classification"], "an evaluation changes"),
        (["data.foo=3"], "data has no key 'foo': its keys are"),
        (["task.beam=0"], "task.beam=0: input should be greater than or equal to 1"),
        (["task.beam=x"], "task.beam='x': input should be a valid integer"),
        (["task.beam=["], "task.beam=[: its value cannot be read; put a text in quotes"),
        (["data.name=2024-99-99"], "data.name=2024-99-99: its value cannot be read"),
        (
            ["data.dir=/nowhere"],
            "/nowhere/test.en: no such file; data.dir, data.test, data.source and data.target name it",
        ),
        (
            ["data.max_length=9"],
            "data.max_length=9: the model was trained with data.max_length=40, which an evaluation keeps",
        ),
        (["data.encoding=bpe"], "data.encoding=bpe: the model was trained with data.encoding=sentencepiece, which"),
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
