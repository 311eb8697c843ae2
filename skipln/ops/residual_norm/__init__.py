"""The residual site of the `_ln` forms as one operator with a reference, a CPU and a CUDA implementation."""

from skipln.ops.residual_norm.op import fused, scaled_residual_norm

__all__ = ["fused", "scaled_residual_norm"]
