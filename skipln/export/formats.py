"""Writes a loaded run in each of the formats."""

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from skipln.configuration.schema import JsonlTracker, LocalLauncher, Paths, RunConfig, Translation
from skipln.data.images.inputs import ImageInputs
from skipln.engine.weights.tensors import save_tensors
from skipln.errors import UserError
from skipln.export.card import CARD, card
from skipln.export.folder import export_folder
from skipln.interop.ctranslate2 import SPECIAL, save_model
from skipln.models.transformer import Transformer
from skipln.runs.folder import RunFolder
from skipln.runs.weights import EXPORTED
from skipln.seam.fused import one_pass
from skipln.system.files import atomic_write
from skipln.tasks.connections import field_form
from skipln.tasks.translation import first_and_last
from skipln.trained.run import Run

POSITIONS = 1024  # of a CTranslate2 model at least; more if the run was trained on longer sentences


def export(run: Run, to: str, folder: Path) -> None:
    """Write `run` to `folder` as "ctranslate2", "safetensors" or "onnx", with a page about it, whole or not at all.

    Raises UserError for a run that the format cannot hold.
    """
    write: Callable[[Run, Path], None] = {"ctranslate2": _ctranslate2, "safetensors": _safetensors, "onnx": _onnx}[to]
    with export_folder(folder, {"format": to, "run": run.config.hash}) as work:
        write(run, work)
        with atomic_write(work / CARD, "w") as file:
            file.write(card(run, to))


def _ctranslate2(run: Run, folder: Path) -> None:
    config = run.config
    if not isinstance(config.task, Translation) or not isinstance(run.model, Transformer):
        raise UserError("--to ctranslate2: it holds translation models, but this run classifies images: --to onnx")
    if config.attention["name"] != "softmax":
        raise UserError(f"--to ctranslate2: it has no attention={config.attention['name']}: --to safetensors")
    form = field_form(config.skip, config.norm)
    if not form:
        chosen = " ".join([*_overrides("skip", config.skip), *_overrides("norm", config.norm)])
        raise UserError(
            "--to ctranslate2: it holds post-LN (xskip_ln and rskip_ln with λ = 1) and pre-LN (pre_ln, skip with "
            f"pre_norm) with plain LN, but not {chosen}: --to safetensors holds all"
        )
    start, _ = first_and_last(config.task)
    longest = config.data.max_length + config.task.extra_length + 2  # type: ignore[union-attr]
    pieces = run.vocabulary.pieces()
    save_model(run.model, form, pieces, folder, start=SPECIAL[start], positions=max(POSITIONS, longest))
    for path in RunFolder(run.folder).inputs.iterdir():
        shutil.copyfile(path, folder / path.name)


def _overrides(group: str, chosen: dict[str, Any]) -> list[str]:
    """Return a choice and its options as they would be given on the command line."""
    return [f"{group}={chosen['name']}", *(f"{group}.{key}={value}" for key, value in chosen.items() if key != "name")]


def _safetensors(run: Run, folder: Path) -> None:
    made = RunFolder(folder)
    about = {"format": "pt", "run": run.config.hash, "update": str(run.result.update)}
    save_tensors(folder / EXPORTED, run.model.state_dict(), about)
    made.write_config(without_machine(run.config))
    shutil.copytree(RunFolder(run.folder).inputs, made.inputs)
    made.write_result(run.result)  # last, with the checksums of what is there


def without_machine(config: RunConfig) -> RunConfig:
    """Return the configuration without the folders of the machine that made the run."""
    update: dict[str, Any] = {
        "paths": Paths(runs="runs", cache="data"),
        "tracker": JsonlTracker(name="jsonl"),
        "launcher": LocalLauncher(name="local"),
    }
    if hasattr(config.data, "dir"):
        update["data"] = config.data.model_copy(update={"dir": "FOLDER"})
    return config.model_copy(update=update)


class Classifier(nn.Module):
    """uint8 pixels [batch, channels, height, width] → probabilities [batch, classes], like `Run.probabilities`."""

    def __init__(self, net: nn.Module, inputs: ImageInputs) -> None:
        super().__init__()
        self.net, self.inputs = net, inputs

    def forward(self, pixels: Tensor) -> Tensor:
        return self.net(self.inputs.normalised(pixels)).softmax(1)


def _onnx(run: Run, folder: Path) -> None:
    if run.images is None:
        raise UserError("--to onnx: it is for classifiers, but this run translates: --to ctranslate2 or safetensors")
    inputs = run.images
    pixels = torch.zeros(2, inputs.channels, *inputs.size, dtype=torch.uint8)
    with one_pass(False), torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about itself
        torch.onnx.export(
            Classifier(run.model, inputs).eval(),
            (pixels,),
            str(folder / "model.onnx"),
            dynamo=True,
            external_data=False,
            input_names=["pixels"],
            output_names=["probabilities"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    inputs.save(folder)
