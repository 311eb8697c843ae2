"""Read raw message pairs from a wheel's translation catalogs in place: nothing is unpacked, imported or executed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo

import polib

from skipln.errors import UserError

MAX_MEMBER, MAX_TOTAL, MAX_RATIO = 4 << 20, 64 << 20, 200  # bytes, bytes, uncompressed over compressed
_GETTEXT = re.compile(r"(?:^|/)de(?:_DE)?/LC_MESSAGES/[^/]+\.(?:po|mo)$")  # neither de_AT nor the formal variant
_JSON = re.compile(r"(?:^|/)translations/de\.json$")


def messages(wheel: Path) -> Iterator[tuple[str, str]]:
    """Stream the (English, German) messages of every German catalog in a wheel, in the order of the members' names.

    gettext: reads `.po`, or `.mo` where there is no `.po`, without fuzzy, obsolete and untranslated entries; a plural
    entry gives two pairs. JSON: joins `translations/{en,de}.json` trees (Home Assistant) by key. Raises `UserError` for
    a wheel that cannot be read.
    """
    try:
        with ZipFile(wheel) as archive:
            reader = _Reader(archive)
            names = sorted(reader.members)
            for name in names:
                if _GETTEXT.search(name) and (name.endswith(".po") or f"{name[:-3]}.po" not in reader.members):
                    yield from _gettext(reader.read(name), binary=name.endswith(".mo"))
                elif _JSON.search(name) and (english := f"{name[: -len('de.json')]}en.json") in reader.members:
                    yield from _joined(json.loads(reader.read(english)), json.loads(reader.read(name)))
    except (BadZipFile, OSError, ValueError, EOFError, RecursionError) as error:
        raise UserError(f"{wheel}: cannot be read as catalogs ({error}); remove the file and start again") from error


class _Reader:
    """Bounded reads of a zip archive: neither a member nor all together may unpack to more than is sensible."""

    def __init__(self, archive: ZipFile) -> None:
        self.archive, self.left = archive, MAX_TOTAL
        self.members: dict[str, ZipInfo] = {info.filename: info for info in archive.infolist() if not info.is_dir()}

    def read(self, name: str) -> bytes:
        info = self.members[name]
        if info.file_size > min(MAX_MEMBER, self.left, MAX_RATIO * info.compress_size):
            raise ValueError(f"{name} unpacks to {info.file_size} bytes")
        self.left -= info.file_size
        return self.archive.read(info)  # reads at most file_size bytes and verifies their checksum


def _gettext(content: bytes, binary: bool) -> Iterator[tuple[str, str]]:
    # mofile takes bytes, although its stubs do not say so.
    for entry in polib.mofile(content) if binary else polib.pofile(content.decode("utf-8")):  # type: ignore[call-overload]
        if entry.obsolete or "fuzzy" in getattr(entry, "flags", ()):
            continue
        if entry.msgid_plural:
            plurals = {int(number): text for number, text in entry.msgstr_plural.items()}
            yield entry.msgid, plurals.get(0, "")
            yield entry.msgid_plural, plurals.get(1, "")
        else:
            yield entry.msgid, entry.msgstr


def _joined(english: object, german: object) -> Iterator[tuple[str, str]]:
    if isinstance(english, str) and isinstance(german, str):
        yield english, german
    elif isinstance(english, dict) and isinstance(german, dict):
        for key in sorted(english.keys() & german.keys()):
            yield from _joined(english[key], german[key])
