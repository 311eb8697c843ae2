"""The steps of our preparation with sacremoses and subword-nmt, combined as their users do, one process per side."""

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path


def prepare(sides: dict[str, Path], folder: Path, merges: int, max_tokens: int, max_ratio: float) -> dict[str, Path]:
    """Normalise, tokenise, learn and apply a joint BPE, clean. sides: language -> raw text; return the cleaned text."""
    from subword_nmt.learn_bpe import learn_bpe

    with ProcessPoolExecutor(len(sides)) as pool:
        tokens = list(pool.map(_tokenise, sides, sides.values(), [folder] * len(sides)))
        codes = folder / "codes"
        with codes.open("w", encoding="utf-8") as file:
            learn_bpe(_lines(tokens), file, merges)
        parts = list(pool.map(_segment, tokens, [codes] * len(sides)))
    made = {language: folder / f"train.{language}" for language in sides}
    files = [path.open("w", encoding="utf-8") for path in made.values()]
    for pair in zip(*map(_lines, ([path] for path in parts)), strict=True):
        shorter, longer = sorted(len(line.split()) for line in pair)
        if shorter >= 1 and longer <= min(max_tokens, max_ratio * shorter):
            for file, line in zip(files, pair, strict=True):
                file.write(line)
    for file in files:
        file.close()
    return made


def _lines(paths: Iterable[Path]) -> Iterable[str]:
    for path in paths:
        with path.open(encoding="utf-8") as file:
            yield from file


def _tokenise(language: str, path: Path, folder: Path) -> Path:
    from sacremoses import MosesPunctNormalizer, MosesTokenizer

    normalise, tokenise = MosesPunctNormalizer(language).normalize, MosesTokenizer(language).tokenize
    made = folder / f"tokens.{language}"
    with made.open("w", encoding="utf-8") as file:
        for line in _lines([path]):
            file.write(f"{tokenise(normalise(line), aggressive_dash_splits=True, return_str=True)}\n")
    return made


def _segment(path: Path, codes: Path) -> Path:
    from subword_nmt.apply_bpe import BPE

    with codes.open(encoding="utf-8") as file:
        bpe = BPE(file)
    made = path.with_name(f"parts{path.suffix}")
    with made.open("w", encoding="utf-8") as file:
        file.writelines(map(bpe.process_line, _lines([path])))
    return made
