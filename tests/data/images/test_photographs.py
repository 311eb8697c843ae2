"""Photographs of many sizes: read lazily, augmented by (seed, epoch, index) alone, and every mistake is one line."""

import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from skipln.configuration.composition import compose
from skipln.data.images import ImageBatches, ImageData
from skipln.data.images.photographs import load_photographs
from skipln.engine.run import execute
from skipln.errors import UserError
from skipln.trained.evaluation import evaluate
from tests.data.images.conftest import jpeg, write_image

COLOURS = {"n01": (200, 30, 30), "n02": (30, 30, 200)}


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """JPEGs of different sizes in ImageNet's layout: two classes with 6 training and 3 validation images each."""
    for split, count in (("train", 6), ("val", 3)):
        for name, colour in COLOURS.items():
            for i in range(count):
                write_image(tmp_path / "net" / split / name / f"{name}_{i}.JPEG", colour, (40 + 3 * i, 30 + 5 * i), i)
    return tmp_path / "net"


def load(folder: Path, valid: int = 0) -> ImageData:
    return ImageData.assemble("net", *load_photographs(folder, 24, 16, True), valid=valid)


def test_photographs_are_read_and_cropped(photographs):
    data = load(photographs)
    assert data.classes == ("n01", "n02")
    assert (len(data.train), len(data.test), data.size, data.channels) == (12, 6, (16, 16), 3)
    [batch] = ImageBatches(data.test, 6)
    assert batch.images.shape == (6, 3, 16, 16)
    assert batch.images.dtype == torch.uint8
    assert batch.labels.tolist() == [0, 0, 0, 1, 1, 1]
    red, blue = batch.images[0].float().mean((1, 2))[[0, 2]]
    assert red > 150 > 60 > blue


def test_the_test_crop_is_the_middle_of_the_scaled_image(photographs):
    for path in photographs.rglob("*.JPEG"):
        pixels = np.zeros((48, 96, 3), np.uint8)
        pixels[8:40, 32:64] = 255  # scaled by 1/2 to 24 × 48, the middle 16 × 16 is white
        Image.fromarray(pixels).save(path, quality=100)
    images = ImageBatches(load(photographs).test, 6)[0].images
    assert images[:, :, 2:-2, 2:-2].min() > 240


def test_augmentation_depends_on_seed_epoch_and_index_alone(photographs):
    train = load(photographs).train

    def images(seed: int, epoch: int, *chosen: int) -> torch.Tensor:
        return train.read(np.array(chosen), (seed, epoch))

    before = torch.get_rng_state()
    one = images(1, 2, 3, 5)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one, images(1, 2, 5, 3).flip(0))
    assert torch.equal(one[1:], images(1, 2, 5))
    for other in (images(1, 3, 3, 5), images(2, 2, 3, 5)):
        assert not torch.equal(one, other)


def test_half_are_flipped_if_asked_and_none_otherwise(photographs):
    left = np.zeros((30, 60, 3), np.uint8)
    left[:, :30] = 255
    Image.fromarray(left).save(photographs / "train/n01/n01_0.JPEG")
    for flip, counts in ((True, range(20, 81)), (False, range(1))):
        _, train, _ = load_photographs(photographs, 24, 16, flip)
        crops = torch.cat([train.read(np.array([0]), (1, epoch)) for epoch in range(100)]).float()
        assert int((crops[..., :4].mean((1, 2, 3)) + 30 < crops[..., -4:].mean((1, 2, 3))).sum()) in counts


def test_validation_images_are_held_out_on_demand(photographs):
    data = load(photographs, valid=4)
    assert (len(data.train), len(data.valid), len(data.test)) == (8, 4, 6)
    assert not set(data.train.files) & set(data.valid.files)
    assert load(photographs, valid=4).fingerprint == data.fingerprint != load(photographs).fingerprint


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: shutil.rmtree(folder), "no such folder; give the one with train/ and val/, or with ImageNet's"),
        (lambda folder: shutil.rmtree(folder / "val"), "neither val/ nor ILSVRC2012_img_val.tar is there"),
        (lambda folder: (folder / "train/n03").mkdir(), "train/n03 contains no image; remove the class or add images"),
        (lambda folder: shutil.rmtree(folder / "val/n02"), "val/n02 contains no image"),
        (lambda folder: [shutil.rmtree(f) for f in (folder / "val").iterdir()], "no class folder val/<class>/"),
        (lambda folder: (folder / "val/n01/n01_1.JPEG").write_bytes(jpeg()[:600]), "n01_1.JPEG is truncated or not"),
        (lambda folder: (folder / "val/n01/n01_1.JPEG").write_bytes(b"none"), "n01_1.JPEG is truncated or not an"),
        (lambda folder: (folder / "val/n01/n01_7.JPEG").symlink_to("nowhere"), "n01_7.JPEG: cannot be read (No such f"),
    ],
)
def test_a_mistake_is_one_line(photographs, damage, said):
    damage(photographs)
    with pytest.raises(UserError) as error:
        list(ImageBatches(load(photographs).test, 2))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def pack(folder: Path) -> dict[str, tuple[str, str]]:
    """Replace `folder`'s train/ and val/ by archives in the official form; return checksums as torchvision has them."""
    for split in ("train", "val"):
        with tarfile.open(folder / f"ILSVRC2012_img_{split}.tar", "w") as archive:
            for cls in sorted((folder / split).iterdir()):
                if split == "val":
                    for path in sorted(cls.iterdir()):
                        archive.add(path, arcname=path.name)
                    continue
                inner = io.BytesIO()
                with tarfile.open(fileobj=inner, mode="w") as part:
                    part.add(cls, arcname=".")
                member = tarfile.TarInfo(f"{cls.name}.tar")
                member.size = len(inner.getvalue())
                archive.addfile(member, io.BytesIO(inner.getvalue()))
        shutil.rmtree(folder / split)
    torch.save(({"n01": ("red",), "n02": ("blue",)}, ["n01"] * 3 + ["n02"] * 3), folder / "meta.bin")
    names = {split: f"ILSVRC2012_img_{split}.tar" for split in ("train", "val")}
    return {k: (name, hashlib.md5((folder / name).read_bytes()).hexdigest()) for k, name in names.items()}


