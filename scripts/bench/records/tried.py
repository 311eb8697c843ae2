"""What was tried for the parts that miss their goal, and for beam search; shown beside their profiles.

The gains and losses were seen in throw-away scripts and are therefore given without exact figures.
"""

_PRODUCTS = (
    "more than four fifths of our time are matrix products, which MKL computes at the same speed on both sides; only a "
    "processor with bf16 arithmetic would be faster. Kept for the rest: keeping freed memory, cross-entropy in one "
    "pass, dropout + skip + LN in one pass, short sentences' attention in the cache; "
    "docs/performance.md has the share of each (piece-*). torch.compile is slower here (piece-compile)"
)
_IMAGES = (
    "four fifths of our time are convolutions at fp32's speed. Kept: channels-last, augmentation of whole batches; PIL "
    "takes a twentieth of the peer's time. The rest of the goal needs bf16"
)
_BF16_IMAGES = (
    "the convolutions are already oneDNN's in bf16. Kept for the rest: batch norm and relu in one "
    "(piece-batch-norm). What remains are its two visits of each map, sums of maps, which read and write them once "
    "each, and an update of many small tensors"
)
_BF16_STEP = (
    "products take the share above, as fast as they are alone. Kept for the rest: logits in chunks "
    "(piece-cross-entropy, output-6000), short attention in the cache with fused multiply-adds (piece-attention), "
    "dropout + skip + LN in one pass (piece-residual-site), weights cast once an update, fused Adam. One product for "
    "queries, keys and values makes these products, a sixth of a step, slightly faster (projections-256 and -512), "
    "but their gradients would have to be put together, so it is not kept. Adding each chunk's bf16 product to the "
    "weight gradient in one C++ visit and a residual stream in bf16 gave nothing; torch.compile is slower "
    "(piece-compile). What remains is many small things, listed above: attention's own products, casts of "
    "activations and gradients, a gradient as large as the embedding for each of its three uses, LN and dropout, "
    "sums for biases"
)
_FP32_STEP = (
    "with AVX-512 oneDNN does the products at the full rate, so the rest weighs more, and for the gradient of each "
    "weight it copies one factor, now the smaller one. What was kept and what remains is as in bf16"
)
_SEARCH = (
    "removing finished sentences from the batch at once, and putting waiting ones in their places; weights in panels; "
    "lists of entries instead of gathered keys and values, fetched ahead; a bound for the best words from the lanes' "
    "maxima; exponentials by lanes, their constants not divided anew; sources encoded 16 at a time; "
    "a share of the sentences for each thread; attention's scores, weights and sums for all heads at once "
    "(all kept). oneDNN's own packed weights, chunks of 32, 64 or 256 rows of logits instead of 128, exponentials by "
    "fused multiplication, scores of eight keys at once (no gain); half, two and four times the sentences at a time "
    "(slower); forked processes instead of threads (more processor time, because they copy the memory that they write "
    "to). What remains is in the profile above: products first, then "
    "attention and the ranking of words"
)
_ONE_STEP = "with one step and no dropout the site uses torch's own LN, so any difference from 1 is noise"
TRIED = {  # (part, precision of ours): the words on the page
    ("attention-64", "fp32"): "measured with plain products, before there was a kernel; these matched torch at 64 keys",
    ("mt-step-base", "bf16"): _BF16_STEP,
    ("mt-step-small", "bf16"): _BF16_STEP,
    ("mt-step-base-fp32", "fp32"): _FP32_STEP,
    ("mt-step-small-fp32", "fp32"): _FP32_STEP,
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
