"""Beam search with a length penalty, over any model that can take one step at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import torch
import torch.nn.functional as F
from torch import Tensor

REFILL = 8  # new sentences begin as soon as this fraction of a batch's room, 1 / REFILL, is free
SPARE = 16  # tokens by which the space for hypotheses grows


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


@dataclass(frozen=True)
class Rules:
    """How to search: hypotheses per sentence, the ids that begin and end one, ids that are never produced, penalty."""

    beam: int
    bos: int
    eos: int
    banned: tuple[int, ...] = ()
    alpha: float = 0.6
    penalty: str = "gnmt"


class Rows(Protocol):
    """A model's live hypotheses, each a row; they are grouped by sentence, which has one row at first, then `beam`."""

    def best(self, tokens: Tensor, count: int, end: int) -> tuple[Tensor, Tensor, Tensor]:
        """Append one of `tokens` to each row, and return the likeliest to follow: log p, id, log p of `end`.

        log p and ids: [rows, count or the whole vocabulary], best first; log p of `end`: [rows].
        """

    def select(self, rows: Tensor) -> None:
        """Keep, repeat or reorder: row i becomes the old row rows[i]."""

    def join(self, other: Self) -> None:
        """Append the rows of another batch, which is not used again."""


@torch.inference_mode()
def beam_search(
    begin: Callable[[list[int]], Rows],
    limits: Sequence[int],
    sizes: Sequence[int],
    room: int,
    rules: Rules,
    after_step: Callable[[int], object] = lambda ended: None,
) -> list[list[Hypothesis]]:
    """Return the hypotheses of every sentence, best first. A beam of 1 is greedy search.

    begin: the rows of some sentences, given by number. limits: the most tokens that each output may have, without eos.
    sizes: of each sentence; those that are searched at a time take at most `room`, or there is only one. A sentence is
    dropped as soon as `beam` of its hypotheses have ended, and the next ones take its place.
    after_step: is given the number of sentences that have just been dropped.
    """
    found: list[list[Hypothesis]] = [[] for _ in limits]
    batch, start = None, 0
    while batch or start < len(limits):
        free = room - sum(sizes[i] for i in batch.sentences.tolist()) if batch else room
        if start < len(limits) and (not batch or free * REFILL >= room):
            end = start + 1
            while end < len(limits) and sum(sizes[start : end + 1]) <= free:
                end += 1
            group, start = list(range(start, end)), end
            fresh = _Batch(begin(group), group, [limits[i] for i in group], rules)
            after_step(fresh.advance(found))
            if batch:
                batch.join(fresh)
            else:
                batch = fresh
        if batch:
            after_step(batch.advance(found))
    return [sorted(hypotheses, key=lambda h: -h.score) for hypotheses in found]


