import pytest
from hypothesis import given
from hypothesis import strategies as st

from skipln.data.text.demo.cleaning import clean, is_pair, words
from tests.data.text.conftest import SENTENCES


@pytest.mark.parametrize(
    ("message", "cleaned"),
    [
        ("Plain sentences, with commas, stay.", "Plain sentences, with commas, stay."),
        ("Read the <b>manual</b><br/>before <i>use</i>", "Read the manual before use"),
        ('Open <a href="%(url)s" target="_blank">the page</a> now', "Open the page now"),
        ("See [the manual]({manual_url}) first", "See the manual first"),
        ("Never **ever** use *this* or `that`", "Never ever use this or that"),
        ("Count *.txt and *.jpg files", "Count *.txt and *.jpg files"),
        ("# Heading\n\n- first item\n- second item", "Heading first item second item"),
        ("Use ``make`` or :ref:`the tool` or `a page <somewhere>`_", "Use make or the tool or a page"),
        ("See [wiki:Page the page] in '''bold''' and ''italics''", "See the page in bold and italics"),
        (
            "_File and &Edit but snake_case and Q&A and this & that",
            "File and Edit but snake_case and Q&A and this & that",
        ),
        ("They read _and_ write", "They read and write"),
        ("%(name)s has %d of {count} and ${more} {{ x.y }} %1$s %1", "{} has {} of {} and {} {} {} {}"),
        ("{$schema.title$} and {%(num)s} and <name>", "{} and {} and {}"),
        ("100% sure, 50 % off, 20%% more, %sGiB", "100% sure, 50 % off, 20% more, {}GiB"),
        ("Go to https://example.org/a?b=c, or write to a.b@example.org.", "Go to {}, or write to {}."),
        ("„Quoted“ – ‚so‘ … done", "\"Quoted\" - 'so' ... done"),
        ("Tom &amp; Jerry&nbsp;&quot;run&quot;", 'Tom & Jerry "run"'),
        ("Zu\u00adsammen und U\u0308ber\u200bsicht", "Zusammen und Übersicht"),
        ("two\n   lines\ttabbed", "two lines tabbed"),
    ],
)
def test_clean(message: str, cleaned: str) -> None:
    assert clean(message) == cleaned


@given(st.text(alphabet=st.sampled_from("ab _*`&<>[](){}%s'#\\n$./:@|")))
def test_clean_gives_one_line_for_any_message(message: str) -> None:
    assert "\n" not in clean(message)
    assert clean(message) == clean(message).strip()


@pytest.mark.parametrize(("source", "target"), SENTENCES)
def test_ordinary_pairs_are_kept(source: str, target: str) -> None:
    assert (clean(source), clean(target)) == (source, target)
    assert is_pair(source, target)


@pytest.mark.parametrize(
    ("why", "source", "target"),
    [
        ("too short", "Close it", "Mach das zu"),
        ("numbers are no words", "Step 1 2 3", "Schritt 1 2 3"),
        ("too long", "the dog " * 41, "der Hund " * 41),
        ("placeholders differ", "The file {} was found.", "Die Datei wurde gefunden."),
        ("too many placeholders", "The {} of {} is {} by {} and so it goes on", "Das {} von {} ist {} durch {} und so"),
        ("mostly placeholders", "The {} {} is", "Das {} {} ist"),
        (
            "far longer",
            "The key is here",
            "Der Schlüssel liegt genau hier vor dir auf dem Tisch, gleich neben der Lampe",
        ),
        ("few letters", "Use 192.168.0.1/24 or 10.0.0.0/8", "Nimm 192.168.0.1/24 oder 10.0.0.0/8"),
        ("plural forms left", "You have {n, plural, one {a file}}", "Du hast {n, plural, one {eine Datei}}"),
        ("broken markup", "See [the manual]( of use", "Lies [das Handbuch]( zur Nutzung"),
        ("not translated", "Wireless Access Point Name", "Wireless Access Point-Name"),
        ("target is English", "The lamp is in the hall", "Where is the lamp and the door"),
        ("source is German", "Wo ist das Haus und der Hund", "Wo liegt das Haus mit dem Hund"),
        (
            "no German stop word",
            "The cat of the neighbour sleeps on our roof",
            "Katze Nachbar schläft gern oben hoch Dach Haus",
        ),
        ("another script", "The word is here now", "Das Wort ist слово hier"),
    ],
)
def test_bad_pairs_are_dropped(why: str, source: str, target: str) -> None:
    assert not is_pair(source, target), why


def test_words_ignore_case_and_punctuation() -> None:
    assert words('The "Straße" of {} - 2nd!') == ["the", "strasse", "of", "2nd"]
