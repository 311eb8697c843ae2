"""Translate the demo's 1,000 test sentences with a beam of 5 and the same weights on both sides."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from scripts.bench.records.harness import Part, Sides
from skipln.configuration.composition import compose
from skipln.data.text import BOS, EOS
from skipln.decode.translate import Search, translate
from skipln.engine.checkpoint import Checkpoints
from skipln.errors import UserError
from skipln.models.transformer import Transformer, TransformerShape
from skipln.system.places import ROOT
from skipln.tasks.translation import TranslationTask, shape_of

MODEL = ["scale=demo", "skip=xskip_ln", "skip.lam=1", "seed=1"]  # the post-LN baseline of table 2
EXTRA = 50  # how many tokens longer than its source a translation may be
SEARCH = Search(beam=5, alpha=1.0, penalty="power", extra_length=EXTRA)  # fairseq-generate's --lenpen 1


Translate = Callable[[list[list[int]]], list[list[int]]]


def trained() -> tuple[Transformer, TransformerShape, list[list[int]], Callable[[list[list[int]]], float]]:
    """The baseline with its averaged weights, its sizes, the test sources (ids without end symbol), and BLEU of theirs.

    It is trained first if necessary. Raises UserError if the training fails.
    """
    overrides = [*MODEL, f"paths.runs={ROOT / 'runs'}", f"paths.cache={ROOT / 'data'}"]
    config = compose(overrides)
    if subprocess.run([sys.executable, "-m", "skipln.train", *overrides], cwd=ROOT, check=False).returncode:
        raise UserError("beam5: the model of table 2 could not be trained; the reason is above")
    task = TranslationTask(config)
    model = task.build().eval()
    training = config.training
    checkpoints = Checkpoints(config.folder / "checkpoints", config.hash, keep=training.average)
    model.load_state_dict(checkpoints.average(training.updates, training.checkpoint_every))
    shape = shape_of(config)

    def bleu(translations: list[list[int]]) -> float:
        return task.score([" ".join(task.data.vocabulary.decode(tokens).split()) for tokens in translations]).metrics[
            "bleu"
        ]

    return model, shape, [sentence.tolist() for sentence in task.data.test.source], bleu


class Outputs:
    """Keeps the last outputs of the two sides, to count identical translations."""

    def __init__(self) -> None:
        self.last: dict[str, list[list[int]]] = {}

    def found(self) -> dict[str, Any]:
        ours, peer = self.last["ours"], self.last["peer"]
        same = sum(a == b for a, b in zip(ours, peer, strict=True))
        return {"identical": same, "of": len(ours), "found": f"{same:,} of {len(ours):,} translations identical"}


def against_fairseq(precision: str) -> Sides:
    from scripts.bench.peers.fairseq_peer import FairseqPeer

    model, shape, sources, _ = trained()
    peer = FairseqPeer(model.embedding.num_embeddings, shape)
    peer.load(model)
    return _sides(model, sources, peer.generator(SEARCH.beam, EXTRA), precision)


def against_ctranslate2(compute: str, precision: str) -> Sides:
    from scripts.bench.peers.ctranslate2_peer import ctranslate2_search

    model, _, sources, _ = trained()
    return _sides(model, sources, ctranslate2_search(model, compute, SEARCH.beam, EXTRA), precision)


def against_fp32(precision: str) -> Sides:
    model, _, sources, bleu = trained()
    outputs = Outputs()

    def found() -> dict[str, Any]:
        scores = {name: [round(bleu(outputs.last[side]), 2)] for name, side in ((precision, "ours"), ("fp32", "peer"))}
        return outputs.found() | {"scores": {"what": "BLEU on the demo's 1,000 test sentences", "of": scores}}

    return replace(
        _sides(model, sources, partial(_translated, model, precision="fp32"), precision, outputs), found=found
    )


def _sides(
    model: Transformer, sources: list[list[int]], peer: Translate, precision: str, outputs: Outputs | None = None
) -> Sides:
    outputs = outputs or Outputs()

    def ours(_: int) -> None:
        outputs.last["ours"] = _translated(model, sources, precision)

    def theirs(_: int) -> None:
        outputs.last["peer"] = peer(sources)

    return Sides(ours, theirs, outputs.found)


def _translated(model: Transformer, sources: list[list[int]], precision: str) -> list[list[int]]:
    return translate(model, sources, replace(SEARCH, precision=precision), bos=BOS, eos=EOS)


WORK = "the demo's 1,000 test sentences, beam 5; post-LN Transformer 2+2, d 128, vocabulary 4k, trained"
PARTS = [
    Part("beam5", "skipln {precision}", "fairseq's SequenceGenerator as fairseq-generate calls it, fp32", WORK,
         against_fairseq, n=5, warmup=0, precision="fp32", goal=3.0, needs=("fairseq",), profiled=True),
    Part("beam5-ctranslate2", "skipln {precision}", "CTranslate2 fp32, one-thread workers", WORK,
         partial(against_ctranslate2, "float32"), n=5, warmup=0, precision="fp32", goal=1.0,
         needs=("ctranslate2",)),
    Part("beam5-ctranslate2-int8", "skipln {precision}", "CTranslate2 int8, one-thread workers", WORK,
         partial(against_ctranslate2, "int8"), n=5, warmup=0, precision="fp32", needs=("ctranslate2",)),
    Part("beam5-bf16", "skipln, products' factors in bf16", "skipln fp32", WORK, against_fp32, n=5, warmup=0,
         precision="bf16"),
]  # fmt: skip
