"""The layout `<split>/<class>/<image>` of a folder or an archive."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from skipln.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")
OTHERS = (".avif", ".dds", ".exr", ".heic", ".heif", ".jp2", ".jxl", ".psd", ".raw", ".svg")  # images we do not read


def by_class(source: Path, names: Iterable[str], splits: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Map each split and class to its images in alphabetical order; every split has every class.

    names: everything below `source`, folders ending in "/". Raises UserError, one line that starts with `source`, for
    a missing split, for a class that has no image in one of the splits, and for a class whose name is not UTF-8.
    """
    found: dict[str, dict[str, list[str]]] = {split: {} for split in splits}
    for name in sorted(names):
        split, *rest = name.rstrip("/").split("/")
        if split in found and rest:
            images = found[split].setdefault(rest[0], []) if name.endswith("/") or len(rest) > 1 else []
            if len(rest) == 2 and rest[1].lower().endswith(SUFFIXES) and not name.endswith("/"):
                images.append(name)
    labels = sorted({label for classes in found.values() for label in classes})
    if odd := [label for label in labels if label != label.encode("utf-8", "replace").decode()]:
        raise UserError(f"{source}: the name of class {odd[0]} is not UTF-8; rename its folder")
    for split in splits:
        if not found[split]:
            raise UserError(f"{source}: no class folder {split}/<class>/; it must contain {' and '.join(splits)}")
        for label in labels:
            if not found[split].get(label):
                raise UserError(f"{source}: {split}/{label} contains no image; remove the class or add images")
    return found


def left_out(names: Iterable[str], splits: Sequence[str], dangling: int = 0) -> str:
    """Count what `by_class` leaves out although it lies among images or looks like one, as in "3 .heic, 1 deeper
    folder"; empty when it leaves out nothing. dangling: the number of dead links."""
    counts: Counter[str] = Counter({"link to nothing": dangling} if dangling else {})
    for name in names:
        split, *rest = name.rstrip("/").split("/")
        suffix = PurePosixPath(name).suffix.lower()
        if name.endswith("/"):
            counts["deeper folder"] += split in splits and len(rest) == 2
        elif split in splits and len(rest) == 2:
            if suffix not in SUFFIXES:
                counts[suffix or "file without a suffix"] += 1
        elif suffix in SUFFIXES + OTHERS and len(rest) < 2:
            counts["image outside a class folder"] += 1
        elif suffix in SUFFIXES + OTHERS and split not in splits:
            counts[f"image in {split}/"] += 1
    return ", ".join(f"{count} {_plural(what, count)}" for what, count in counts.most_common() if count)


def _plural(what: str, count: int) -> str:
    if count == 1 or what.startswith("."):
        return what
    first, *rest = what.split(" ")
    return " ".join(["deeper", *(f"{word}s" for word in rest)] if first == "deeper" else [f"{first}s", *rest])
