"""Images sorted into class folders, in a folder or a tar: `train/<class>/*.jpg`, `test/<class>/*.jpg`."""

import hashlib
import json
import logging
import os
import posixpath
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from tqdm import tqdm

from skipln.data.checksums import remembered_sha256
from skipln.data.folders import atomic_folder, check_sums
from skipln.data.images.dataset import Split
from skipln.data.images.decoding import decode, fitted
from skipln.data.images.held_out import HeldOut, read_file
from skipln.data.images.layout import by_class, left_out
from skipln.data.present import require_class_folders
from skipln.data.tars import DAMAGED, CarefulTarInfo
from skipln.errors import UserError
from skipln.system.files import atomic_write, locked
from skipln.system.printing import one_line

log = logging.getLogger(__name__)
FORMAT = 2  # raised when the format of prepared folders changes; folders of an older one are then not used
MAX_FILE = 64 << 20  # bytes of one image; a larger file is taken for a mistake
SPLITS = ("train", "test")

Read = Callable[[str], bytes]


def load_class_folders(source: Path, size: int, cache: Path) -> tuple[list[str], Split, Split]:
    """Return the class names in alphabetical order, the training images and the test images.

    Images are decoded once, to `<cache>/images/`; nothing but pixels is written to disk.
    source: a folder or a tar of `train|test/<class>/<image>`. size: 0 when all images have one size; otherwise the
    shorter side is scaled to it and the middle square is taken. Links are followed. One line on stderr says what is
    left out.
    Raises UserError, one line with the file's name, for a missing source, an image that cannot be decoded, a class
    that has no image in one of the splits, or images of different sizes.
    """
    require_class_folders(source)
    with _opened(source) as (names, read, dangling):
        prepared = cache / "images" / _key(source, names, size, cache)
        with locked(prepared.with_name(f".{prepared.name}.lock")):
            try:
                check_sums(prepared)
            except UserError as error:  # missing or damaged
                if prepared.exists():
                    log.warning("%s; the images are decoded again", error)
                with atomic_folder(prepared) as work:
                    _build(work, source, by_class(source, names, SPLITS), read, size)
    _say_left_out(source, names, SPLITS, dangling)
    classes = json.loads((prepared / "about.json").read_text("utf-8"))["classes"]
    train, test = (
        Split(np.load(prepared / f"{split}.images.npy", mmap_mode="r"), np.load(prepared / f"{split}.labels.npy"))
        for split in SPLITS
    )
    return classes, train, test


def held_out_folders(source: Path) -> HeldOut:
    """Return the images below `test/` as they are, which is all that `source`, a folder or a tar, needs to contain.

    Raises UserError like `load_class_folders`, and for a damaged image once it is loaded.
    """
    require_class_folders(source)
    with _opened(source) as (names, read, dangling):
        files = by_class(source, names, ("test",))["test"]
        if source.is_dir():
            found = HeldOut.of_files(files, f"{source}/", read)
        else:
            content = {name: read(name) for of in files.values() for name in of}
            found = HeldOut.of_files(files, f"{source}: ", content.__getitem__)
    _say_left_out(source, [name for name in names if not name.startswith("train/")], ("test",), dangling)
    return found


def _say_left_out(source: Path, names: list[str], splits: Sequence[str], dangling: int) -> None:
    if others := left_out(names, splits, dangling):
        print(f"note: {source}: left out: {one_line(others)}", file=sys.stderr)


@contextmanager
def _opened(source: Path) -> Iterator[tuple[list[str], Read, int]]:
    """Yield the names below `source` (folders end in "/"), a function that reads one, and the number of dead links."""
    if source.is_dir():
        names, dangling = _below(source)
        yield names, partial(read_file, source), dangling
        return
    try:
        with tarfile.open(source, tarinfo=CarefulTarInfo) as archive:
            members, dangling = _members(archive)

            def read(name: str) -> bytes:
                member = members[name]
                if member.size > MAX_FILE:
                    raise UserError(f"{source}: {name} has {member.size} bytes, more than an image should")
                file = archive.extractfile(member)
                assert file is not None  # `_members` keeps regular files only
                return file.read()

            yield list(members), read, dangling
    except DAMAGED as error:
        reason = one_line(str(error)).rstrip(":") or type(error).__name__
        raise UserError(f"{source}: cannot be read as a tar of images ({reason}); copy it again") from error


