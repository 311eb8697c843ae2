"""The user's own parallel text: plain files `<split>.<language>` in one folder, where line i of one is the translation
of line i of the other. They are checked before anything long starts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from tqdm import tqdm

from skipln.data.text.lines import normalise, read_lines
from skipln.errors import UserError

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class ParallelFiles:
    """Where the two sides of three splits lie. `train`, `valid`, `test` are file names without the language, so
    Multi30k is `ParallelFiles(folder, valid="val", test="test_2016_flickr")`. `form` is applied to every line that is
    read; text that came encoded needs another one, since its words may contain characters that `normalise` changes."""

    folder: Path
    source: str = "en"
    target: str = "de"
    train: str = "train"
    valid: str = "valid"
    test: str = "test"
    form: Callable[[str], str] = normalise

    def paths(self, split: str) -> tuple[Path, Path]:
        """Return the source and target file of a split ("train", "valid" or "test")."""
        prefix = getattr(self, split)
        return self.folder / f"{prefix}.{self.source}", self.folder / f"{prefix}.{self.target}"

    def pairs(self, split: str) -> Iterator[tuple[str, str]]:
        """Stream a split's (source, target) lines, each through `form`, in the files' order and one pair at a time.

        Pairs that are empty on both sides are left out of train (crawled corpora are full of them), but refused in
        valid and test: without them our sentences would have other numbers than everybody else's. Raises `UserError`
        for unequal line counts (naming both), a line that is empty on one side only, and bytes that are not UTF-8.
        """
        source, target = self.paths(split)
        lines = enumerate(zip_longest(read_lines(source, self.form), read_lines(target, self.form)), 1)
        for number, (left, right) in lines:
            if left is None or right is None:
                more = sum(1 for _ in lines)
                counts = (number - 1, number + more) if left is None else (number + more, number - 1)
                raise UserError(
                    f"{source} has {counts[0]} lines and {target} has {counts[1]}; make line i of one the translation "
                    "of line i of the other"
                )
            if left.strip() and right.strip():
                yield left, right
            elif left.strip() or right.strip():
                empty, full = (target, source) if left.strip() else (source, target)
                raise UserError(
                    f"{empty}:{number} is empty but {full}:{number} is not; remove the line from both files"
                )
            elif split != "train":
                raise UserError(f"{source}:{number} and {target}:{number} are empty; remove the line from both files")

    def check(self) -> dict[str, int]:
        """Read everything once and return the number of pairs of each split. Raises `UserError` like `pairs`, for
        missing files (naming those that are there), and for a split without pairs."""
        self.check_present()
        counts = {}
        for split in SPLITS:
            checked = tqdm(self.pairs(split), desc=f"checking {split}", unit="pair", disable=None)
            counts[split] = sum(1 for _ in checked)
            if not counts[split]:
                raise UserError(f"{self.paths(split)[0]}: contains no sentences")
        return counts

    def check_present(self) -> None:
        """Raise `UserError` when the folder or one of the six files is missing."""
        if not self.folder.is_dir():
            raise UserError(f"{self.folder}: no such folder; it should contain {self.train}.{self.source} and so on")
        wanted = [path for split in SPLITS for path in self.paths(split)]
        if missing := [path.name for path in wanted if not path.is_file()]:
            there = sorted(path.name for path in self.folder.iterdir() if path.is_file())
            shown = ", ".join(there[:12]) + (", ..." if len(there) > 12 else "")
            raise UserError(
                f"{self.folder}: missing {', '.join(missing)} (there: {shown or 'nothing'}); "
                "name the languages and splits as the files are named"
            )
