"""The largest of many numbers, found among the largest of their groups, which a CPU does faster."""

import torch
from torch import Tensor

GROUP = 8  # numbers in a group


def topk(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """`x.topk(k)` of x [rows, columns]: values and indices [rows, k], largest first; of equal ones any.

    A group that holds one of the k largest numbers is among the k groups with the largest maxima, which are found in
    the same way.
    """
    count = x.size(1) // GROUP
    if x.device.type != "cpu" or count < 2 * k:
        return torch.topk(x, k)
    grouped = count * GROUP
    maxima = x[:, :grouped].unflatten(1, (GROUP, count)).amax(1)  # strided groups: whole vectors are compared
    groups = topk(maxima, k)[1].unsqueeze(1) + torch.arange(0, grouped, count).unsqueeze(1)
    others = torch.arange(grouped, x.size(1)).expand(len(x), -1)  # columns of no group
    columns = torch.cat((groups.flatten(1), others), 1)
    values, place = x.gather(1, columns).topk(k)
    return values, columns.gather(1, place)
