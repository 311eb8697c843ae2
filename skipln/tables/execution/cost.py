"""Estimate what a run will cost: its arithmetic divided by what a named GPU sustains. Shown as an estimate."""

from collections.abc import Sequence

from skipln.configuration.schema import ImageTraining, ResNetModel, RunConfig, TextTraining, TransformerModel
from skipln.tables.cells import Cell
from skipln.tables.store import Record

GPU = "NVIDIA A100"
PEAK = 312e12  # FLOP/s of dense bf16 and fp16 products (the vendor's data sheet)
SUSTAINED = {
    "tokens": 0.25,
    "images": 0.03,
}  # assumed share of the peak in a training step; it is low for small images
ASSUMED = (
    f"6 FLOPs per weight and token (text), or per multiply-add and image, on one {GPU} that is assumed to sustain "
    f"{SUSTAINED['tokens']:.0%} (text) or {SUSTAINED['images']:.0%} (images) of its {PEAK / 1e12:.0f} TFLOP/s in bf16; "
    "validation and test are not counted"
)
_SIDES = {"digits": 8, "fashion_mnist": 28}  # pixels; other published images have 32 a side


def gpu_hours(cell: Cell, records: Sequence[Record]) -> tuple[float, bool]:
    """(hours × GPUs of a run, whether a record of its row and column on a GPU measured them); 0 if nothing is
    trained.
    """
    if cell.config.inputs:
        return 0.0, False
    for record in records:
        on_gpu = str(record.environment.get("device", "cpu")) != "cpu"
        if (record.row, record.column, record.state) == (cell.row.name, cell.column.name, "done") and on_gpu:
            compute = record.config.get("compute", {})
            devices = compute.get("devices", 1) * compute.get("nodes", 1)
            return record.train_seconds / 3600 * devices, True
    unit = "tokens" if isinstance(cell.config.training, TextTraining) else "images"
    return flops(cell.config) / (PEAK * SUSTAINED[unit]) / 3600, False


def cpu_hours(cell: Cell, records: Sequence[Record]) -> float | None:
    """Hours of a run on a CPU, test included, from a record of its row and column; None without such a record."""
    for record in records:
        made_there = str(record.environment.get("device", "cpu")) == "cpu"
        if (record.row, record.column, record.state) == (cell.row.name, cell.column.name, "done") and made_there:
            trained = 0.0 if cell.config.inputs else record.train_seconds
            tested = 0.0 if cell.setting else record.test_seconds
            return (trained + tested) / 3600
    return None


def flops(config: RunConfig) -> float:
    """FLOPs of all updates, forward and backward: 2 + 4 for each multiplication by a weight.

    A Transformer multiplies each weight once per token. Source tokens meet the encoder's weights; target tokens meet
    the decoder's and the output matrix, which is the embedding. Both sides count `max_tokens`, padding included.
    Attention's products of activations are left out: under 10 % at sentence length.
    """
    training, model = config.training, config.model
    if isinstance(training, TextTraining) and isinstance(model, TransformerModel):
        vocabulary = getattr(config.data, "vocabulary", 0)
        per_micro_batch = float(weights(model, vocabulary) * training.max_tokens)
    else:
        assert isinstance(training, ImageTraining) and isinstance(model, ResNetModel)
        per_micro_batch = multiplications(model, _side(config)) * training.batch
    return 6.0 * per_micro_batch * training.accumulate * training.updates


def weights(model: TransformerModel, vocabulary: int) -> int:
    """The number of matrix entries in an encoder-decoder with one shared embedding."""
    d, inner = model.dim, 2 * model.dim * model.feed_forward_dim
    return vocabulary * d + model.encoder_layers * (4 * d * d + inner) + model.decoder_layers * (8 * d * d + inner)


def multiplications(model: ResNetModel, side: int) -> float:
    """Multiply-adds of the blocks' convolutions on one square image; each stage halves the side, doubles the width."""
    per_block = 18 if model.block == "basic" else 17  # 2 · 3×3, or 1×1 from 4w, 3×3, 1×1 to 4w; in units of w²
    first = side // 4 if model.stem == "large" else side
    return sum(model.blocks) * per_block * float(model.width * first) ** 2


def _side(config: RunConfig) -> int:
    data = config.data
    large = isinstance(config.model, ResNetModel) and config.model.stem == "large"
    named = _SIDES.get(getattr(data, "dataset", data.kind), 224 if large else 32)
    return getattr(data, "size", 0) or named
