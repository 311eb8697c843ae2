"""The best words and their log-probabilities, without storing those of all the others."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from skipln.ops.compiled import inference_kernel

SOURCE = Path(__file__).with_suffix(".cpp")
TOGETHER = 128  # rows whose logits a CPU makes and reads before it makes more, so that they stay in its cache


def best_words(
    hidden: Tensor, project: Callable[[Tensor], Tensor], k: int, token: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return `topk_log_softmax` of the logits project(hidden), which treats each of the rows [rows, dim] by itself."""
    chunks = hidden.split(TOGETHER if hidden.device.type == "cpu" else max(1, len(hidden)))
    values, words, of_token = zip(*(topk_log_softmax(project(x), k, token) for x in chunks), strict=True)
    return torch.cat(values), torch.cat(words), torch.cat(of_token)


def topk_log_softmax(logits: Tensor, k: int, token: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the k largest values of log p = log softmax(logits), their indices, and log p of `token`.

    logits: [rows, vocabulary]; the arithmetic is float32. Returns float32 [rows, k], largest first (equal values in any
    order), int64 [rows, k] and float32 [rows]. A compiled kernel computes it on the CPU where no gradient is asked for.
    """
    kernel = inference_kernel(SOURCE, logits)
    if kernel is None:
        return plain_topk_log_softmax(logits, k, token)
    rows, columns = logits.shape
    values, of_token = torch.empty(rows, k), torch.empty(rows)
    words = torch.empty(rows, k, dtype=torch.int64)
    kernel((rows, columns, k, token, torch.get_num_threads()), logits.contiguous(), values, words, of_token)
    return values, words, of_token


def plain_topk_log_softmax(logits: Tensor, k: int, token: int) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the same, operation by operation."""
    log_probs = logits.float().log_softmax(-1)
    values, words = log_probs.topk(k)
    return values, words, log_probs[:, token]
