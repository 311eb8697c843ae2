"""What was tried, and what it gave, for parts that miss their goal: shown beside their profiles.

Gains and losses named here were seen in throw-away scripts, so they are said without figures.
"""

_PRODUCTS = (
    "more than four fifths of our time are products of matrices, which MKL does at one speed on both sides and only a "
    "processor with bf16 arithmetic would do faster. Kept for the rest: freed memory, cross-entropy in one pass, "
    "dropout + skip + LN in one pass, short sentences' attention in the cache; "
    "docs/performance.md has the share of each (piece-*). torch.compile loses here (piece-compile)"
)
_IMAGES = (
    "four fifths of our time are convolutions at fp32's speed. Kept: channels-last, augmentation of whole batches; PIL "
    "takes a twentieth of the peer's time. The rest of the goal is bf16's"
)
_ONE_STEP = "with one step and no dropout the site takes torch's own LN: what differs from 1 is noise"
TRIED = {  # (part, precision of ours): what is said
    ("attention-64", "fp32"): "made by plain products, before there was a kernel: these met torch's own at 64 keys",
    ("mt-step-base", "fp32"): _PRODUCTS,
    ("mt-step-small", "fp32"): _PRODUCTS,
    ("mt-step-small-untuned", "fp32"): _PRODUCTS,
    ("resnet20", "fp32"): _IMAGES,
    ("resnet110", "fp32"): _IMAGES,
    ("rskip-site-1-bf16", "bf16"): _ONE_STEP,
    ("rskip-site-1-fp32", "fp32"): _ONE_STEP,
}
