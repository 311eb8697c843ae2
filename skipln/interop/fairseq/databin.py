"""Our prepared text as fairseq's data-bins (dataset-impl mmap), and back.

`<split>.<src>-<tgt>.<lang>.bin` holds the ids of all sentences one after another, each followed by </s>. `.idx` beside
it holds a header (magic, version 1, code of the ids' type, number of sentences), the lengths as int32 and the byte
offsets as int64.
"""

import json
import shutil
from pathlib import Path

import numpy as np

from skipln.data.folders import SUMS, atomic_folder, check_sums
from skipln.data.text.corpus import ParallelCorpus, TokenCorpus, TokenWriter
from skipln.data.text.dataset import TextData
from skipln.data.text.parallel import SPLITS
from skipln.data.text.vocabulary import Vocabulary
from skipln.errors import UserError
from skipln.interop.fairseq.symbols import (
    FAIRSEQ_EOS,
    check_dictionary,
    check_same,
    fairseq_ids,
    our_ids,
    read_dictionary,
    write_dictionary,
)
from skipln.system.files import sha256
from skipln.system.strict_json import read_json

MAGIC = b"MMIDIDX\x00\x00"
TYPES = {1: np.uint8, 2: np.int8, 3: np.int16, 4: np.int32, 5: np.int64, 8: np.uint16}
UINT16, INT32 = 8, 4
BLOCK = 10_000  # sentences written at a time


def write_databin(data: TextData, folder: Path) -> Path:
    """Write a prepared text as a data-bin with its vocabulary.model beside the dictionaries, and return `folder`.

    An existing folder with this very text is left as it is. Raises UserError if an existing folder holds anything else.
    """
    if folder.exists():
        if _about(folder).get("fingerprint") != data.fingerprint:
            raise UserError(f"{folder}: exists already with other content: give another folder or remove it")
        return folder
    source, target = data.languages
    with atomic_folder(folder) as work:
        for language in data.languages:
            write_dictionary(work / f"dict.{language}.txt", data.vocabulary)
        if (model := data.folder / "vocabulary.model").exists():  # text that arrived encoded has none
            shutil.copyfile(model, work / "vocabulary.model")
        for split in SPLITS:
            corpus: ParallelCorpus = getattr(data, split)
            for language, side in ((source, corpus.source), (target, corpus.target)):
                _write(work / f"{split}.{source}-{target}.{language}", side, len(data.vocabulary))
        about = {"fingerprint": data.fingerprint, "languages": data.languages}
        (work / "about.json").write_text(json.dumps(about, indent=1), "utf-8")
    return folder


def read_databin(folder: Path, vocabulary: Path, out: Path) -> TextData:
    """Convert a data-bin of two languages to a prepared text in `out`, which `TextData.load(out)` then opens.

    vocabulary: the sentencepiece model whose pieces the dictionaries list. References are the ids decoded by it.
    Raises UserError for a dictionary of another vocabulary, and for files that are missing or damaged.
    """
    if out.exists():
        raise UserError(f"{out}: exists already: give another folder or remove it")
    languages = _languages(folder)
    model = Vocabulary.load(vocabulary)
    dictionaries = [folder / f"dict.{language}.txt" for language in languages]
    check_same(read_dictionary(dictionaries[0]), read_dictionary(dictionaries[1]), folder)
    check_dictionary(dictionaries[0], model)
    pair = "-".join(languages)
    with atomic_folder(out) as work:
        shutil.copyfile(vocabulary, work / "vocabulary.model")
        counts, hashes = {}, []
        for split in SPLITS:
            for language in languages:
                name = folder / f"{split}.{pair}.{language}"
                count = _read(name, work / f"{split}.{language}", model, text=split != "train")
                hashes.append(sha256(name.with_name(f"{name.name}.bin")))
            counts[split] = {"pairs": count, "long": 0}
        fingerprint = sha256(vocabulary)[:32] + "".join(one[:8] for one in hashes)
        about = {"fingerprint": fingerprint, "languages": languages, "counts": counts}
        (work / "about.json").write_text(json.dumps(about, indent=1), "utf-8")
        if (folder / SUMS).exists():  # we made it: fairseq's own have no checksums
            check_sums(folder)
    return TextData.load(out)


