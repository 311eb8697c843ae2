"""The few operations that are faster here than in torch, each with a plain form that its test compares it with."""

from skipln.ops.attention import attention
from skipln.ops.batch_norm import batch_norm
from skipln.ops.beam_attention import beam_attention
from skipln.ops.cross_entropy import smoothed_cross_entropy
from skipln.ops.linear import Linear, linear
from skipln.ops.output_cross_entropy import output_cross_entropy
from skipln.ops.packed import Packed
from skipln.ops.residual_norm import scaled_residual_norm
from skipln.ops.topk_log_softmax import best_words, topk_log_softmax

__all__ = [
    "Linear", "Packed", "attention", "batch_norm", "beam_attention", "best_words", "linear", "output_cross_entropy",
    "scaled_residual_norm", "smoothed_cross_entropy", "topk_log_softmax",
]  # fmt: skip