class _Batch:
    """Sentences that are searched together, n of them, each with one hypothesis at first and then `beam`.

    sentences, limits, ended, lengths: [n], a sentence's number, its most tokens, how many of its hypotheses have ended
    and how many tokens the others have. scores: [n, hypotheses], log p. tokens: [n, hypotheses, the longest or more].
    """

    def __init__(self, rows: Rows, sentences: list[int], limits: list[int], rules: Rules) -> None:
        self.rows, self.rules = rows, rules
        self.sentences, self.limits = torch.tensor(sentences), torch.tensor(limits)
        self.ended, self.lengths = torch.zeros_like(self.limits), torch.zeros_like(self.limits)
        self.scores, self.tokens = torch.zeros(len(sentences), 1), self.limits.new_empty(len(sentences), 1, 0)
        self.last = torch.full_like(self.limits, rules.bos)

    def __len__(self) -> int:
        return len(self.sentences)

    def join(self, other: "_Batch") -> None:
        """Append the sentences of another batch, which has branched as this one has."""
        if not len(other):
            return
        self.rows.join(other.rows)
        for name in ("sentences", "limits", "ended", "lengths", "scores", "last"):
            setattr(self, name, torch.cat((getattr(self, name), getattr(other, name))))
        longest = max(self.tokens.size(2), other.tokens.size(2))
        self.tokens = torch.cat([F.pad(of.tokens, (0, longest - of.tokens.size(2))) for of in (self, other)])

    def advance(self, found: list[list[Hypothesis]]) -> int:
        """Make every hypothesis longer by a token, put those that end into `found`, and drop sentences with enough.

        Return how many sentences were dropped.
        """
        beam, eos, rows = self.rules.beam, self.rules.eos, self.scores.size(1)
        self.lengths += 1
        scores, origin, token = self._candidates()
        is_end = token == eos
        endings = is_end & scores.isfinite()
        endings[:, beam:] = False
        self._end(endings, scores, origin, found)

        # Keep the best `beam` candidates that go on, in order. Where there are fewer, dead ones (score -inf) fill up.
        going_on = is_end.long().argsort(dim=1, stable=True)[:, :beam]
        scores = scores.masked_fill(is_end, -torch.inf).gather(1, going_on)
        origin, token = origin.gather(1, going_on), token.gather(1, going_on)
        self.ended += endings.sum(1)
        done = (self.limits < self.lengths) | (self.ended >= beam) | (scores.max(1).values == -torch.inf)
        live = (~done).nonzero().squeeze(1)
        scores, origin, token = (x.index_select(0, live) for x in (scores, origin, token))
        kept = (live[:, None] * rows + origin).flatten()
        self.rows.select(kept)
        for name in ("sentences", "limits", "ended", "lengths"):
            setattr(self, name, getattr(self, name).index_select(0, live))
        self.scores, self.last = scores, token.flatten()
        self.tokens = self.tokens.flatten(0, 1).index_select(0, kept).unflatten(0, (-1, beam))
        self._append(token)
        return len(done) - len(live)

    def _candidates(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return each sentence's best 2·beam continuations: log p, the hypothesis each continues, its next token."""
        beam, eos, rows = self.rules.beam, self.rules.eos, self.scores.size(1)
        forbidden = [token for token in (self.rules.bos, *self.rules.banned) if token != eos]  # fairseq begins with eos
        # At most `beam` of a sentence's best 2·beam candidates are ends, and one hypothesis may offer all 2·beam.
        offered, tokens, ends = (x.cpu() for x in self.rows.best(self.last, 2 * beam + len(forbidden), eos))
        for token in forbidden:
            offered = offered.masked_fill(tokens == token, -torch.inf)
        if (at_limit := self.limits < self.lengths).any():  # these sentences must end now
            ending = at_limit.repeat_interleave(rows)
            offered[ending] = -torch.inf
            offered[ending, 0], tokens[ending, 0] = ends[ending], eos
        width = offered.size(1)
        candidates = (offered.unflatten(0, (-1, rows)) + self.scores.unsqueeze(-1)).flatten(1)
        missing = (0, max(0, 2 * beam - rows * width))  # of a small vocabulary
        scores, index = F.pad(candidates, missing, value=-torch.inf).topk(2 * beam)
        tokens = F.pad(tokens.unflatten(0, (-1, rows)).flatten(1), missing)
        return scores, (index // width).clamp(max=rows - 1), tokens.gather(1, index)

    def _end(self, endings: Tensor, scores: Tensor, origin: Tensor, found: list[list[Hypothesis]]) -> None:
        """Put the candidates that are marked as endings into `found`."""
        row, rank = endings.nonzero(as_tuple=True)
        columns = (self.sentences[row], self.tokens[row, origin[row, rank]], self.lengths[row], scores[row, rank])
        for sentence, tokens, length, log_p in zip(*(column.tolist() for column in columns), strict=True):
            score = log_p / length_penalty(length, self.rules.alpha, self.rules.penalty)
            found[sentence].append(Hypothesis(tokens[: length - 1], score))

    def _append(self, token: Tensor) -> None:
        """Write each hypothesis' newest token behind its others."""
        longest = int(self.lengths.max()) if len(self) else 0
        if longest > self.tokens.size(2):
            self.tokens = F.pad(self.tokens, (0, SPARE))
        place = (self.lengths - 1)[:, None, None].expand(-1, token.size(1), 1)
        self.tokens.scatter_(2, place, token.unsqueeze(2))
