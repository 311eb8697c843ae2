"""Reads our metrics and translations from the output of fairseq-train --log-format json and fairseq-generate."""

import json
import math
import re
from collections.abc import Iterable
from typing import Any

from skipln.data.text.subwords import SubwordVocabulary
from skipln.data.text.vocabulary import UNK, Vocabulary
from skipln.interop.fairseq.symbols import SPECIAL

_POINT = re.compile(r"\| (train_inner|valid) \| (\{.*\})\s*$")
BITS = math.log(2)  # fairseq's losses are in bits, ours in nats


def metrics_of(line: str) -> dict[str, float] | None:
    """Turn a line of the training's log into a point of metrics.jsonl without its tokens; None for other lines."""
    if (found := _POINT.search(line)) is None:
        return None
    try:
        point: dict[str, Any] = json.loads(found[2])
        if found[1] == "valid":
            place = {"update": int(point["valid_num_updates"]), "epoch": float(point["epoch"])}
            losses = {
                "valid/loss": BITS * float(point["valid_loss"]),
                "valid/nll": BITS * float(point["valid_nll_loss"]),
            }
            return {**place, **losses}
        return {
            "update": int(point["num_updates"]),
            "epoch": float(point["update"]),
            "wall": float(point["wall"]),
            "train/loss": BITS * float(point["loss"]),
            "train/nll": BITS * float(point["nll_loss"]),
            "lr": float(point["lr"]),
            "grad_norm": float(point["gnorm"]),
            "tokens_per_second": float(point["wps"]),
            "tokens_per_update": float(point["wpb"]),
        }
    except (ValueError, KeyError, TypeError):
        return None


def translations_of(lines: Iterable[str], vocabulary: Vocabulary | SubwordVocabulary) -> list[str]:
    """Return the best hypotheses of fairseq-generate as text, in the order of the test set."""
    ids = {piece: i for i, piece in enumerate(vocabulary.pieces()) if i >= SPECIAL}
    found: dict[int, str] = {}
    for line in lines:
        if line.startswith("H-"):
            number, _, pieces = line.rstrip("\n").removeprefix("H-").split("\t", 2)
            text = vocabulary.decode([ids.get(piece, UNK) for piece in pieces.split(" ") if piece])
            found[int(number)] = " ".join(text.split())
    return [found[number] for number in sorted(found)]
