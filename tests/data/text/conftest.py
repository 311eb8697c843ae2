"""Small texts written for these tests, and wheels that contain them."""

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.data.text.server import Server

SENTENCES = [
    ("The red kettle whistles in the kitchen.", "Der rote Kessel pfeift in der Küche."),
    ("Please water the plants on the balcony.", "Bitte gieß die Pflanzen auf dem Balkon."),
    ("A tired fox sleeps under the old bridge.", "Ein müder Fuchs schläft unter der alten Brücke."),
    ("Your ticket was not accepted by the machine.", "Die Fahrkarte wurde vom Automaten nicht angenommen."),
    ("Snow covered every roof of the village.", "Schnee bedeckte jedes Dach des Dorfes."),
    ("The baker opens his shop before sunrise.", "Der Bäcker öffnet sein Geschäft vor Sonnenaufgang."),
    ("Seven boats left the harbour at noon.", "Sieben Boote verließen mittags den Hafen."),
    ("This letter should be read by nobody else.", "Dieser Brief sollte von niemandem sonst gelesen werden."),
    ("My grandmother collects stamps from Chile.", "Meine Großmutter sammelt Briefmarken aus Chile."),
    ("Which road leads to the station?", "Welche Straße führt zum Bahnhof?"),
    ("He repairs violins with great patience.", "Er repariert Geigen mit großer Geduld."),
    ("Our train is late because of the storm.", "Unser Zug ist wegen des Sturms zu spät."),
]


def write_wheel(folder: Path, name: str, members: Mapping[str, bytes | str]) -> Path:
    """Write a wheel `<name>-1.0` that pip accepts."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    metadata = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nLicense-Expression: MIT\n\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in {**metadata, **members}.items():
            archive.writestr(zipfile.ZipInfo(member), content)  # a fixed date: the same bytes every time
    return path


def write_lock(path: Path, *wheels: Path) -> Path:
    pinned = (f"{w.name.split('-')[0]}==1.0 --hash=sha256:{hashlib.sha256(w.read_bytes()).hexdigest()}" for w in wheels)
    path.write_text("# a comment\n" + "\n".join(pinned) + "\n")
    return path


def po(pairs: list[tuple[str, str]]) -> str:
    entries = (f"msgid {json.dumps(e)}\nmsgstr {json.dumps(g, ensure_ascii=False)}\n" for e, g in pairs)
    return 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n' + "\n".join(entries)


class Registry:
    """A folder that pip uses as its only registry, with two fake wheels, and their lock file."""

    def __init__(self, root: Path) -> None:
        self.folder, self.cache = root / "registry", root / "cache"
        gettext = {"apple/locale/de/LC_MESSAGES/apple.po": po(SENTENCES[:6])}
        keyed = [{str(i): pair[side] for i, pair in enumerate(SENTENCES[6:])} for side in (0, 1)]
        trees = {
            f"pear/translations/{name}.json": json.dumps({"a": tree})
            for name, tree in zip(("en", "de"), keyed, strict=True)
        }
        self.wheels = [write_wheel(self.folder, "apple", gettext), write_wheel(self.folder, "pear", trees)]
        self.lock = write_lock(root / "test.lock", *self.wheels)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    made = Registry(tmp_path)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(made.folder))
    return made


@pytest.fixture
def parallel_text(tmp_path: Path) -> Path:
    """A folder with {train,valid,test}.{en,de}: 8, 2 and 2 pairs."""
    folder = tmp_path / "text"
    folder.mkdir()
    for split, chosen in {"train": SENTENCES[:8], "valid": SENTENCES[8:10], "test": SENTENCES[10:]}.items():
        for side, language in enumerate(("en", "de")):
            (folder / f"{split}.{language}").write_text("".join(f"{pair[side]}\n" for pair in chosen), "utf-8")
    return folder


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.stop()


def write_tgz(members: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, member in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(member)
            archive.addfile(info, io.BytesIO(member))
    return content.getvalue()


@pytest.fixture
def tgz() -> bytes:
    return write_tgz({"training/a.en": b"one\ntwo\n" * 500, "training/a.de": b"eins\nzwei\n" * 500, "../out": b"no"})