def _below(source: Path) -> tuple[list[str], int]:
    """List what lies below a folder, down to <split>/<class>/<anything>, and count the dead links. Follow links."""
    names, dangling = [], 0
    for folder, folders, files in os.walk(source, followlinks=True):
        here, where = Path(folder), Path(folder).relative_to(source)
        names += [(where / name).as_posix() + "/" for name in folders]
        whole = [name for name in files if (here / name).is_file()]
        names += [(where / name).as_posix() for name in whole]
        dangling += len(files) - len(whole)
        if len(where.parts) == 2:
            folders.clear()  # no image is taken from deeper down, and a link that leads up is never followed
    return sorted(names), dangling


def _members(archive: tarfile.TarFile) -> tuple[dict[str, tarfile.TarInfo], int]:
    """Return a tar's files and folders by name, links as the files they lead to, and the number of dead links."""
    members: dict[str, tarfile.TarInfo] = {}
    links: dict[str, str] = {}
    for member in archive:
        name = PurePosixPath(member.name).as_posix()
        if member.isfile() or member.isdir():
            members[name + ("/" if member.isdir() else "")] = member
        elif member.islnk() or member.issym():
            beside = PurePosixPath(name).parent if member.issym() else PurePosixPath()
            links[name] = posixpath.normpath(beside / member.linkname)
    dangling = 0
    for name, target in links.items():
        for _ in links:
            target = links.get(target, target)
            if target in members:
                break
        if target in members:
            members[name] = members[target]
        elif f"{target}/" not in members:
            dangling += 1
    return members, dangling


def _build(work: Path, source: Path, found: dict[str, dict[str, list[str]]], read: Read, size: int) -> None:
    classes, shape = sorted(found["train"]), None
    for split in SPLITS:
        listed = [(name, label) for label, cls in enumerate(classes) for name in found[split][cls]]
        pixels = None
        for i, (name, _) in enumerate(tqdm(listed, desc=f"decoding {split}", unit="image", disable=None)):
            image = _decode(read(name), f"{source}: {name}", size)
            shape = shape or image.shape
            if image.shape != shape:
                raise UserError(
                    f"{source}: {name} has {image.shape[0]} × {image.shape[1]} pixels, others have {shape[0]} × "
                    f"{shape[1]}: give one size as data.size=…"
                )
            if pixels is None:
                path = work / f"{split}.images.npy"
                pixels = np.lib.format.open_memmap(path, "w+", np.uint8, (len(listed), *shape))
            pixels[i] = image
        assert pixels is not None
        pixels.flush()
        np.save(work / f"{split}.labels.npy", np.array([label for _, label in listed], np.int64))
    with atomic_write(work / "about.json", "w") as file:
        json.dump({"classes": classes, "format": FORMAT}, file)


def _decode(content: bytes, name: str, size: int) -> np.ndarray:
    """Return uint8 [H, W, 3]. Raises UserError when `content` is not an image or only a part of one."""
    rgb = decode(content, name)
    return np.asarray(fitted(rgb, size, size) if size else rgb)


def _key(source: Path, names: list[str], size: int, cache: Path) -> str:
    """Name the pixels' folder by the archive's content, or by the files' names, sizes and modification times."""
    if source.is_dir():
        files = [(name, (source / name).stat()) for name in names if not name.endswith("/")]
        state = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in files]
        content = hashlib.sha256(json.dumps([str(source.resolve()), names, state]).encode()).hexdigest()
    else:
        content = remembered_sha256(source, cache / "images" / "sha256.json")
    return hashlib.sha256(f"{FORMAT} {size} {content}".encode()).hexdigest()[:16]
