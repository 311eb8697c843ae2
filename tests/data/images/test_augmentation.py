import pytest
import torch

from skipln.data.images.augmentation import centre_crop, normalise, random_crop, random_flip
from skipln.errors import UserError


@pytest.fixture
def images() -> torch.Tensor:
    """Every pixel has its own number, 1 to 36."""
    return torch.arange(1, 37, dtype=torch.uint8).view(1, 1, 6, 6).expand(64, 2, 6, 6)


def test_a_crop_is_a_window_of_the_padded_image(images):
    torch.manual_seed(0)
    cropped = random_crop(images, (6, 6), pad=2)
    assert cropped.shape == images.shape
    padded = torch.nn.functional.pad(images[0], (2, 2, 2, 2))
    windows = {tuple(padded[0, i : i + 6, j : j + 6].flatten().tolist()): (i, j) for i in range(5) for j in range(5)}
    places = {windows[tuple(image[0].flatten().tolist())] for image in cropped}  # KeyError if it is not a window
    assert len(places) > 15
    assert torch.equal(cropped[:, 0], cropped[:, 1])  # channels stay together


def test_a_crop_of_full_size_without_padding_is_the_image(images):
    assert torch.equal(random_crop(images, (6, 6), pad=0), images)


def test_about_half_of_the_images_are_flipped(images):
    torch.manual_seed(0)
    flipped = random_flip(images)
    unchanged = (flipped == images).flatten(1).all(1)
    assert torch.equal(flipped[~unchanged], images[~unchanged].flip(3))
    assert 20 < int(unchanged.sum()) < 44


def test_torchs_generator_decides_all_random_numbers(images):
    def draw() -> torch.Tensor:
        torch.manual_seed(3)
        return random_flip(random_crop(images, (5, 5), pad=1))

    assert torch.equal(draw(), draw())


def test_a_centre_crop_by_hand(images):
    assert centre_crop(images, (2, 4))[0, 0].tolist() == [[14, 15, 16, 17], [20, 21, 22, 23]]


@pytest.mark.parametrize("crop", [centre_crop, lambda images, size: random_crop(images, size, pad=4)])
def test_an_image_smaller_than_the_crop_is_one_line(images, crop):
    with pytest.raises(UserError, match=r"images of 6 × 6 pixels are smaller than the crop of 6 × 7: lower data\.crop"):
        crop(images, (6, 7))


def test_normalised_channels_have_mean_0_and_deviation_1():
    images = torch.randint(0, 256, (64, 3, 8, 8), dtype=torch.uint8)
    plain = images.float()
    mean, std = plain.mean((0, 2, 3)), plain.std((0, 2, 3), correction=0)
    found = normalise(images, mean.tolist(), std.tolist())
    torch.testing.assert_close(found.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.std((0, 2, 3), correction=0), torch.ones(3))


@pytest.mark.parametrize("channels", [1, 3])
def test_strides_are_contiguous(channels):
    """With one channel, channels-last strides are possible too, and torch's convolutions choose formats by strides."""
    images = torch.zeros(2, 8, 8, channels, dtype=torch.uint8).permute(0, 3, 1, 2)
    assert normalise(images, [0.0] * channels, [1.0] * channels).stride() == (64 * channels, 64, 8, 1)
