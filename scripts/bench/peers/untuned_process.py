"""The other process of `untuned_peer`: for every number on stdin it does one update, then prints the number."""

import os
import sys
from collections.abc import Callable

import torch

from scripts.bench.parts.mt_step import SMALL, SMALL_VOCABULARY, our_step, small_batches


def main(whose: str, precision: str) -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # keeps fairseq's output out of the answers
    torch.set_flush_denormal(True)
    batches = small_batches()
    if whose == "ours":
        update = our_step(SMALL_VOCABULARY, SMALL, precision)
        step: Callable[[int], object] = lambda k: update(batches[k % len(batches)])  # noqa: E731
    else:
        from scripts.bench.peers.fairseq_peer import FairseqPeer

        step = FairseqPeer(SMALL_VOCABULARY, SMALL).trainer(batches)
    for line in sys.stdin:
        step(int(line))
        print(line.strip(), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
