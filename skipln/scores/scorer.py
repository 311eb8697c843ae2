"""One scorer for translations: sacreBLEU, chrF, and the BLEU on split tokens of older papers.

On WMT14 En-De one system's BLEU differs by more than a point between sacreBLEU and the score that Vaswani et al. 2017
and Ott et al. 2018 print. The latter counts Moses' tokens with compounds split at their hyphens, without any smoothing.
Only scores with the same signature are comparable.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import yaml
from sacrebleu.metrics import CHRF

from skipln.errors import UserError
from skipln.scores.bleu_tokeniser import DEFAULT, bleu_metric

PUBLISHED = Path(__file__).with_name("published.yaml")
SCORERS = {"bleu": "sacrebleu", "bleu_tokenised": "tokenised"}  # metric -> its name in the published scores
FULL_TEST = {"wmt14_en_de": 3003, "iwslt15_en_vi": 1268}
_COMPOUND = re.compile(r"(\S)-(\S)")


@dataclass(frozen=True)
class Score:
    """A corpus score, and the signature that says how it was computed."""

    value: float
    signature: str


def score(
    outputs: Sequence[str], references: Sequence[str], tokens_of: str | None = None, tokeniser: str = DEFAULT
) -> dict[str, Score]:
    """Return "bleu" (with `tokeniser`) and "chrf" by sacreBLEU; given `tokens_of`, a language, also "bleu_tokenised".

    Lines are plain, detokenised text, each with one reference. Raises `UserError` if the numbers of lines differ, and
    as `bleu_metric` does.
    """
    if len(outputs) != len(references) or not references:
        raise UserError(f"{len(outputs):,} translations but {len(references):,} references; each needs one")
    scores = {}
    for name, metric in (("bleu", bleu_metric(tokeniser)), ("chrf", CHRF())):
        value = metric.corpus_score(outputs, [references]).score
        scores[name] = Score(value, str(metric.get_signature()))
    if tokens_of:
        scores["bleu_tokenised"] = tokenised_bleu(outputs, references, tokens_of)
    return scores


def tokenised_bleu(outputs: Sequence[str], references: Sequence[str], language: str) -> Score:
    """Return multi-bleu on `compound_split` lines, like fairseq's compound_split_bleu.sh and tensor2tensor's script."""
    sides = ([compound_split(line, language) for line in side] for side in (outputs, references))
    hypotheses, gold = sides
    metric = bleu_metric("none", smooth_method="none", force=True)  # force: the tokens are meant
    moses = f"moses-{language}-split-compounds|sacremoses:{version('sacremoses')}"
    found = metric.corpus_score(hypotheses, [gold]).score
    return Score(found, str(metric.get_signature()).replace("tok:none", f"tok:{moses}"))


def compound_split(line: str, language: str) -> str:
    """Return Moses' tokens with "a-b" as "a ##AT##-##AT## b"; as in the scripts, "a-b-c" splits at its first hyphen."""
    tokens = _tokeniser(language).tokenize(line, return_str=True)
    return _COMPOUND.sub(r"\1 ##AT##-##AT## \2", tokens)


@cache
def _tokeniser(language: str):  # type: ignore[no-untyped-def]
    try:
        from sacremoses import MosesTokenizer
    except ImportError as error:
        raise UserError("sacremoses is missing; run `make setup`, or install the extra skipln[wmt]") from error
    return MosesTokenizer(language)


def comparable(data: str, metric: str) -> list[str]:
    """Return, as lines, the published scores of a test set that are comparable with the metric, often none."""
    published = yaml.safe_load(PUBLISHED.read_text("utf-8"))
    if data not in published:
        raise UserError(f"{data}: no published scores are known; choose one of {', '.join(published)}")
    return [_line(row) for row in published[data] if row["scorer"] == SCORERS.get(metric, metric)]


def unsure(data: str) -> list[str]:
    """Return the published scores whose source does not state a scorer."""
    return [_line(row) for row in yaml.safe_load(PUBLISHED.read_text("utf-8"))[data] if row["scorer"] is None]


def _line(row: dict) -> str:
    return f"{row['value']} {row['system']} ({row['source']})"
