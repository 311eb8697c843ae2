"""Attacks on a classifier that follow the sign of its gradient: PGD and MI-FGSM."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def attack(
    images: Tensor,
    labels: Tensor,
    logits: Callable[[Tensor], Tensor],
    *,
    epsilon: float,
    step: float,
    steps: int,
    decay: float | None = None,
) -> Tensor:
    """Images near `images` at which the cross-entropy of their true classes is higher.

    x_0 = x, without a random start; x_{t+1} = clip(x_t + step·sign(g_t)), clipped to within epsilon of x and to [0, 1].
    If decay is None, g_t is the gradient of the loss at x_t: PGD (Madry et al. 2018). Otherwise it is MI-FGSM (Dong et
    al. 2018): g_t = decay·g_{t−1} + gradient / mean |gradient|, with the mean over an image.

    images: [B, C, H, W] in [0, 1]; epsilon and step in the same unit. labels: int64 [B]. logits: the net.
    """
    adversarial, momentum = images, torch.zeros_like(images)
    for _ in range(steps):
        with torch.enable_grad():
            at = adversarial.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(cross_entropy(logits(at), labels, reduction="sum"), at)
        if decay is not None:
            size = gradient.abs().mean((1, 2, 3), keepdim=True)
            momentum = decay * momentum + gradient / size.clamp_min(torch.finfo(size.dtype).tiny)
            gradient = momentum
        moved = adversarial + step * gradient.sign()
        adversarial = (images + (moved - images).clamp(-epsilon, epsilon)).clamp(0, 1)
    return adversarial
