"""All the data that a translation task needs, prepared once for each text and set of options."""

import hashlib
import json
import logging
import re
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import sentencepiece
from tqdm import tqdm

from skipln.data.checksums import remembered, remembered_sha256
from skipln.data.folders import SUMS, atomic_folder, check_sums
from skipln.data.text.corpus import ParallelCorpus, TokenCorpus, binarise
from skipln.data.text.lines import as_given, read_lines
from skipln.data.text.parallel import SPLITS, ParallelFiles
from skipln.data.text.subwords import FILES, SubwordVocabulary
from skipln.data.text.vocabulary import Vocabulary
from skipln.errors import UserError
from skipln.system.files import atomic_write, locked, sha256
from skipln.system.strict_json import read_json

MAX_UNKNOWN = 0.5  # fraction of unknown parts above which held-out text is refused
# Raised when the format of prepared folders changes; folders of an older one are then not used. Format 2 scores
# references as they were given, learns from every line and keeps U+2581 in encoded text. Text without such characters
# and lines is the same in both, and keeps the fingerprint under which it was published.
FORMAT = 2
_CHANGED = re.compile("[\u200b\u2060\ufeff\u2581\u2585]")
_LONG = 4192  # bytes of a line
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextData:
    """A prepared parallel corpus: a joint vocabulary, three splits of token ids, and the held-out text itself."""

    folder: Path
    fingerprint: str  # hexadecimal SHA-256 of text and options; equal if and only if the data are equal
    languages: tuple[str, str]  # source, target
    # split -> {"pairs", "long"}: long pairs are left out of train and cut in the other splits
    counts: dict[str, dict[str, int]] = field(repr=False)
    vocabulary: Vocabulary | SubwordVocabulary = field(repr=False)
    train: ParallelCorpus = field(repr=False)
    valid: ParallelCorpus = field(repr=False)
    test: ParallelCorpus = field(repr=False)

    @classmethod
    def prepare(
        cls,
        folder: Path,
        *,
        source: str = "en",
        target: str = "de",
        train: str = "train",
        valid: str = "valid",
        test: str = "test",
        vocab_size: int,
        max_length: int,
        cache: Path,
        encoding: str = "sentencepiece",
        vocabulary: Path | None = None,
    ) -> "TextData":
        """Return the data of the parallel files in `folder`, built under `<cache>/text/` unless they are there.

        Learns a joint byte-pair vocabulary of `vocab_size` on train. With encoding "bpe" or "moses_bpe" the text has
        been encoded by `preparation` with `vocab_size` merges, and its `<split>.raw` files are the references. Pairs
        with a side over `max_length` tokens are left out of train; in valid and test their tokens are cut, but never
        the references. vocabulary: a sentencepiece model of that size to encode with, instead of learning one.
        Processes take turns, and folders are complete or absent. Raises `UserError` for text that
        `ParallelFiles.check` refuses, and like `Vocabulary.train` or `SubwordVocabulary.load`.
        """
        files = ParallelFiles(folder, source, target, train, valid, test)
        files.check_present()
        memory = cache / "text" / "sha256.json"
        fingerprint = fingerprint_of(files, memory, vocab_size, max_length, encoding, vocabulary)
        prepared = cache / "text" / fingerprint[:16]
        with locked(cache / "text" / f".{fingerprint[:16]}.lock"):
            try:
                return cls.load(prepared)._of(fingerprint, (source, target))
            except UserError as error:  # missing or damaged
                if prepared.exists():
                    log.warning("%s; the text is encoded again", error)
                with atomic_folder(prepared) as work:
                    _build(work, files, fingerprint, vocab_size, max_length, encoding, vocabulary)
            return cls.load(prepared)._of(fingerprint, (source, target))

    def _of(self, fingerprint: str, languages: tuple[str, str]) -> "TextData":
        if (self.fingerprint, self.languages) != (fingerprint, languages):
            raise UserError(f"{self.folder}: contains other data than its name says")
        return self

    @classmethod
    def load(cls, folder: Path) -> "TextData":
        """Open a folder that `prepare` built. Raises `UserError` unless all files are unchanged."""
        check_sums(folder)
        try:
            about = read_json(folder / "about.json")
            languages, fingerprint, counts = tuple(about["languages"]), about["fingerprint"], about["counts"]
            encoding, merges = about.get("encoding", "sentencepiece"), about.get("merges", 0)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{folder}: not a prepared corpus; remove it and prepare the data again") from error
        splits = {
            split: ParallelCorpus(*(TokenCorpus(folder / f"{split}.{language}") for language in languages))
            for split in SPLITS
        }
        vocabulary: Vocabulary | SubwordVocabulary
        if encoding == "sentencepiece":
            vocabulary = Vocabulary.load(folder / "vocabulary.model")
        else:
            vocabulary = SubwordVocabulary.load(folder, encoding, merges, languages[1])
        return cls(folder, fingerprint, languages, counts, vocabulary, **splits)

    def sources(self, split: str) -> list[str]:
        """Return the source lines of a split in the order of its corpus; for train, those of the pairs kept."""
        return self._lines(split, 0)

    def references(self, split: str) -> list[str]:
        """Return the target lines of a split, uncut and as they were given; for train, what its tokens spell."""
        return self._lines(split, 1)

    def _lines(self, split: str, side: int) -> list[str]:
        if split == "train":  # its text is not stored, since the vocabulary is lossless
            corpus = (self.train.source, self.train.target)[side]
            return [self.vocabulary.decode(ids.tolist()) for ids in corpus]
        return list(read_lines(self.folder / f"{split}.{self.languages[side]}", as_given))


