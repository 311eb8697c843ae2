"""float32 products by oneDNN on processors of which MKL, torch's own choice, leaves half unused."""

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skipln.ops.packed import Packed
from skipln.ops.processor import flags, vendor

SMALLEST = 2**20  # multiplications; with fewer, the call to oneDNN takes longer than they do


class Linear(nn.Linear):
    """y = x Wᵀ + b: torch.nn.Linear, computed by `linear`, or by `packed` where that is set, as it is to decode."""

    packed: Packed | None = None

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias) if self.packed is None else self.packed(input)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b, as in torch.nn.functional.linear; x [..., in], weight [out, in], bias [out].

    On processors not made by Intel, MKL multiplies float32 with AVX2 even where there is AVX-512. oneDNN, which torch
    calls for bfloat16, uses AVX-512. Elsewhere, in any other dtype and under autocast, torch's own product is used.
    """
    if torch.compiler.is_compiling():  # torch's compiler chooses
        return F.linear(x, weight, bias)
    if not (x.dtype == torch.float32 == weight.dtype and x.device.type == "cpu" and onednn_is_faster()):
        return F.linear(x, weight, bias)
    if torch.is_autocast_enabled("cpu") or x.numel() * weight.size(0) < max(SMALLEST, 1):
        return F.linear(x, weight, bias)
    rows = x.reshape(-1, x.size(-1))
    if not torch.is_grad_enabled():
        return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "").view(*x.shape[:-1], -1)
    out = _Product.apply(rows, weight) if bias is None else _Product.apply(rows, weight, bias)
    return out.view(*x.shape[:-1], -1)


def across(a: Tensor, b: Tensor) -> Tensor:
    """Aᵀ B by `linear`: [m, n] of [rows, m] and [rows, n], the gradient of a weight.

    oneDNN copies its first factor where that is transposed. So where it multiplies, the smaller one is the first, and
    the result may be a transposed view.
    """
    if a.size(1) > b.size(1) and a.dtype == torch.float32 and a.device.type == "cpu" and onednn_is_faster():
        return linear(b.t(), a.t()).t()
    return linear(a.t(), b.t())


@cache
def onednn_is_faster() -> bool:
    """Return whether the processor has AVX-512 that MKL does not use, and torch has oneDNN."""
    found = torch.backends.mkldnn.is_available() and "avx512f" in flags() and vendor() != "GenuineIntel"
    return found and hasattr(torch.ops.mkldnn, "_linear_pointwise")


class _Product(torch.autograd.Function):
    """a Bᵀ + bias. Its gradients are products of the same kind, so it has gradients of every order."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
        ctx.save_for_backward(a, b)
        return torch.ops.mkldnn._linear_pointwise(a, b, bias, "none", [], "")

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        a, b = ctx.saved_tensors
        of_a = _Product.apply(gradient, b.t()) if ctx.needs_input_grad[0] else None
        of_b = across(gradient, a) if ctx.needs_input_grad[1] else None
        return of_a, of_b, *(gradient.sum(0) for _ in ctx.needs_input_grad[2:])
