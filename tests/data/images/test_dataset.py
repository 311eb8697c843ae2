import numpy as np
import pytest

from skipln.data.images import ImageBatches, ImageData, Split
from skipln.data.images.digits import load_digits
from skipln.data.images.published import load_published
from skipln.errors import UserError


def split(count: int = 10, classes: int = 3) -> Split:
    """Return a split in which every image is filled with its own number."""
    images = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 4, 4, 2)).copy()
    return Split(images, np.arange(count) % classes)


def test_digits_have_known_content():
    classes, train, test = load_digits()
    assert classes == [*"0123456789"]
    assert train.images.shape == (1347, 8, 8, 1)
    assert len(test) == 450
    assert (train.images.min(), train.images.max()) == (0, 240)
    assert train.labels[:10].tolist() == list(range(10))
    data = ImageData.assemble("digits", classes, train, test, valid=147)
    assert data.fingerprint.startswith("8e6b87b4fd42077e")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, 1, 3], "mine, train: labels go from 0 to 3, but 3 classes have 0 to 2"),
        ([0, -1, 2], "labels go from -1 to 2"),
        ([0, 1], "3 images but 2 labels"),
    ],
)
def test_labels_must_match_images_and_classes(labels, said):
    train = Split(split(3).images, np.array(labels))
    with pytest.raises(UserError, match=said):
        ImageData.assemble("mine", "abc", train, split(), valid=1)


def test_an_empty_or_too_small_set_is_refused_in_one_line():
    with pytest.raises(UserError, match="mine, test: no image"):
        ImageData.assemble("mine", "abc", split(), split(0), valid=1)
    with pytest.raises(UserError, match=r"data\.valid=10 leaves none of the 10 training images of mine; lower it$"):
        ImageData.assemble("mine", "abc", split(), split(), valid=10)
    with pytest.raises(UserError, match=r"training\.batch=11, but there are 10 training images"):
        ImageBatches(split(), 11, seed=0, epoch=0)
    smaller = Split(split().images[:, :2], split().labels)
    with pytest.raises(UserError, match="differ in shape"):
        ImageData.assemble("mine", "abc", split(), smaller, valid=1)


def test_the_same_images_are_held_out_every_time():
    one, two = (ImageData.assemble("mine", "abc", split(), split(), valid=4) for _ in range(2))
    assert np.array_equal(one.valid.images, two.valid.images)
    assert one.fingerprint == two.fingerprint
    together = sorted([*one.train.images[:, 0, 0, 0], *one.valid.images[:, 0, 0, 0]])
    assert together == list(range(10))
    other = ImageData.assemble("mine", "abc", split(), split(), valid=3)
    assert other.fingerprint != one.fingerprint


def test_with_valid_0_validation_shows_the_test_set():
    data = ImageData.assemble("mine", "abc", split(), split(7), valid=0)
    assert len(data.train) == 10
    assert data.valid is data.test


def test_batches_are_a_pure_function_of_seed_and_epoch():
    def numbers(seed: int, epoch: int) -> list[list[int]]:
        batches = ImageBatches(split(), 4, seed, epoch)
        return [batches[k].images[:, 0, 0, 0].tolist() for k in reversed(range(len(batches)))][::-1]

    assert numbers(1, 2) == numbers(1, 2)
    assert numbers(1, 2) != numbers(1, 3) != numbers(2, 3)
    found = numbers(1, 2)
    assert [len(batch) for batch in found] == [4, 4]
    assert len({number for batch in found for number in batch}) == 8


def test_without_an_epoch_no_image_is_left_out():
    batches = ImageBatches(split(), 4)
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert [n for batch in batches for n in batch.images[:, 1, 2, 3].tolist()] == list(range(10))
    assert batches[2].labels.tolist() == [8 % 3, 9 % 3]


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "fashion_mnist"])
def test_a_missing_published_set_is_one_line(dataset, tmp_path, monkeypatch):
    def no_network(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    for place in ("datasets.utils", "datasets.cifar", "datasets.mnist"):
        monkeypatch.setattr(f"torchvision.{place}.download_and_extract_archive", no_network)
    with pytest.raises(UserError, match=r"cannot be fetched \(.*give the folder .* as data\.dir=") as error:
        load_published(dataset, tmp_path)
    assert "\n" not in str(error.value)