def _write(path: Path, corpus: TokenCorpus, size: int) -> None:
    code = UINT16 if size < 65_500 else INT32  # fairseq's own bound
    ids, kind = fairseq_ids(size).astype(TYPES[code]), np.dtype(TYPES[code])
    with path.with_name(f"{path.name}.bin").open("wb") as file:
        for start in range(0, len(corpus), BLOCK):
            stop = min(start + BLOCK, len(corpus))
            ends = np.asarray(corpus.offsets[start + 1 : stop + 1]) - corpus.offsets[start]
            tokens = ids[corpus.tokens[corpus.offsets[start] : corpus.offsets[stop]]]
            file.write(np.insert(tokens, ends, FAIRSEQ_EOS).tobytes())
    lengths = corpus.lengths + 1
    with path.with_name(f"{path.name}.idx").open("wb") as file:
        file.write(MAGIC + np.uint64(1).tobytes() + np.uint8(code).tobytes() + np.uint64(len(lengths)).tobytes())
        file.write(lengths.astype(np.int32).tobytes())
        file.write(((np.cumsum(lengths, dtype=np.int64) - lengths) * kind.itemsize).tobytes())


def _read(path: Path, out: Path, vocabulary: Vocabulary, text: bool) -> int:
    """Convert one side of a split to a token corpus, and to lines if `text`. Return the number of sentences."""
    tokens, lengths, starts = _open(path)
    mapping = our_ids(len(vocabulary))
    lines = []
    with TokenWriter(out, len(vocabulary)) as writer:
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
            sentence = tokens[start : start + length]
            if sentence.size and int(sentence.max()) >= len(vocabulary):
                raise UserError(f"{path}.bin: id {int(sentence.max())} is not in the dictionary of {len(vocabulary)}")
            ids = mapping[sentence[sentence != FAIRSEQ_EOS].astype(np.int64)].tolist()
            writer.add(ids)
            if text:
                lines.append(f"{vocabulary.decode(ids)}\n")
    if text:
        out.write_text("".join(lines), "utf-8")
    return len(lengths)


def _open(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ids of all sentences, their lengths and their starts in ids, from `<path>.bin` and `.idx`."""
    index_path, tokens_path = (path.with_name(f"{path.name}.{suffix}") for suffix in ("idx", "bin"))
    try:
        index = index_path.read_bytes()
        size = tokens_path.stat().st_size
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror}); is this a data-bin?") from error
    header, version = len(MAGIC) + 8 + 1 + 8, MAGIC + np.uint64(1).tobytes()
    if not index.startswith(version) or len(index) < header or index[len(version)] not in TYPES:
        raise UserError(f"{index_path}: not in fairseq's mmap format: preprocess with --dataset-impl mmap")
    kind = np.dtype(TYPES[index[len(version)]])
    count = int(np.frombuffer(index, np.uint64, 1, header - 8)[0])
    if len(index) != header + 12 * count:
        raise UserError(f"{index_path}: {len(index)} bytes for {count} sentences: damaged; write the data-bin again")
    lengths = np.frombuffer(index, np.int32, count, header)
    starts = np.frombuffer(index, np.int64, count, header + 4 * count)
    ends = np.cumsum(lengths, dtype=np.int64)
    if size != int(ends[-1] if count else 0) * kind.itemsize or np.any(starts != (ends - lengths) * kind.itemsize):
        raise UserError(f"{tokens_path}: {size} bytes do not fit its index: damaged; write the data-bin again")
    return (np.memmap(tokens_path, kind, mode="r") if size else np.zeros(0, kind)), lengths, ends - lengths


def _languages(folder: Path) -> tuple[str, str]:
    for path in sorted(folder.glob("train.*-*.*.idx")):
        source, _, target = path.name.split(".")[1].partition("-")
        return source, target
    raise UserError(f"{folder}: not a data-bin: it should hold train.SOURCE-TARGET.SOURCE.idx and so on")


def _about(folder: Path) -> dict:
    try:
        found = read_json(folder / "about.json")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
