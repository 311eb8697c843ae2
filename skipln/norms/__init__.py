"""Norms: what a connection normalises with. A factory (dim, layout) makes one; it is called as norm(x, mask)."""

from skipln.norms.batch import BatchNorm, BatchNormRelu, batch_norm
from skipln.norms.layer import LayerNorm, layer_norm
from skipln.norms.rms import RMSNorm
from skipln.seam.norm import Norm, create, names, options, registry

__all__ = [
    "BatchNorm", "BatchNormRelu", "LayerNorm", "Norm", "RMSNorm", "batch_norm", "create", "layer_norm", "names",
    "options", "registry",
]  # fmt: skip
