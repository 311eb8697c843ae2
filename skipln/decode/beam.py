"""Beam search with a length penalty, over any model that can take one step at a time."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from skipln.ops import topk_log_softmax

Step = Callable[[Tensor], Tensor]
Select = Callable[[Tensor], None]


@dataclass(frozen=True)
class Hypothesis:
    """Token ids without bos and eos, and log p(tokens, eos) / length_penalty."""

    tokens: list[int]
    score: float


def length_penalty(length: int, alpha: float, form: str = "gnmt") -> float:
    """Return what a hypothesis' log-probability is divided by. `length` counts eos; alpha = 0 turns the penalty off.

    form "gnmt": ((5 + length) / 6)^alpha (Wu et al. 2016, used by Vaswani et al. 2017 with 0.6).
    form "power": length^alpha (fairseq's --lenpen).
    """
    return ((5 + length) / 6) ** alpha if form == "gnmt" else length**alpha


@torch.no_grad()
def beam_search(
    step: Step,
    select: Select,
    max_lengths: list[int],
    *,
    beam: int,
    bos: int,
    eos: int,
    banned: tuple[int, ...] = (),
    alpha: float = 0.6,
    penalty: str = "gnmt",
) -> list[list[Hypothesis]]:
    """Return the hypotheses of every sentence of a batch, best first. beam=1 is greedy search.

    step: tokens [rows] -> logits [rows, vocabulary]. A row is a live hypothesis; rows are grouped by sentence, each of
    which has one row at first and then `beam`. select: called with the old row that each new row continues. The batch
    shrinks, since a sentence is dropped as soon as `beam` of its hypotheses have ended. max_lengths: the most tokens
    each output may have, without eos. banned: ids of tokens that are never produced, such as padding.
    """
    sentences = torch.arange(len(max_lengths))  # the sentence that each block of rows belongs to
    limits = torch.tensor(max_lengths)
    finished: list[list[Hypothesis]] = [[] for _ in max_lengths]
    prefixes = torch.empty(len(max_lengths), 1, 0, dtype=torch.long)  # one row per sentence until it branches
    scores = torch.zeros(len(max_lengths), 1)
    last = torch.full((len(max_lengths),), bos)

    forbidden = torch.tensor([token for token in (bos, *banned) if token != eos])  # fairseq begins with eos

    length = 0
    while len(sentences):
        length += 1
        rows = scores.size(1)
        logits = step(last)
        # At most `beam` of a sentence's best 2·beam candidates are ends, and one hypothesis may offer all 2·beam.
        width = min(2 * beam + len(forbidden), logits.size(-1))
        offered, words, ends = (found.cpu() for found in topk_log_softmax(logits, width, eos))
        offered = offered.masked_fill(torch.isin(words, forbidden), -torch.inf)
        at_limit = limits[sentences] < length
        if at_limit.any():  # these sentences must end now
            ending = at_limit.repeat_interleave(rows)
            offered[ending] = -torch.inf
            offered[ending, 0], words[ending, 0] = ends[ending], eos

        offered, words = offered.unflatten(0, (-1, rows)), words.unflatten(0, (-1, rows))
        candidates = (offered + scores.unsqueeze(-1)).flatten(1)
        best, index = candidates.topk(min(2 * beam, candidates.size(1)))
        origin, token = index // width, words.flatten(1).gather(1, index)
        is_end = token == eos

        endings = is_end & best.isfinite()
        endings[:, beam:] = False
        row, rank = endings.nonzero(as_tuple=True)
        owners, ended = sentences[row].tolist(), prefixes[row, origin[row, rank]].tolist()
        for owner, tokens, log_prob in zip(owners, ended, best[row, rank].tolist(), strict=True):
            finished[owner].append(Hypothesis(tokens, log_prob / length_penalty(length, alpha, penalty)))

        # Keep the best `beam` candidates that go on, in order. Where there are fewer, dead ones (score -inf) fill up.
        going_on = is_end.long().argsort(dim=1, stable=True)[:, :beam]
        scores = best.masked_fill(is_end, -torch.inf).gather(1, going_on)
        origin, token = origin.gather(1, going_on), token.gather(1, going_on)
        prefixes = torch.cat(
            (prefixes.gather(1, origin.unsqueeze(-1).expand(-1, -1, length - 1)), token[..., None]), -1
        )

        done = at_limit | torch.tensor([len(finished[s]) >= beam for s in sentences.tolist()])
        done |= scores.max(1).values == -torch.inf
        live = (~done).nonzero().squeeze(1)
        select((live[:, None] * rows + origin[live]).flatten())
        sentences, scores, prefixes, last = sentences[live], scores[live], prefixes[live], token[live].flatten()

    return [sorted(hypotheses, key=lambda h: -h.score) for hypotheses in finished]
