"""A trained run classifies images from any source as in its own test."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import skipln
from skipln.classify import main
from skipln.data.images.digits import load_digits
from skipln.data.images.inputs import ImageInputs
from skipln.errors import UserError
from skipln.trained.run import Run


@pytest.fixture(scope="session")
def run(classifier: Path) -> Run:
    return skipln.load_run(classifier, "cpu")


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Write ten of the test set's images, without loss."""
    folder = tmp_path_factory.mktemp("images")
    _, _, test = load_digits()
    for i in range(10):
        Image.fromarray(test.images[i, :, :, 0]).save(folder / f"{i}.png")
    return sorted(folder.iterdir())


def test_a_run_classifies_its_test_set_as_in_its_own_test(run: Run, classifier: Path, files: list[Path]) -> None:
    classes, _, test = load_digits()
    assert run.classes == tuple(classes)
    predicted = run.predict(list(test.images))
    wrong = np.array([classes[label] for label in test.labels]) != np.array(predicted)
    assert wrong.tolist() == np.load(classifier / "examples.npy")[:, 0].astype(bool).tolist()
    assert 100 * wrong.mean() == pytest.approx(run.result.metrics["error"])
    assert len(set(predicted)) > 1
    assert run.predict(files) == predicted[:10] == run.predict([Image.open(path) for path in files])
    assert run.predict([str(files[3])]) == [predicted[3]]
    np.testing.assert_allclose(run.probabilities(files).sum(1), 1, rtol=1e-5)
    assert run.predict([]) == []


def test_the_command_prints_the_top_classes(
    classifier: Path, run: Run, files: list[Path], capsys: pytest.CaptureFixture
) -> None:
    given = [str(classifier), str(files[0]), "--device", "cpu", "--top", "3", str(files[1])]
    assert main(given) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    expected = run.probabilities(files[:2])
    assert [(row["image"], row["rank"]) for row in rows] == [(str(f), str(r)) for f in files[:2] for r in (1, 2, 3)]
    for image in (0, 1):
        of = rows[3 * image : 3 * image + 3]
        best = sorted(range(10), key=lambda i: -expected[image, i])[:3]
        assert [row["class"] for row in of] == [run.classes[i] for i in best]
        assert [float(row["probability"]) for row in of] == pytest.approx(expected[image, best], abs=1e-5)
    assert main([*given, "--format", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [{key: str(value) for key, value in row.items()} for row in said] == rows


def test_images_of_other_sizes_are_scaled_and_cropped() -> None:
    inputs = ImageInputs(("a", "b"), (0.0,) * 3, (1.0,) * 3, (8, 8), (8, 8))
    flag = np.zeros((40, 80, 3), np.uint8)
    flag[:, 20:60] = 200  # the middle square
    flag[:, :20, 0] = 255
    found = inputs.read([flag])  # scaling overshoots at the edges, so those may differ
    assert found.shape == (1, 3, 8, 8) and found.min() > 180 and found.max() < 210 and found[..., 2:6].unique() == 200
    assert inputs.read([flag[:8, 30:38]]).tolist() == [[[[200] * 8] * 8] * 3]
    assert inputs.read([np.full((8, 8), 7, np.uint8)]).unique().tolist() == [7]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"some text\n", "picture is truncated or not an image"),
        (b"\x89PNG\r\n\x1a\n123", "picture is truncated or not an image"),
        (None, "picture: no such image"),
    ],
)
def test_a_file_that_is_not_an_image_is_one_line(
    classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "picture").write_bytes(content)
    assert main([str(classifier), str(tmp_path / "picture")]) == 2
    found = capsys.readouterr()
    assert said in found.err and found.err.count("\n") == 1 and not found.out


@pytest.mark.parametrize("array", [np.zeros((8, 8)), *(np.zeros(of, np.uint8) for of in ((8, 8, 4), 8, (0, 8, 3)))])
def test_an_array_that_is_not_an_image_is_refused(run: Run, array: np.ndarray) -> None:
    with pytest.raises(UserError, match="image 1: an array of"):
        run.predict([array])


def test_one_image_in_place_of_a_list_is_one_line(run: Run, files: list[Path]) -> None:
    for image in (files[0], str(files[0]), Image.open(files[0])):
        with pytest.raises(UserError, match="predict takes a list of images, not one"):
            run.predict(image)


def test_a_classifier_does_not_translate_and_a_translator_does_not_classify(
    run: Run, translator: Path, files: list[Path], capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(UserError, match="this run classifies images; it has no translations"):
        run.translate(["a"])
    assert main([str(translator), str(files[0])]) == 2
    assert "this run translates; it has no classes" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"images\.json: missing or damaged"):
        ImageInputs.load(files[0].parent)
