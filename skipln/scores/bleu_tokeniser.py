"""The language decides which of sacreBLEU's tokenisers splits a line into the words that BLEU counts."""

import logging
import re

from sacrebleu.metrics import BLEU

from skipln.errors import UserError

log = logging.getLogger(__name__)
DEFAULT = "13a"  # for every language that puts spaces between its words
AUTO = "auto"  # chosen by the language
# As in sacreBLEU's `--language-pair`, with the other codes of the same languages, since a file's suffix is not always
# ISO 639-1. "cn" and "jp" are not languages, but many corpora call Chinese and Japanese so.
_OWN = {
    "zh": ("zh", "zho", "chi", "cmn", "cn", "yue", "wuu", "hak", "gan", "lzh"),
    "ja-mecab": ("ja", "jpn", "jp"),
    "ko-mecab": ("ko", "kor"),
}
_EXTRA = {"ja-mecab": "sacrebleu[ja]", "ko-mecab": "sacrebleu[ko]"}
# These languages put no spaces between words, and sacreBLEU cannot split them: BLEU counts characters instead.
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
    """Return `tokeniser`, or for "auto" the one for translations into `language`; the log may get a caution.

    Raises `UserError` as `bleu_metric` does, so that a missing package is reported before anything long starts.
    """
    if tokeniser == AUTO:
        tokeniser = tokeniser_of(language)
        if tokeniser == _CHARACTERS:
            log.warning(
                "note: %s has no spaces between words and sacreBLEU has no tokeniser for it: BLEU counts characters "
                "(tok:char); compare it only with such scores",
                _language(language)[0],
            )
    bleu_metric(tokeniser)
    return tokeniser


def tokeniser_of(language: str) -> str:
    """Return the tokeniser for a language code such as "de", "zh-CN" or "zho_Hans"; "13a" if the code is unknown."""
    return _language(language)[1]


def bleu_metric(tokeniser: str, **options: object) -> BLEU:
    """Return sacreBLEU's BLEU with that tokeniser. Raises `UserError` if a package or model for it is missing."""
    try:
        return BLEU(tokenize=tokeniser, **options)  # type: ignore[arg-type]
    except KeyError as error:
        raise UserError(f"{tokeniser}: sacreBLEU has no such tokeniser; choose one of {', '.join(names())}") from error
    except Exception as error:  # without MeCab a RuntimeError, for a model that cannot be downloaded any error
        if tokeniser in _EXTRA:
            raise UserError(
                f"BLEU with the tokeniser {tokeniser} needs packages that are missing: pip install "
                f"'{_EXTRA[tokeniser]}', or choose the tokeniser {_CHARACTERS}"
            ) from error
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"sacreBLEU cannot make its tokeniser {tokeniser} ({lines[-1]}); choose another") from error


def names() -> list[str]:
    """Return the names of all tokenisers of sacreBLEU."""
    return sorted(BLEU.TOKENIZERS)


def _language(language: str) -> tuple[str, str]:
    """Return a language's tokeniser, and before it the code or, if it needs characters, the language's name."""
    code, *subtags = re.split(r"[-_.]", language.casefold())
    if "latn" not in subtags:  # a Latin transcription has spaces
        for tokeniser, codes in _OWN.items():
            if code in codes:
                return code, tokeniser
        for name, codes in _WITHOUT_WORDS.items():
            if code in codes:
                return name, _CHARACTERS
    return code, DEFAULT
