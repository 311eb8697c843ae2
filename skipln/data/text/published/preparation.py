"""Turn a published data set into BPE-encoded text, which `data.encoding=bpe` and `moses_bpe` read.

The folder contains, one sentence per line, `<train>.<language>` and the held-out `<split>.<language>`, BPE-encoded,
and `<split>.raw.<language>`, the held-out text as it was published, against which scores are computed; further `codes`
(in subword-nmt's format), `vocabulary.txt` (parts of words and their counts: fairseq's dictionary) and `encoding.json`.
"""

import json
import logging
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from tqdm import tqdm

from skipln.data.folders import SUMS, check_sums, write_sums
from skipln.data.text import bpe
from skipln.data.text.published import archives
from skipln.data.text.published.corpora import Corpus, Recipe
from skipln.data.text.published.download import fetch, forget
from skipln.data.text.published.encoding import BLOCK, Block, Encoded, Segment, Tokenise, blocks
from skipln.data.text.published.steps import Steps
from skipln.data.text.published.workers import ordered_map
from skipln.data.text.subwords import CODES, ENCODING, FORMAT, WORDS
from skipln.errors import UserError
from skipln.system.files import DiskError, atomic_write, disk_errors, locked, sha256
from skipln.system.strict_json import read_json

STEPS = ".steps.json"  # which steps were done, what they returned and how long they took
log = logging.getLogger(__name__)
_SEGMENT = re.compile(rb"<seg[^>]*>(.*?)</seg>")


