"""README.md of an export: what the model is, its training data, its score, and how to use it."""

from skipln.configuration.schema import Translation
from skipln.report.markdown import aligned, in_cell, inert
from skipln.report.numbers import EMPTY
from skipln.report.provenance import arithmetic, code, machine
from skipln.trained.run import Run

CARD = "README.md"

SAFETENSORS = """
```python
import skipln
run = skipln.load_run(".")
```

`config.yaml` is the whole configuration, and `inputs/` prepares raw inputs. `skipln-translate`, `skipln-classify` and
`skipln-evaluate` take this folder like a run's.
"""
ONNX = """
```python
import json
import numpy, onnxruntime

pixels = numpy.zeros((1, {channels}, {height}, {width}), numpy.uint8)  # batch, channels, height, width
net = onnxruntime.InferenceSession("model.onnx")
probabilities = net.run(["probabilities"], {{"pixels": pixels}})[0]
print(json.load(open("images.json"))["classes"][probabilities[0].argmax()])
```
"""
CTRANSLATE2 = """
```python
import ctranslate2, sentencepiece

text = sentencepiece.SentencePieceProcessor(model_file="vocabulary.model")
pieces = text.encode("a sentence", out_type=str)
model = ctranslate2.Translator(".")
(found,) = model.translate_batch([pieces], beam_size={beam}, length_penalty={penalty:g})
print(text.decode(found.hypotheses[0]))
```
"""
CTRANSLATE2_BPE = """
```python
import ctranslate2
from pathlib import Path
from skipln.data.text.raw import RawText

text = RawText.load(Path(), {encoding!r}, {vocabulary}, {source!r}, {target!r})
all_pieces = text.vocabulary.pieces()
pieces = [all_pieces[i] for i in text.encode("a sentence")]
model = ctranslate2.Translator(".")
(found,) = model.translate_batch([pieces], beam_size={beam}, length_penalty={penalty:g})
print(text.decode([all_pieces.index(piece) for piece in found.hypotheses[0]]))
```
"""
OTHER_PENALTY = """
The run was scored with the length penalty ((5 + length) / 6)^{alpha:g}, which CTranslate2 lacks; its own is length^α.
With a beam of 1 the translations are the same; with a wider beam some differ.
"""


def card(run: Run, to: str) -> str:
    """Return the page of a run that was exported to the format `to`."""
    config, result = run.config, run.result
    data, environment = result.data, result.environment
    skip = " ".join(f"{key}={value}" for key, value in config.skip.items() if key != "name")
    translates = isinstance(config.task, Translation)
    languages = f", {config.data.source} to {config.data.target}" if translates else ""  # type: ignore[union-attr]
    scores = [
        [
            in_cell(name),
            f"{value:.2f}",
            in_cell(f"`{signature}`") if (signature := result.signatures.get(name)) else EMPTY,
        ]
        for name, value in result.metrics.items()
    ]
    tested = getattr(config.task, "test", True)  # otherwise a search kept the test set for the chosen run
    mean_of = config.training.average
    averaged = "the last checkpoint's" if mean_of == 1 else f"the mean of the last {mean_of} checkpoints"
    parts = [
        inert(f"# {config.skip['name']}, trained on {data.name}{languages}"),
        inert(
            f"A {config.model.kind} of {result.parameters:,} parameters whose layers are joined to their inputs by "
            f"`{config.skip['name']}`{f' ({skip})' if skip else ''}, exported by skipln to {to}."
        ),
        "## Use",
        _use(run, to).strip("\n"),
        "## Score",
        aligned([["metric", "test set" if tested else "validation set", "signature"], *scores]),
        f"One run, seed {config.seed}; {f'{data.test_examples:,} test examples' if tested else 'not tested'}.",
        "## Made of",
        "\n".join(
            inert(f"- {text}")
            for text in (
                f"Data: {data.name}, fingerprint `{data.fingerprint}`. Its licence is the data's own.",
                f"Run: `{config.hash}`, {result.update:,} updates; its weights are {averaged}.",
                f"Code: {code(environment)}.",
                f"Hardware: {machine(environment)}; arithmetic {arithmetic(environment, 'unknown')}.",
            )
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _use(run: Run, to: str) -> str:
    """Return, in Markdown, how to use an export."""
    if to == "safetensors":
        return SAFETENSORS
    if to == "onnx":
        assert run.images is not None
        return ONNX.format(channels=run.images.channels, height=run.images.size[0], width=run.images.size[1])
    task, data = run.config.task, run.config.data
    assert isinstance(task, Translation)
    alike = task.penalty == "power" or not task.length_penalty
    search = {"beam": task.beam, "penalty": task.length_penalty if alike else 1}
    plain = getattr(data, "encoding", "sentencepiece") == "sentencepiece"
    code = (CTRANSLATE2 if plain else CTRANSLATE2_BPE).format(**search, **data.model_dump())
    return code if alike else code + OTHER_PENALTY.format(alpha=task.length_penalty)