def test_the_official_archives_are_unpacked_once(photographs, monkeypatch):
    plain = load(photographs)
    checksums = pack(photographs)
    monkeypatch.setattr("torchvision.datasets.imagenet.ARCHIVE_META", checksums)
    assert load(photographs).fingerprint == plain.fingerprint
    for name, _ in checksums.values():
        (photographs / name).unlink()
    assert load(photographs).fingerprint == plain.fingerprint


@pytest.mark.parametrize("known", [True, False])
def test_a_damaged_archive_is_one_line_and_leaves_nothing(photographs, monkeypatch, known):
    """Even if its checksum is right: an interrupted unpacking must not look like a complete one."""
    pack(photographs)
    path = photographs / "ILSVRC2012_img_train.tar"
    path.write_bytes(path.read_bytes()[:20_000])
    checksum = hashlib.md5(path.read_bytes()).hexdigest() if known else "0" * 32
    monkeypatch.setattr("torchvision.datasets.imagenet.ARCHIVE_META", {"train": (path.name, checksum)})
    with pytest.raises(UserError, match=r"ILSVRC2012_img_train\.tar: cannot be unpacked: ") as error:
        load(photographs)
    assert "\n" not in str(error.value)
    assert not (photographs / "train").exists()
    assert not list(photographs.glob(".train*"))


def test_a_missing_devkit_is_one_line(photographs, monkeypatch):
    pack(photographs)
    (photographs / "meta.bin").unlink()
    (photographs / "train").mkdir()
    with pytest.raises(UserError, match=r"img_val\.tar: cannot be unpacked: .*devkit_t12\.tar\.gz is not present"):
        load(photographs)


def run(folder: Path, tmp_path: Path, runs: str, *overrides: str):
    return compose([
        "task=classification", "scale=test", "recipe=imagenet", f"data.dir={folder}", "compute.accelerator=cpu",
        "compute.threads=1", f"paths.runs={tmp_path / runs}", "model.blocks=[1,1]", "model.width=4", "precision=fp32",
        "data.resize=24", "data.crop=16", "training.batch=4", "training.accumulate=2", "training.updates=6",
        "training.log_every=1", "training.checkpoint_every=2", "schedule.milestones=[]", *overrides,
    ])  # fmt: skip


def losses(config) -> list[dict]:
    lines = [json.loads(line) for line in (config.folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("wall", "images_per_second")} for line in lines]


def test_a_run_is_the_same_with_workers_and_after_an_interruption(photographs, tmp_path, interrupt):
    """With 12 images in batches of 4, epochs end in the middle of an update of two batches."""
    plain, ahead = run(photographs, tmp_path, "plain", "compute.workers=0"), run(photographs, tmp_path, "ahead")
    assert plain.hash == ahead.hash
    assert execute(plain) == "done"
    result = json.loads((plain.folder / "result.json").read_text())
    assert set(result["metrics"]) == {"error", "nll"}
    assert result["data"] == {"name": "imagenet", "fingerprint": load(photographs).fingerprint, "test_examples": 6}

    interrupt(ahead, 3)
    assert execute(ahead) == "done"
    assert losses(ahead) == losses(plain)


def test_a_damaged_photograph_ends_a_run_and_is_named(photographs, tmp_path):
    for path in (photographs / "train/n01").iterdir():
        path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(
        UserError, match=r"train/n01/n01_\d\.JPEG is truncated or not an image; remove it or copy it again$"
    ):
        execute(run(photographs, tmp_path, "runs"))


def test_top_5_error_is_reported_for_a_hundred_classes(photographs, tmp_path):
    for split in ("train", "val"):
        for i in range(3, 101):
            write_image(photographs / split / f"n{i:02}" / "x.JPEG", (i, i, i), (20, 20))
    config = run(photographs, tmp_path, "runs", "training.updates=1", "training.checkpoint_every=1")
    execute(config)
    found = json.loads((config.folder / "result.json").read_text())["metrics"]
    examples = np.load(config.folder / "examples.npy")
    assert examples.shape == (104, 2)
    assert (100 * examples.mean(0)).tolist() == pytest.approx([found["error"], found["error5"]])
    assert 0 < found["error5"] < found["error"]
    shutil.rmtree(photographs / "train")
    assert evaluate(config.folder, [], "cpu")[1].metrics == found  # which reads nothing but val/
