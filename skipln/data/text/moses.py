"""Moses' normalisation, tokenisation and detokenisation as sacremoses has them, several times as fast.

sacremoses runs some fifty regular expressions over every line. Here a rule of the normaliser is skipped where a
character it needs is absent, and the tokeniser works word by word and remembers: words of letters and digits stay as
they are, any other is given to sacremoses once for each kind of neighbour. The results are equal (property tests).
"""

import re
import unicodedata

from sacremoses import MosesDetokenizer, MosesPunctNormalizer, MosesTokenizer

REMEMBERED = 300_000  # words with marks, whose memory is emptied when it is full
SIMPLE = 1_000_000  # words of letters and digits that are remembered
_JOINERS = frozenset(".'`,-")  # any other character that is neither letter nor digit is a token, whatever is beside it
_PIECE = re.compile(r"\\[dswr]|\\g<\d>|\[[^]]*\]|\\(?P<escaped>.)|[()]|(?P<literal>.)")


def plain(line: str) -> str:
    """One line of printable characters with single spaces between its words.

    Unicode's format characters (zero-width spaces, soft hyphens, byte-order marks) go: a space in their place, as
    Moses' remove-non-printing-char has it, would cut words. Control characters and every kind of space become one.
    """
    if not line.isprintable():
        line = "".join(character if character.isprintable() else _instead(character) for character in line)
    return " ".join(line.split())


def _instead(character: str) -> str:
    category = unicodedata.category(character)
    return "" if category == "Cf" else character if category == "Cn" else " "


class Normaliser:
    """`MosesPunctNormalizer(language).normalize`: line -> line with plain quotation marks, dashes and spaces."""

    def __init__(self, language: str) -> None:
        rules = MosesPunctNormalizer(language).substitutions
        self._rules = [(_needed(pattern), re.compile(pattern).sub, replacement) for pattern, replacement in rules]
        self._any = re.compile("|".join(sorted({re.escape(needed) for needed, _, _ in self._rules}))).search

    def __call__(self, line: str) -> str:
        if self._any(line):  # else no rule changes anything
            for needed, substitute, replacement in self._rules:
                if needed in line:
                    line = substitute(replacement, line)
        return line.strip()


def _needed(pattern: str) -> str:
    """A string that every match of `pattern` which changes anything has: a literal character, best a rare one."""
    if pattern == " +":
        return "  "  # one space for one space changes nothing
    if pattern == r"\r":
        return "\r"
    found = [""]
    for piece in _PIECE.finditer(pattern):
        character = piece["escaped"] or piece["literal"]
        optional = pattern[piece.end() : piece.end() + 1] in ("*", "?")
        if character and not optional and (piece["escaped"] or character not in "+*? "):
            found.append(character)
    return next((character for character in found if not character.isascii()), found[-1])


class _Moses(MosesTokenizer):
    """sacremoses' tokeniser with its character sets made once instead of for every word."""

    _lower, _alpha = frozenset(MosesTokenizer.IsLower), frozenset(MosesTokenizer.IsAlpha)
    alphanumeric = frozenset(MosesTokenizer.IsAlnum)

    def __init__(self, language: str) -> None:
        super().__init__(language)
        prefixes: list[str] = self.NONBREAKING_PREFIXES  # type: ignore[has-type]
        self.NONBREAKING_PREFIXES = frozenset(prefixes)

    def islower(self, text: str) -> bool:
        return self._lower.issuperset(text)

    def isalpha(self, text: str) -> bool:
        return self._alpha.issuperset(text)

    def isanyalpha(self, text: str) -> bool:
        return not self._alpha.isdisjoint(text)