def prepare(
    recipe: Recipe, folder: Path, downloads: Path, workers: int, pause: float = 2, progress: bool = True
) -> dict:
    """Make `folder` unless it is there, and return the content of its encoding.json. `downloads`: keeps archives.

    Every step writes its files whole or not at all and is done only once, so the same command continues an interrupted
    one. Raises `UserError` for data that cannot be fetched, are damaged, or do not have the known line counts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock"), disk_errors(folder):
        steps = Steps(folder / STEPS, {"format": FORMAT, **_choices(recipe)})
        maker = Maker(recipe, folder, downloads, workers, pause, progress)
        if not _whole(folder, maker.made, steps.done):
            (folder / ENCODING).unlink(missing_ok=True)
            maker.run(steps)
            shutil.rmtree(maker.work, ignore_errors=True)
    return read_json(folder / ENCODING)


def _whole(folder: Path, made: Sequence[Path], done: dict[str, dict]) -> bool:
    """Return whether the folder is finished. A changed file makes every step be done again: no later one is right."""
    if "finish" not in done or not all(path.is_file() for path in made):
        return False
    try:
        if (folder / SUMS).exists():  # older folders have none
            check_sums(folder)
        read_json(folder / ENCODING)
    except (UserError, OSError, ValueError) as error:
        log.warning("%s; the text is prepared again", error)
        done.clear()
        return False
    return True


def _choices(recipe: Recipe) -> dict:
    return {
        "languages": list(recipe.languages),
        "train": [corpus.name for corpus in recipe.train],
        "tokenise": recipe.tokenise,
        "merges": recipe.merges,
        "max_ratio": recipe.max_ratio,
        "max_tokens": recipe.max_tokens,
    }


class Maker:
    """The steps. Each is a pure function of the files that earlier ones wrote."""

    def __init__(
        self, recipe: Recipe, folder: Path, downloads: Path, workers: int, pause: float, progress: bool
    ) -> None:
        self.recipe, self.folder, self.work, self.downloads = recipe, folder, folder / ".work", downloads
        self.workers, self.pause, self.progress = workers, pause, progress
        self.tokenised = self._sides(self.work, "train.tokens")
        self.codes, self.words, self.parts = folder / CODES, self.work / "words.txt", self.work / "parts.txt"
        self.train = self._sides(folder, "train")
        held_out = (name for corpus in (recipe.valid, recipe.test) for name in (f"{corpus.name}.raw", corpus.name))
        self.held_out = [path for name in held_out for path in self._sides(folder, name)]
        self.made = [*self.train, *self.held_out, self.codes, folder / WORDS, folder / ENCODING]

    def run(self, steps: Steps) -> None:
        for corpus in (*self.recipe.train, self.recipe.valid, self.recipe.test):
            steps.do(f"fetch {corpus.name}", partial(self.fetch, corpus), self._raw(corpus))
        steps.do("tokenise", self.tokenise, (*self.tokenised, self.words))
        steps.do("learn", self.learn, [self.codes, self.parts])
        steps.do("encode", self.encode, (*self.train, self.folder / WORDS))
        steps.do("held out", self.hold_out, self.held_out)
        steps.do("finish", partial(self.finish, steps.done), [self.folder / ENCODING])

    def _sides(self, folder: Path, prefix: str) -> tuple[Path, Path]:
        source, target = self.recipe.languages
        return folder / f"{prefix}.{source}", folder / f"{prefix}.{target}"

    def _raw(self, corpus: Corpus) -> tuple[Path, Path]:
        return self._sides(self.work, corpus.name)

    def fetch(self, corpus: Corpus) -> dict:
        """Fetch the corpus as plain lines from the first of its origins that works."""
        paths = self._raw(corpus)
        complaints = []
        for origin in corpus.origins:
            try:
                for part in origin:
                    archive = fetch(part.remote, self.downloads, archives.damage, self.pause)
                    wanted = {path: part.members[path.suffix[1:]] for path in paths if path.suffix[1:] in part.members}
                    archives.extract(archive, wanted)
                for path in paths:
                    _plain_lines(path)
                return {"lines": _count(corpus, paths)}
            except DiskError:
                raise
            except UserError as error:
                complaints.append(str(error))
                for part in origin:
                    forget(part.remote, self.downloads)
        raise UserError(f"{corpus.name}: {'; or '.join(complaints)}")

    def tokenise(self) -> dict:
        """Tokenise all of train into one file per side, and count the words of both."""
        recipe, counts, words, pairs = self.recipe, Counter[str](), 0, 0
        make = partial(Tokenise, recipe.languages, recipe.tokenise, recipe.max_tokens, True)
        lines = (block for corpus in recipe.train for block in blocks(*self._raw(corpus)))
        for encoded in self._write(make, lines, self.tokenised, "tokenising"):
            counts.update(encoded.counts)
            words, pairs = words + encoded.source_words, pairs + encoded.pairs
        if not pairs:
            raise UserError(f"{recipe.name}: no training pair is left; check the downloaded files")
        with atomic_write(self.words, "w") as file:
            file.writelines(f"{word} {count}\n" for word, count in counts.most_common())
        return {"pairs": pairs, "source_words": words}

    def learn(self) -> dict:
        """Learn the codes, and write the parts of the words they were learnt from."""
        asked, learner = self.recipe.merges, bpe.Learner(self._words())
        merges = tqdm(
            learner.merges(asked),
            desc="learning BPE",
            total=asked,
            unit="merge",
            disable=self._hidden,
            delay=1,
        )
        with atomic_write(self.codes, "w") as file:
            file.writelines(bpe.write_codes(merges))
        with atomic_write(self.parts, "w") as file:
            file.writelines(
                f"{word} {parts}\n" for (word, _), parts in zip(self._words(), learner.parts(), strict=True)
            )
        return {"merges": len(learner.learnt)}

    def _words(self) -> Iterator[tuple[str, int]]:
        with self.words.open(encoding="utf-8", newline="\n") as file:
            for line in file:
                word, count = line.split(" ")
                yield word, int(count)

    def encode(self) -> dict:
        """Write train as parts of words, cleaned, and the vocabulary in the order of frequency."""
        recipe, counts, pairs = self.recipe, Counter[str](), 0
        make = partial(Segment, self.codes, self.parts, recipe.max_tokens, recipe.max_ratio, True)
        for encoded in self._write(make, blocks(*self.tokenised), self.train, "encoding"):
            counts.update(encoded.counts)
            pairs += encoded.pairs
        with atomic_write(self.folder / WORDS, "w") as file:
            ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            file.writelines(f"{part} {count}\n" for part, count in ordered)
        return {"pairs": pairs, "vocabulary": len(counts)}

    def hold_out(self) -> dict:
        """Write every line of valid and test: scores are comparable only over the same lines."""
        recipe = self.recipe
        for corpus in (recipe.valid, recipe.test):
            tokens = self._sides(self.work, f"{corpus.name}.tokens")
            tokenise = partial(Tokenise, recipe.languages, recipe.tokenise, recipe.max_tokens, False)
            list(self._write(tokenise, blocks(*self._raw(corpus)), tokens, corpus.name, workers=1))
            # Text that comes tokenised is scored as tokens, without the escapes of its published form.
            scored = self._raw(corpus) if recipe.tokenise else tokens
            for path, found in zip(self._sides(self.folder, f"{corpus.name}.raw"), scored, strict=True):
                with atomic_write(path) as file:
                    file.write(found.read_bytes())
            segment = partial(Segment, self.codes, self.parts, recipe.max_tokens, recipe.max_ratio, False)
            list(self._write(segment, blocks(*tokens), self._sides(self.folder, corpus.name), corpus.name, workers=1))
        return {}

    def finish(self, said: dict[str, dict]) -> dict:
        """Write encoding.json, which proves that the folder is complete and its files belong together."""
        content = {
            "name": self.recipe.name,
            "format": FORMAT,
            "encoding": "moses_bpe" if self.recipe.tokenise else "bpe",
            **_choices(self.recipe),
            "lines": {key.removeprefix("fetch "): found["lines"] for key, found in said.items() if "lines" in found},
            "source_words": said["tokenise"]["source_words"],
            "pairs": said["encode"]["pairs"],
            "vocabulary": said["encode"]["vocabulary"],
            "sha256": {name: sha256(self.folder / name) for name in (CODES, WORDS)},
        }
        with atomic_write(self.folder / ENCODING, "w") as file:
            json.dump(content, file, indent=2)
        write_sums(self.folder, self.made)
        return {}

    @property
    def _hidden(self) -> bool | None:
        return None if self.progress else True

    def _write(
        self,
        make: Callable[[], Callable[[Block], Encoded]],
        work: Iterator[Block],
        paths: tuple[Path, Path],
        label: str,
        workers: int = 0,
    ) -> Iterator[Encoded]:
        """Apply `make()` to each block, write the result and yield it."""
        with (
            atomic_write(paths[0], "w") as left,
            atomic_write(paths[1], "w") as right,
            tqdm(desc=label, unit="pair", unit_scale=True, disable=self._hidden) as bar,
        ):
            for encoded in ordered_map(make, work, workers or self.workers):
                left.write(encoded.texts[0])
                right.write(encoded.texts[1])
                bar.update(BLOCK)
                yield encoded


def _plain_lines(path: Path) -> None:
    """Replace WMT's SGML, if the file contains any, by its segments, one per line, as sacreBLEU reads them."""
    with path.open("rb") as file:
        if not file.read(4096).lstrip().startswith((b"<srcset", b"<refset", b"<!DOCTYPE", b"<?xml")):
            return
    segments = [b" ".join(found.split()) for found in _SEGMENT.findall(path.read_bytes())]
    with atomic_write(path) as file:
        file.writelines(segment + b"\n" for segment in segments)


def _count(corpus: Corpus, paths: tuple[Path, Path]) -> int:
    counts = []
    for path in paths:
        with path.open("rb") as file:
            counts.append(sum(1 for _ in file))
    for path, found in zip(paths, counts, strict=True):
        if corpus.lines is not None and found != corpus.lines:
            hint = (corpus.wrong or {}).get(found, "start again")
            raise UserError(f"{path.name} has {found:,} lines, but {corpus.name} has {corpus.lines:,}: {hint}")
    if counts[0] != counts[1]:
        raise UserError(f"{corpus.name}: {counts[0]:,} source but {counts[1]:,} target lines; start again")
    return counts[0]