def fingerprint_of(
    files: ParallelFiles,
    memory: Path,
    vocab_size: int,
    max_length: int,
    encoding: str,
    vocabulary: Path | None = None,
) -> str:
    paths = [path for split in SPLITS for path in files.paths(split)]
    how = {"sentencepiece": sentencepiece.__version__}  # another version may learn other merges
    if encoding != "sentencepiece":
        how = {"encoding": encoding}
        paths += [path for split in SPLITS[1:] for path in _scored(files, encoding).paths(split)]
        paths += [files.folder / name for name in FILES]
    if vocabulary:
        how |= {"vocabulary": sha256(vocabulary)}
    if missing := [path for path in paths if not path.is_file()]:
        raise UserError(f"{missing[0]}: missing; data.encoding={encoding} needs a folder that a prepare script made")
    options = {
        "format": FORMAT if any(remembered(_changed, path, memory.with_name("changed.json")) for path in paths) else 1,
        **how,
        "languages": [files.source, files.target],
        "vocab_size": vocab_size,
        "max_length": max_length,
        "files": [remembered_sha256(path, memory) for path in paths],
    }
    return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()


def _changed(path: Path) -> str:
    """Return a non-empty string if formats 1 and 2 treat the file differently, else ""."""
    with path.open("rb") as file:
        for line in file:
            if len(line) > _LONG or (not line.isascii() and _CHANGED.search(line.decode("utf-8", "replace"))):
                return "format 2"
    return ""


def held_out(files: ParallelFiles) -> ParallelFiles:
    """Return the text to score against: as it was given, and from before the encoding where it came encoded."""
    raw = replace(files, valid=f"{files.valid}.raw", test=f"{files.test}.raw", form=as_given)
    return raw if all(path.is_file() for path in raw.paths("test")) else replace(files, form=as_given)


def _scored(files: ParallelFiles, encoding: str) -> ParallelFiles:
    if encoding == "sentencepiece":
        return replace(files, form=as_given)
    return replace(files, valid=f"{files.valid}.raw", test=f"{files.test}.raw", form=as_given)


def _build(
    work: Path,
    files: ParallelFiles,
    fingerprint: str,
    vocab_size: int,
    max_length: int,
    encoding: str,
    given: Path | None,
) -> None:
    if encoding != "sentencepiece":
        files = replace(files, form=as_given)  # its words must be read exactly as they were written
    totals = files.check()
    languages = (files.source, files.target)
    about: dict = {"fingerprint": fingerprint, "languages": languages}
    vocabulary: Vocabulary | SubwordVocabulary
    if given:
        vocabulary = Vocabulary.load(given)
        if len(vocabulary) != vocab_size:
            raise UserError(f"{given} has {len(vocabulary)} pieces: give data.vocabulary={len(vocabulary)}")
        shutil.copyfile(given, work / "vocabulary.model")
    elif encoding == "sentencepiece":
        vocabulary = Vocabulary.train(files.paths("train"), vocab_size, work / "vocabulary.model")
    else:
        vocabulary = SubwordVocabulary.load(files.folder, encoding, vocab_size, files.target)
        if (files.folder / SUMS).exists():
            _check_unchanged(files.folder)
        about |= {"encoding": encoding, "merges": vocab_size}
        for name in FILES:
            shutil.copyfile(files.folder / name, work / name)
    counts = {}
    for split in SPLITS:
        pairs = tqdm(files.pairs(split), desc=f"encoding {split}", total=totals[split], unit="pair", disable=None)
        out = work / f"{split}.{files.source}", work / f"{split}.{files.target}"
        counts[split] = binarise(pairs, vocabulary, *out, max_length, drop_long=split == "train")
        if isinstance(vocabulary, SubwordVocabulary):
            _check_known(vocabulary, files, split)
        if long := counts[split]["long"]:
            what = "left out" if split == "train" else "cut in the tokens (references stay whole)"
            log.warning("%s: %d of %d pairs have over %d tokens: %s", split, long, totals[split], max_length, what)
        if split != "train":
            _copy_lines(_scored(files, encoding), split, out, totals[split])
    if not counts["train"]["pairs"]:
        raise UserError(f"no training pair has at most data.max_length={max_length} tokens; raise it")
    with atomic_write(work / "about.json", "w") as file:
        json.dump(about | {"counts": counts}, file, indent=2)


def _check_unchanged(folder: Path) -> None:
    try:
        check_sums(folder)
    except UserError as error:
        raise UserError(f"{error}; prepare the data again") from error


def _copy_lines(files: ParallelFiles, split: str, out: tuple[Path, Path], total: int) -> None:
    """Copy a split's lines, which correspond one to one to the encoded ones."""
    for side, path in enumerate(out):
        lines = 0
        with atomic_write(path) as file:
            for pair in files.pairs(split):
                file.write(f"{pair[side]}\n".encode())
                lines += 1
        if lines != total:
            name = files.paths(split)[side]
            raise UserError(f"{name} has {lines:,} lines, but its encoded form has {total:,}; prepare the data again")


def _check_known(vocabulary: SubwordVocabulary, files: ParallelFiles, split: str) -> None:
    """Refuse unknown parts: train must have none, since the vocabulary is its own, and held-out text only some."""
    share = vocabulary.unknown / max(vocabulary.encoded, 1)
    if share > (0 if split == "train" else MAX_UNKNOWN):
        raise UserError(
            f"{files.paths(split)[0].with_suffix('')}: {share:.1%} of its parts are not in vocabulary.txt: it was "
            "encoded with codes of another vocabulary; prepare the data again"
        )
    vocabulary.unknown = vocabulary.encoded = 0
