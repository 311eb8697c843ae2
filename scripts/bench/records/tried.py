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
_BF16_IMAGES = (
    "convolutions are oneDNN's in bf16 already; what is left are batch norms and relus over maps, which read and write "
    "them once each, and an update of many small tensors"
)
_SEARCH = (
    "three fifths of our time are products at the rate that the processor has for float32, and neither side can do "
    "fewer for the same translations. Tried for the rest: endings taken from the batch at once (kept), logits made and "
    "ranked in chunks that stay in the cache (nothing), a row's best words by way of its blocks' largest (a fortieth), "
    "exponentials by lanes in attention (nothing), weights in bf16 (a fifth, with every sixth translation another)"
)
_ONE_STEP = "with one step and no dropout the site takes torch's own LN: what differs from 1 is noise"
TRIED = {  # (part, precision of ours): what is said
    ("attention-64", "fp32"): "made by plain products, before there was a kernel: these met torch's own at 64 keys",
    ("mt-step-base", "fp32"): _PRODUCTS,
    ("mt-step-small", "fp32"): _PRODUCTS,
    ("mt-step-small-untuned", "fp32"): _PRODUCTS,
    ("beam5", "fp32"): _SEARCH,
    ("beam5-ctranslate2", "fp32"): _SEARCH,
    ("resnet20", "bf16"): _BF16_IMAGES,
    ("resnet110", "bf16"): _BF16_IMAGES,
    ("resnet20", "fp32"): _IMAGES,
    ("resnet110", "fp32"): _IMAGES,
    ("rskip-site-1-bf16", "bf16"): _ONE_STEP,
    ("rskip-site-1-fp32", "fp32"): _ONE_STEP,
}
