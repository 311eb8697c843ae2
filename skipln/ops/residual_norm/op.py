"""`scaled_residual_norm`: the residual site as one torch operator, whichever implementation runs it.

x, F and two numbers per row and step are kept for the backward; with one step their sum is kept instead, as in the
plain form. The backward recomputes the steps from them. The operators take every setting as an argument of its own,
because an operator's schema has no records; inside, the settings are a `Site`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from skipln.ops.residual_norm import cpu, cuda, reference
from skipln.ops.residual_norm.reference import Site


def scaled_residual_norm(
    x: Tensor,
    f: Tensor,
    gains: Sequence[Tensor] = (),
    biases: Sequence[Tensor] = (),
    *,
    steps: int = 1,
    scale: float = 1.0,
    eps: float = 1e-5,
    dropout: float = 0.0,
    layout: str = "btc",
) -> Tensor:
    """y_0 = dropout(F), y_k = LN_k(scale·x + y_{k−1}) for k = 1 … steps; returns y_steps.

    x, f: [..., channels] for layout "btc", [batch, channels, height, width] for "nchw"; float64, float32, float16 or
    bfloat16. The result has the dtype that torch promotes the two to.
    gains, biases: [channels] each; one for each step, or one for all steps, or none for LN without gain and bias.
    dropout: the probability of dropping an element of F, drawn from torch's default generator; no mask is stored.
    xSkip+LN is steps=1, scale=λ; rSkip+LN is steps=λ, scale=1 (Liu et al. 2020).
    Raises ValueError if the shapes or the numbers of gains and biases do not fit.
    """
    if x.shape != f.shape or x.dim() < (2 if layout == "btc" else 4):
        raise ValueError(
            "x and F(x) must have the same shape, [..., channels] or [batch, channels, height, width], "
            f"not {tuple(x.shape)} and {tuple(f.shape)}"
        )
    if steps < 1 or len(gains) != len(biases) or len(gains) not in (0, 1, steps):
        raise ValueError(
            f"steps must be at least 1, with no gain and bias, one for all steps, or one for each of the {steps} steps"
        )
    seed = torch.randint(-(2**63), 2**63 - 1, (), device=x.device) if dropout else None
    site = (steps, scale, eps, dropout, seed, layout)
    if torch.compiler.is_compiling() or type(x) is not Tensor or type(f) is not Tensor:
        return forward_op(x, f, list(gains), list(biases), *site)[0]
    return _Eager.apply(x, f, site, *gains, *biases)[0]


def fused(x: Tensor, f: Tensor, layout: str) -> bool:
    """Return whether there is a kernel for the device and dtypes of x and f; the first call may compile it."""
    return x.device == f.device and _implementation(x, x.dtype, f.dtype, layout) is not None


def _forward(
    x: Tensor, f: Tensor, gains: Sequence[Tensor], biases: Sequence[Tensor], steps: int, scale: float, eps: float,
    dropout: float, seed: Tensor | None, layout: str,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    site = Site(steps, scale, eps, dropout, seed, layout)
    run = _implementation(x, x.dtype, f.dtype, layout)
    y, kept, statistics = (run or reference).forward(x, f, gains, biases, site)
    dense = reference.memory_format(x, layout)
    return y.contiguous(memory_format=dense), kept if steps > 1 else kept.contiguous(memory_format=dense), statistics


def _backward(
    gy: Tensor, x: Tensor | None, f: Tensor | None, kept: Tensor, statistics: Tensor, gains: Sequence[Tensor],
    biases: Sequence[Tensor], x_dtype: torch.dtype, f_dtype: torch.dtype, steps: int, scale: float, eps: float,
    dropout: float, seed: Tensor | None, layout: str,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    site, both = Site(steps, scale, eps, dropout, seed, layout), _both((x_dtype, f_dtype), steps, scale, dropout)
    run = _implementation(gy, x_dtype, f_dtype, layout)
    if run is not None:
        return run.backward(gy, x, f, kept, statistics, gains, biases, (x_dtype, f_dtype), site, both)
    gx, gf, weights = reference.backward(gy, x, f, kept, gains, biases, site)
    dense = reference.memory_format(kept if x is None else x, layout)
    gx = gx.to(x_dtype, memory_format=dense) if both else gx.new_empty(0, dtype=x_dtype)
    return gx, gf.to(f_dtype, memory_format=dense), weights


forward_op = torch.library.custom_op("skipln::scaled_residual_norm", _forward, mutates_args=())
backward_op = torch.library.custom_op("skipln::scaled_residual_norm_backward", _backward, mutates_args=())


def _implementation(like: Tensor, x: torch.dtype, f: torch.dtype, layout: str) -> Any:
    """Return the module with a kernel for such tensors; None if there is none, or nothing to do in an empty batch."""
    if like.numel() == 0:
        return None
    module = {"cpu": cpu, "cuda": cuda}.get(like.device.type)
    return module if module is not None and module.available(x, f, layout) else None


def _both(dtypes: Sequence[torch.dtype], steps: int, scale: float, dropout: float) -> bool:
    """Return whether the gradients of x and F differ: they are equal if one step only adds the two."""
    return steps > 1 or scale != 1 or dropout > 0 or dtypes[0] != dtypes[1]


def _rows(x: Tensor, layout: str) -> int:
    return x.shape[0] if layout == "nchw" else x.numel() // x.shape[-1]


@forward_op.register_fake
def _(x, f, gains, biases, steps, scale, eps, dropout, seed, layout):  # type: ignore[no-untyped-def]
    dense = reference.memory_format(x, layout)
    y = torch.empty_like(x, dtype=torch.promote_types(x.dtype, f.dtype), memory_format=dense)
    wide = torch.float64 if y.dtype == torch.float64 else torch.float32
    kept = torch.empty_like(y) if steps == 1 else y.new_empty(0)
    return y, kept, y.new_empty(_rows(x, layout), steps, 2, dtype=wide)


@backward_op.register_fake
def _(gy, x, f, kept, statistics, gains, biases, x_dtype, f_dtype, steps, scale, eps, dropout, seed, layout):  # type: ignore[no-untyped-def]
    empty = torch.empty_like(gy, memory_format=reference.memory_format(kept if x is None else x, layout))
    both = _both((x_dtype, f_dtype), steps, scale, dropout)
    channels = gains[0].numel() if gains else 0
    gx = torch.empty_like(empty, dtype=x_dtype) if both else gy.new_empty(0, dtype=x_dtype)
    return gx, torch.empty_like(empty, dtype=f_dtype), statistics.new_empty(steps, 2, channels)


def _keep(ctx: Any, inputs: tuple, output: tuple) -> None:
    x, f, gains, biases, *rest = inputs
    site = Site(*rest)
    _, kept, statistics = output
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(statistics)
    ctx.site, ctx.count, ctx.dtypes = site._replace(seed=None), len(gains), (x.dtype, f.dtype)
    ctx.save_for_backward(*(() if site.steps == 1 else (x, f)), kept, statistics, site.seed, *gains, *biases)


def _differentiate(ctx: Any, gy: Tensor | None, gkept: Tensor | None, *_: Any) -> tuple:
    once = ctx.site.steps == 1
    x, f = (None, None) if once else ctx.saved_tensors[:2]
    kept, statistics, seed, *weights = ctx.saved_tensors[0 if once else 2 :]
    gains, biases = weights[: ctx.count], weights[ctx.count :]
    site: Site = ctx.site._replace(seed=seed)
    gx, gf = None, None
    ggains: Sequence[Tensor | None] = [None] * ctx.count
    gbiases: Sequence[Tensor | None] = ggains
    if gy is not None:
        run: Any = _backward if getattr(ctx, "bare", False) and not torch.is_grad_enabled() else backward_op
        gx, gf, gweights = run(gy, x, f, kept, statistics, gains, biases, *ctx.dtypes, *site)
        if not _both(ctx.dtypes, site.steps, site.scale, site.dropout):
            gx = gf
        ggains, gbiases = (
            [g.to(w) for g, w in zip(pair, weights, strict=False)] for pair in _per_weight(gweights, ctx.count)
        )
    if gkept is not None and once:  # only when the gradient itself is differentiated
        wide = gkept.float() if gkept.dtype != torch.float64 else gkept
        more = (site.scale * wide).to(ctx.dtypes[0]), reference.dropped(wide, site).to(ctx.dtypes[1])
        gx, gf = (g if old is None else old + g for old, g in zip((gx, gf), more, strict=True))
    return gx, gf, ggains, gbiases, *[None] * 6


def _per_weight(gradients: Tensor, count: int) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Split [steps, 2, channels] into the gradients of `count` gains and as many biases."""
    if count == 1:
        gradients = gradients.sum(0, keepdim=True)
    return (gradients[:, 0].unbind(), gradients[:, 1].unbind()) if count else ([], [])


