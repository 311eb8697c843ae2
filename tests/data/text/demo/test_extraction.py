import json
from pathlib import Path

import polib
import pytest

from skipln.data.text.demo import extraction
from skipln.data.text.demo.extraction import messages
from skipln.errors import UserError
from tests.data.text.conftest import po, write_wheel

PO = """
msgid ""
msgstr "Content-Type: text/plain; charset=UTF-8\\n"

msgid "a good line"
msgstr "eine gute Zeile"

#, fuzzy
msgid "a guess"
msgstr "geraten"

msgid "one file"
msgid_plural "%d files"
msgstr[0] "eine Datei"
msgstr[1] "%d Dateien"

#~ msgid "old"
#~ msgstr "alt"
"""


def test_fuzzy_and_obsolete_gettext_entries_are_left_out(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, "a", {"x/locale/de/LC_MESSAGES/d.po": PO})
    assert list(messages(wheel)) == [
        ("a good line", "eine gute Zeile"),
        ("one file", "eine Datei"),
        ("%d files", "%d Dateien"),
    ]


def test_a_compiled_catalog_is_read_only_without_its_source(tmp_path: Path) -> None:
    catalog = polib.pofile(po([("from mo", "aus mo")]))
    members: dict[str, bytes | str] = {
        "x/de_DE/LC_MESSAGES/one.mo": catalog.to_binary(),
        "x/de/LC_MESSAGES/two.mo": catalog.to_binary(),
        "x/de/LC_MESSAGES/two.po": po([("from po", "aus po")]),
    }
    assert list(messages(write_wheel(tmp_path, "a", members))) == [("from po", "aus po"), ("from mo", "aus mo")]


def test_other_languages_and_german_variants_are_left_out(tmp_path: Path) -> None:
    places = ["fr/LC_MESSAGES/a.po", "de_AT/LC_MESSAGES/a.po", "de@formal/LC_MESSAGES/a.po", "de/a.po"]
    assert list(messages(write_wheel(tmp_path, "a", {place: po([("a", "b")]) for place in places}))) == []


def test_json_trees_are_joined_by_key(tmp_path: Path) -> None:
    english = {"b": {"x": "in both", "n": 3}, "a": "first", "only": "English", "odd": {"k": "tree"}}
    german = {"b": {"x": "in beiden", "n": 4}, "a": "zuerst", "nur": "Deutsch", "odd": "text"}
    members = {"c/translations/en.json": json.dumps(english), "c/translations/de.json": json.dumps(german)}
    assert list(messages(write_wheel(tmp_path, "a", members | {"d/translations/de.json": "{}"}))) == [
        ("first", "zuerst"),
        ("in both", "in beiden"),
    ]


@pytest.mark.parametrize(("limit", "value"), [("MAX_MEMBER", 50), ("MAX_TOTAL", 50), ("MAX_RATIO", 0)])
def test_zip_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    wheel = write_wheel(tmp_path, "a", {"x/de/LC_MESSAGES/d.po": PO})
    monkeypatch.setattr(extraction, limit, value)
    with pytest.raises(UserError, match="unpacks to"):
        list(messages(wheel))


def test_a_file_that_is_not_a_zip_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(b"no zip")
    with pytest.raises(UserError, match=r"a\.whl: cannot be read"):
        list(messages(tmp_path / "a.whl"))
