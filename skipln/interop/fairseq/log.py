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
        said: dict[str, Any] = json.loads(found[2])
        if found[1] == "valid":
            place = {"update": int(said["valid_num_updates"]), "epoch": float(said["epoch"])}
            losses = {"valid/loss": BITS * float(said["valid_loss"]), "valid/nll": BITS * float(said["valid_nll_loss"])}
            return {**place, **losses}
        return {
            "update": int(said["num_updates"]),
            "epoch": float(said["update"]),
            "wall": float(said["wall"]),
            "train/loss": BITS * float(said["loss"]),
            "train/nll": BITS * float(said["nll_loss"]),
            "lr": float(said["lr"]),
            "grad_norm": float(said["gnorm"]),
            "tokens_per_second": float(said["wps"]),
            "tokens_per_update": float(said["wpb"]),
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