class Tokeniser:
    """`MosesTokenizer(language).tokenize(line, aggressive_dash_splits=True)`: line -> tokens, XML-escaped.

    What Moses does to a word depends on its neighbours in three ways only: whether it is the first or the last, and
    whether the next begins with a small letter or a digit (for a full stop). Only an apostrophe at the end of a word
    and one at the beginning of the next are seen together by one rule; such words are treated as one.
    """

    def __init__(self, language: str) -> None:
        self._moses = _Moses(language)
        self._apostrophe = self._whole("a'a")  # between two letters: "a 'a", "a ' a" or "a' a"
        self._simple: set[str] = set()
        self._known: dict[tuple[str, bool, str], list[str]] = {}

    def __call__(self, line: str) -> list[str]:
        if not line.isprintable():  # control characters and rare spaces have rules of their own
            return self._whole(line)
        words = line.split()
        if "' '" in line:
            words = _joined(words)
        simple, known = self._simple, self._known
        tokens: list[str] = []
        last = len(words) - 1
        for i, word in enumerate(words):
            if word in simple:
                tokens.append(word)
            elif self._is_simple(word):
                tokens.append(word)
                if len(simple) < SIMPLE:
                    simple.add(word)
            else:
                key = word, i == 0, "" if i == last else self._kind(words[i + 1][0])
                if key not in known:
                    if len(known) >= REMEMBERED:
                        known.clear()
                    known[key] = self._between(*key)
                tokens += known[key]
        return tokens

    def _whole(self, line: str) -> list[str]:
        return self._moses.tokenize(line, aggressive_dash_splits=True)

    def _is_simple(self, word: str) -> bool:
        # "DOTMULTI" is Moses' own mark for dots, also where the text has it.
        return self._moses.alphanumeric.issuperset(word) and "MULTI" not in word

    def _kind(self, following: str) -> str:
        """A word that is to a full stop before it what one beginning with the character `following` is."""
        return "a" if self._moses.islower(following) else "1" if following in "0123456789" else "A"

    def _between(self, word: str, first: bool, following: str) -> list[str]:
        if (parts := self._parts(word, following)) is not None:
            return parts
        tokens = self._whole(f"{'' if first else 'a '}{word} {following}")
        return tokens[0 if first else 1 : len(tokens) - bool(following)]

    def _parts(self, word: str, following: str) -> list[str] | None:
        """Tokens of letters and digits within brackets, quotation marks and the like, joined by hyphens or by one
        apostrophe, perhaps with a comma or a full stop at the end: most of what is not simple. None for all else."""
        alphanumeric = self._moses.alphanumeric
        inside = [i for i, character in enumerate(word) if character in alphanumeric]
        if not inside:
            return None
        before, core, after = word[: inside[0]], word[inside[0] : inside[-1] + 1], word[inside[-1] + 1 :]
        end = after[-1:] if after.endswith((",", ".")) else ""
        after = after.removesuffix(end)
        tokens = self._core(core)
        if tokens is None or not _JOINERS.isdisjoint(before + after):
            return None
        if end == "." and not after:
            if tokens[-1] in self._moses.NONBREAKING_PREFIXES or tokens[-1] in self._moses.NUMERIC_ONLY_PREFIXES:
                return None
            if following == "a":  # no end of a sentence
                tokens[-1] += end
                end = ""
        escaped = self._moses.escape_xml
        return [*map(escaped, before), *tokens, *map(escaped, after), *end]

    def _core(self, core: str) -> list[str] | None:
        left, apostrophe, right = core.partition("'")
        if apostrophe:
            if not (self._is_simple(left) and self._is_simple(right) and self._moses.isalpha(left[-1] + right[0])):
                return None
            first, *middle, last = self._apostrophe
            return [left + first.removeprefix("a"), *middle, last.removesuffix("a") + right]
        joined = core.split("-")
        if not all(joined) or not all(map(self._is_simple, joined)):
            return None
        tokens = [joined[0]]
        for part in joined[1:]:
            tokens += "@-@", part
        return tokens


def _joined(words: list[str]) -> list[str]:
    joined = [words[0]]
    for word in words[1:]:
        if joined[-1].endswith("'") and word.startswith("'"):
            joined[-1] += f" {word}"
        else:
            joined.append(word)
    return joined


class Detokeniser:
    """Tokens of `Tokeniser` -> a line as people write it: `MosesDetokenizer(language)`, which also undoes "@-@"."""

    def __init__(self, language: str) -> None:
        self._moses = MosesDetokenizer(language)

    def __call__(self, tokens: list[str]) -> str:
        return self._moses.detokenize(tokens)
