"""One training step of a translation model: forward, backward, optimizer."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch

from scripts.bench.parts.text import random_batches
from scripts.bench.peers.fairseq_peer import POST_LN, FairseqPeer
from scripts.bench.peers.untuned_peer import untuned_step
from scripts.bench.records.harness import Part, Sides
from skipln import skips
from skipln.configuration.schema import Adam
from skipln.data.text.padding import Batch
from skipln.data.text.vocabulary import BOS, EOS, PAD
from skipln.engine.update.optimizer import create_optimizer
from skipln.models.transformer import Transformer, TransformerShape

MAX_TOKENS = 2048
ADAM = Adam(name="adam", lr=7e-4, betas=[0.9, 0.98], eps=1e-9, weight_decay=0.0, clip=0.0)
BASE = TransformerShape(6, 6, 512, 2048, 8)
SMALL = TransformerShape(3, 3, 256, 1024, 4)
SMALL_VOCABULARY, SMALL_LENGTH = 6_000, 14
BASE_VOCABULARY, BASE_LENGTH = 32_000, 27


def our_step(
    vocabulary: int, shape: TransformerShape, precision: str, skip: dict[str, Any] = POST_LN, compiled: bool = False
) -> Callable[[Batch], None]:
    """An update as `skipln.engine.loop` makes it, without logging. skip: name and options of the connection."""
    torch.manual_seed(1)
    model = Transformer(vocabulary, shape, lambda dim, place: skips.create(dim=dim, place=place, **skip)).train()
    if compiled:
        model.compile(dynamic=True)
    optimizer = create_optimizer(ADAM, model.parameters())

    def step(batch: Batch) -> None:
        autocast = torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext()
        with autocast:
            total, _ = model(batch.source, batch.target_in, batch.target_out, 0.1)
        (total / batch.target_tokens).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def against_fairseq(vocabulary: int, shape: TransformerShape, mean_length: float, precision: str) -> Sides:
    batches = random_batches(vocabulary, MAX_TOKENS, 32, mean_length)
    ours = our_step(vocabulary, shape, precision)
    peer = FairseqPeer(vocabulary, shape).trainer(batches)
    return Sides(lambda k: ours(batches[k % len(batches)]), peer)


def small_batches() -> list[Batch]:
    """The batches of `mt-step-small`."""
    return random_batches(SMALL_VOCABULARY, MAX_TOKENS, 32, SMALL_LENGTH)


def base_batches() -> list[Batch]:
    """The batches of `mt-step-base`."""
    return random_batches(BASE_VOCABULARY, MAX_TOKENS, 32, BASE_LENGTH)


def against_untuned_fairseq(precision: str) -> Sides:
    """The peer runs in a separate process, because a process has one allocator."""
    batches = small_batches()
    ours = our_step(SMALL_VOCABULARY, SMALL, precision)
    return Sides(lambda k: ours(batches[k % len(batches)]), untuned_step("fairseq", torch.get_num_threads()))


def marian_step(vocabulary: int, shape: TransformerShape, precision: str) -> Callable[[Batch], None]:
    """An update of Hugging Face's Marian with the same sizes and precision, and with the loss of its Trainer."""
    from transformers import MarianConfig, MarianMTModel
    from transformers.trainer_pt_utils import LabelSmoother

    torch.manual_seed(1)
    sizes: dict[str, Any] = {
        f"{side}_{key}": value
        for side, layers in (("encoder", shape.encoder_layers), ("decoder", shape.decoder_layers))
        for key, value in {
            "layers": layers, "ffn_dim": shape.feed_forward_dim, "attention_heads": shape.heads
        }.items()
    }  # fmt: skip
    config = MarianConfig(
        vocab_size=vocabulary, d_model=shape.dim, **sizes, dropout=shape.dropout, activation_function="relu",
        scale_embedding=True, pad_token_id=PAD, eos_token_id=EOS, decoder_start_token_id=BOS,
    )  # fmt: skip
    model = MarianMTModel(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), 7e-4, betas=(0.9, 0.98), fused=True)
    smoother = LabelSmoother(epsilon=0.1)

    def step(batch: Batch) -> None:
        labels = batch.target_out.masked_fill(batch.target_out == PAD, smoother.ignore_index)
        with torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext():
            found = model(
                input_ids=batch.source, attention_mask=(batch.source != PAD).long(), decoder_input_ids=batch.target_in,
                use_cache=False,
            )  # fmt: skip
            loss = smoother(found, labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def against_marian(vocabulary: int, shape: TransformerShape, mean_length: float, precision: str) -> Sides:
    batches = random_batches(vocabulary, MAX_TOKENS, 32, mean_length)
    ours, peer = our_step(vocabulary, shape, precision), marian_step(vocabulary, shape, precision)
    return Sides(lambda k: ours(batches[k % len(batches)]), lambda k: peer(batches[k % len(batches)]))


WORK = "one update, batches of 2,048 tokens; {}, vocabulary {}, lengths about {}"
BASE_WORK = WORK.format("6+6 layers, d 512", "32k", BASE_LENGTH)
SMALL_WORK = WORK.format("3+3 layers, d 256", "6k", SMALL_LENGTH)
FAIRSEQ = {"peer": "fairseq's Trainer, fp32 (all its CPU path has)", "needs": ("fairseq",)}
SHARES = {"base": {"bf16": 0.88, "fp32": 0.88}, "small": {"bf16": 0.78, "fp32": 0.88}}
SIZES = {
    "base": (BASE_WORK, partial(against_fairseq, BASE_VOCABULARY, BASE, BASE_LENGTH), 10),
    "small": (SMALL_WORK, partial(against_fairseq, SMALL_VOCABULARY, SMALL, SMALL_LENGTH), 20),
}
PARTS = [
    *(
        Part(f"mt-step-{size}{suffix}", "skipln {precision}", work=work, prepare=prepare, n=n, precision=precision,
             share=SHARES[size], **FAIRSEQ)  # type: ignore[arg-type]
        for size, (work, prepare, n) in SIZES.items()
        for suffix, precision in (("", None), ("-fp32", "fp32"))
    ),
    Part("mt-step-small-untuned", "skipln {precision}", "fairseq's Trainer, fp32, under glibc's malloc as it comes",
         SMALL_WORK, against_untuned_fairseq, n=20, needs=("fairseq",)),
    Part("mt-step-base-marian", "skipln {precision}", "Hugging Face Marian, the same precision, fused AdamW", BASE_WORK,
         partial(against_marian, BASE_VOCABULARY, BASE, BASE_LENGTH), goal=1.3, needs=("transformers",)),
]  # fmt: skip