def _keep_for_second(ctx: Any, inputs: tuple, output: tuple) -> None:
    gy, x, f, kept, _, gains, biases, *rest = inputs
    site = Site(*rest[2:])
    ctx.site, ctx.count, ctx.once = site._replace(seed=None), len(gains), x is None
    ctx.both = _both(rest[:2], site.steps, site.scale, site.dropout)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(site.seed, gy, kept, *(() if x is None else (x, f)), *gains, *biases)


def _differentiate_twice(ctx: Any, *outer: Tensor | None) -> tuple:
    """Differentiate the backward through the reference."""
    seed, *saved = ctx.saved_tensors
    site = ctx.site._replace(seed=seed)
    with torch.enable_grad():
        tensors = [t.detach().requires_grad_() for t in saved]
        gy, kept, *others = tensors
        x, f = (None, None) if ctx.once else others[:2]
        weights = others[0 if ctx.once else 2 :]
        gains, biases = weights[: ctx.count], weights[ctx.count :]
        results = reference.backward(gy, x, f, kept, gains, biases, site)
        pairs = [(r, g.to(r.dtype)) for r, g in zip(results, outer, strict=True) if g is not None and r.requires_grad]
        pairs = pairs if ctx.both else [(r, g) for r, g in pairs if r is not results[0]]
        if not pairs:
            return (*[None] * 5, *[[None] * ctx.count] * 2, *[None] * 8)
        outputs, given = zip(*pairs, strict=True)
        wanted = torch.autograd.grad(outputs, tensors, given, allow_unused=True)
    ggy, gkept, *gothers = wanted
    gx, gf = (None, None) if ctx.once else gothers[:2]
    gweights = gothers[0 if ctx.once else 2 :]
    return ggy, gx, gf, gkept if ctx.once else None, None, gweights[: ctx.count], gweights[ctx.count :], *[None] * 8


class _Eager(torch.autograd.Function):
    """The operator without torch's dispatcher, whose bookkeeping takes longer than a small site."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, f: Tensor, site: tuple, *weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gains, biases = weights[: len(weights) // 2], weights[len(weights) // 2 :]
        output = _forward(x, f, gains, biases, *site)
        _keep(ctx, (x, f, gains, biases, *site), output)
        ctx.bare = True
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple:
        gx, gf, ggains, gbiases, *_ = _differentiate(ctx, *gradients)
        return gx, gf, None, *ggains, *gbiases


torch.library.register_autograd("skipln::scaled_residual_norm", _differentiate, setup_context=_keep)
torch.library.register_autograd(
    "skipln::scaled_residual_norm_backward", _differentiate_twice, setup_context=_keep_for_second
)
