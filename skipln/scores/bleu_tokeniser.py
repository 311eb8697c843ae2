"""Which of sacreBLEU's tokenisers splits a line into the words that BLEU counts: the language decides."""

import logging
import re

from sacrebleu.metrics import BLEU

from skipln.errors import UserError

log = logging.getLogger(__name__)
DEFAULT = "13a"  # of every language that puts spaces between its words
AUTO = "auto"  # by the language
# As in sacreBLEU's `--language-pair`, with the other codes of the same languages: a suffix of a file is not always
# ISO 639-1. "cn" and "jp" are no languages, but are what many corpora call Chinese and Japanese.
_OWN = {
    "zh": ("zh", "zho", "chi", "cmn", "cn", "yue", "wuu", "hak", "gan", "lzh"),
    "ja-mecab": ("ja", "jpn", "jp"),
    "ko-mecab": ("ko", "kor"),
}
_EXTRA = {"ja-mecab": "sacrebleu[ja]", "ko-mecab": "sacrebleu[ko]"}
# These put no spaces between words, and sacreBLEU knows no words of theirs: BLEU is taken on characters.
_WITHOUT_WORDS = {
    "Thai": ("th", "tha"),
    "Lao": ("lo", "lao"),
    "Khmer": ("km", "khm"),
    "Burmese": ("my", "mya", "bur"),
    "Tibetan": ("bo", "bod", "tib"),
    "Dzongkha": ("dz", "dzo"),
    "Shan": ("shn",),
}
_CHARACTERS = "char"


def chosen(tokeniser: str, language: str) -> str:
    """`tokeniser`, or for "auto" the one for translations into `language`; a caution goes to the log.

    Raises `UserError` as `bleu_metric`, so that what is missing is said before anything long starts.
    """
    if tokeniser == AUTO:
        tokeniser = tokeniser_of(language)
        if tokeniser == _CHARACTERS:
            log.warning(
                "note: %s has no spaces between words and sacreBLEU no tokeniser for it: BLEU is taken on characters "
                "(tok:char); compare it with such scores only",
                _language(language)[0],
            )
    bleu_metric(tokeniser)
    return tokeniser


def tokeniser_of(language: str) -> str:
    """The tokeniser for a language code such as "de", "zh-CN" or "zho_Hans"; "13a" for one that is not known."""
    return _language(language)[1]


def bleu_metric(tokeniser: str, **options: object) -> BLEU:
    """sacreBLEU's BLEU with that tokeniser. Raises `UserError` when a package or a model that it needs is missing."""
    try:
        return BLEU(tokenize=tokeniser, **options)  # type: ignore[arg-type]
    except KeyError as error:
        raise UserError(f"{tokeniser}: sacreBLEU has no such tokeniser; choose one of {', '.join(names())}") from error
    except Exception as error:  # MeCab's absence is a RuntimeError, a model that cannot be downloaded anything
        if tokeniser in _EXTRA:
            raise UserError(
                f"BLEU with the tokeniser {tokeniser} needs packages that are missing: pip install "
                f"'{_EXTRA[tokeniser]}', or choose the tokeniser {_CHARACTERS}"
            ) from error
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"sacreBLEU cannot make its tokeniser {tokeniser} ({said[-1]}); choose another") from error


def names() -> list[str]:
    """Every tokeniser of sacreBLEU's."""
    return sorted(BLEU.TOKENIZERS)


def _language(language: str) -> tuple[str, str]:
    """The name of a language without words, else its code; and its tokeniser."""
    code, *subtags = re.split(r"[-_.]", language.casefold())
    if "latn" not in subtags:  # a transcription has spaces
        for tokeniser, codes in _OWN.items():
            if code in codes:
                return code, tokeniser
        for name, codes in _WITHOUT_WORDS.items():
            if code in codes:
                return name, _CHARACTERS
    return code, DEFAULT
