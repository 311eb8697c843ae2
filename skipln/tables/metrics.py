"""The metrics a table can show: names, direction, printed decimals, and the example statistics that runs keep."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """`key` is its name in result.json's "metrics"; the curve of the validation set is "valid/<key>"."""

    key: str
    label: str
    better: Literal["higher", "lower"]
    decimals: int
    curve: bool = True  # whether it is measured on the validation set during training
    examples: Literal["sentences", "images"] | None = (
        None  # the examples whose statistics a run keeps, for the test over examples
    )


METRICS = {
    metric.key: metric
    for metric in (
        Metric("bleu", "BLEU", "higher", 1, examples="sentences"),
        Metric("chrf", "chrF", "higher", 1),
        Metric("error", "error %", "lower", 2, examples="images"),
        Metric("error5", "top-5 error %", "lower", 2, examples="images"),
        Metric("bleu_short", "BLEU of the shorter half", "higher", 1, curve=False),
        Metric("bleu_long", "BLEU of the longer half", "higher", 1, curve=False),
        Metric("success", "transfer success %", "higher", 1, curve=False, examples="images"),
        Metric("valid_loss", "valid loss", "lower", 3),
        Metric("bleu_tokenised", "tokenised BLEU", "higher", 1),  # on Moses' tokens, compounds split
    )
}
