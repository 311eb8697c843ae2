"""Turn catalog messages into plain sentences: remove markup, write placeholders as `{}`, and filter pairs.

The rules are made for user-interface messages (gettext, Home Assistant); ordinary sentences pass unchanged.
"""

import html
import re
import unicodedata

from skipln.data.text.lines import normalise

MIN_WORDS, MAX_WORDS = 3, 80  # words between spaces; the minimum counts only words with a letter
MAX_PLACEHOLDERS = 3
MAX_LENGTH_RATIO = 2.5  # characters of the longer side over those of the shorter
MIN_LETTERS = 0.75  # share of letters among the characters that are neither spaces nor placeholders

# The order matters: a link's address or a tag's attribute may contain a placeholder.
_MARKUP = [
    (re.compile(r"!?\[([^\[\]]+)\]\(\s*[^()\s]*\s*\)"), r"\1"),  # Markdown [text](address)
    (re.compile(r"\[(?:wiki|https?|ticket):\S+ ([^\[\]]+)\]"), r"\1"),  # Trac [wiki:Page text]
    (re.compile(r":[a-z]+:`([^`]*)`"), r"\1"),  # reST :role:`text`
    (re.compile(r"`([^`<]+)\s*<[^>`]*>`_{1,2}"), r"\1"),  # reST `text <address>`_
    (re.compile(r"</?(?:br|p|div|ul|ol|li|h[1-6]|tr|td|table|dl|dt|dd|hr)\b[^<>]*>", re.I), " "),
    (re.compile(r"</?(?:a|b|i|u|em|strong|span|code|pre|kbd|tt|small|sub|sup|label|abbr|img|q)\b[^<>]*>", re.I), ""),
    (re.compile(r"(?m)^\s*(?:#{1,6}|[-*+•]|\d+\.|>)\s+"), ""),  # headings, list items and quotations
    (re.compile(r"'''?(.+?)'''?"), r"\1"),  # Trac '''bold''' and ''italic''
    (re.compile(r"(?<![\w*/])(\*{1,3})([\w\"'„({`[<](?:[^*]*[^\s*])?)\1(?![\w*])"), r"\2"),  # *emphasis*, not *.txt
    (re.compile(r"(?<!\S)(_{1,2})([^\s_](?:[^_]*[^\s_])?)\1(?!\w)"), r"\2"),  # _emphasis_
    (re.compile(r"`+"), ""),  # `code` and ``literal``
    (re.compile(r"(?<!\S)[_&](?=[^\W\d_])"), ""),  # menu accelerators _File and &File
]
_PLACEHOLDERS = [
    re.compile(r"https?://\S*[^\s.,;:!?)\]'\"»“”]"),
    re.compile(r"\bwww\.\S*[^\s.,;:!?)\]'\"»“”]"),
    re.compile(r"\b[\w.+-]+@[\w-]+\.[\w.-]*\w"),
    re.compile(r"%\([^()]*\)[#0 +-]*\d*(?:\.\d+)?[a-zA-Z]"),  # %(name)s
    re.compile(r"%(?:\d+\$)?[#0+-]*\d*(?:\.\d+)?[sdifgrxu](?![a-z])"),  # %s, %1$s
    re.compile(r"%\d\b"),  # %1
    re.compile(r"<[^<>\s][^<>]*>"),  # <name>: any tag that the rules above do not know
    re.compile(r"\$?\{+[^{}]*\}+"),  # {name}, {{ name }}, ${name}
]
# Catalogs mix typographic and typewriter forms at random. One form for all lets BLEU measure words.
_PUNCTUATION = str.maketrans(
    {
        **dict.fromkeys("„“”«»‟", '"'),
        **dict.fromkeys("‚‘’‛´", "'"),
        **dict.fromkeys("–—\u2011", "-"),
        "…": "...",
        "\u00ad": "",
    }
)
_LEFT_OVER = re.compile(r"[{}|\\]|\*\*|\]\(|\[\[|==|</")  # nested plural forms, broken markup, code
_WORD = re.compile(r"\w+")

# Words that are frequent in one language and unknown in the other ("die", "in", "was", "will", "so" are in both).
_ENGLISH_WORDS = """
the of and to is for not are with be this that you your can or cannot from by has have when which if it should please at
as been does do could because were there their its only used into
"""
_GERMAN_WORDS = """
der das und ist nicht für mit ein eine einen einem einer den dem des zu zum zur von vom werden wird wurde wurden kann
können sie du auf im oder wenn bei durch nach keine kein aus sind als auch bitte ihr ihre ihren dein deine über muss
sich dieser diese dieses um ob es
"""
_ENGLISH, _GERMAN = frozenset(_ENGLISH_WORDS.split()), frozenset(_GERMAN_WORDS.split())


def clean(message: str) -> str:
    """Make a message one plain line, without markup and accelerators, with `{}` for each placeholder and address."""
    text = unicodedata.normalize("NFC", html.unescape(message))
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    for pattern in _PLACEHOLDERS:
        text = pattern.sub("{}", text)
    text = text.replace("%%", "%").translate(_PUNCTUATION)
    return normalise(text)


def words(text: str) -> list[str]:
    """Return the case-folded words of a line without punctuation and placeholders; equal words make equal lines."""
    return _WORD.findall(text.casefold())


def is_pair(source: str, target: str) -> bool:
    """Return whether two cleaned lines are worth keeping as an English sentence and its German translation."""
    if not (_is_sentence(source) and _is_sentence(target)):
        return False
    if source.count("{}") != target.count("{}"):
        return False
    if max(len(source), len(target)) > MAX_LENGTH_RATIO * min(len(source), len(target)):
        return False
    english, german = words(source), words(target)
    return (
        len(set(english) & set(german)) < len(set(english) | set(german)) / 2  # otherwise hardly translated
        and _speaks(english, own=_ENGLISH, other=_GERMAN)
        and _speaks(german, own=_GERMAN, other=_ENGLISH)
    )


def _is_sentence(text: str) -> bool:
    count, placeholders = len(text.split()), text.count("{}")
    if count > MAX_WORDS or placeholders > min(MAX_PLACEHOLDERS, count / 3):
        return False
    if sum(any(map(str.isalpha, word)) for word in text.split()) < MIN_WORDS:
        return False
    rest = text.replace("{}", "").replace(" ", "")
    if _LEFT_OVER.search(rest):
        return False
    if any(character > "\xff" and character.isalpha() for character in rest):  # in neither language's alphabet
        return False
    return sum(map(str.isalpha, rest)) >= MIN_LETTERS * len(rest) > 0


def _speaks(tokens: list[str], own: frozenset[str], other: frozenset[str]) -> bool:
    """Let stop words vote; a line of eight or more words must have one of its own language."""
    mine, theirs = sum(token in own for token in tokens), sum(token in other for token in tokens)
    return mine >= theirs and (mine > 0 or len(tokens) < 8)
