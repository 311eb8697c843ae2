"""A run's configuration as arguments of fairseq-train and fairseq-generate, and what these cannot express."""

from dataclasses import replace
from pathlib import Path

from skipln.configuration.schema import (
    Adam,
    InverseSqrt,
    RunConfig,
    TextTraining,
    TransformerModel,
    Translation,
    Warmup,
)
from skipln.errors import UserError
from skipln.interop.fairseq import USER_DIR
from skipln.interop.fairseq.checkpoint import model_arguments, model_of_config
from skipln.interop.fairseq.flags import refuse_what_fairseq_lacks
from skipln.interop.fairseq.weights import Model


def fairseq_model(config: RunConfig) -> Model:
    """Return a run's model as fairseq trains it, with fairseq's own positions and begin symbol."""
    model = model_of_config(config.model_dump())
    return replace(model, shape=replace(model.shape, positions="fairseq"), start="eos")


def train_arguments(config: RunConfig, data: Path, checkpoints: Path, vocabulary: int, cpu: bool) -> list[str]:
    """Return the arguments of fairseq-train. Raises UserError for what fairseq cannot do."""
    task, training, optim = config.task, config.training, config.optim
    if not (isinstance(task, Translation) and isinstance(training, TextTraining)):
        raise UserError("engine=fairseq trains translation: set task=translation, or engine=skipln")
    if not task.test:
        raise UserError("engine=fairseq reads the test set at the end: set task.test=true, or engine=skipln")
    if config.attention["name"] != "softmax":
        raise UserError(f"engine=fairseq has attention=softmax, not {config.attention['name']}")
    if not isinstance(optim, Adam):
        raise UserError(f"engine=fairseq has optim=adam, not {optim.name}")
    if optim.weight_decay:
        raise UserError(
            "engine=fairseq decays weights apart from the gradient: set optim.weight_decay=0, or engine=skipln"
        )
    if isinstance(config.model, TransformerModel) and config.model.word_dropout:
        raise UserError("engine=fairseq has no word dropout: set model.word_dropout=0, or engine=skipln")
    if config.compute.nodes > 1 or (cpu and config.compute.devices > 1):
        raise UserError("engine=fairseq runs on one node, on a CPU in one process: see compute.nodes, compute.devices")
    refuse_what_fairseq_lacks(config.skip, config.norm)
    flags: dict[str, object] = {
        "optimizer": "adam", "adam-betas": f"({optim.betas[0]}, {optim.betas[1]})", "adam-eps": optim.eps,
        "lr": optim.lr, "clip-norm": optim.clip, **_schedule(config),
        "criterion": "label_smoothed_cross_entropy",
        # fairseq gives each of the V symbols ε / (V − 1) where we give ε / V; this factor makes them equal.
        "label-smoothing": task.label_smoothing * (vocabulary - 1) / vocabulary,
        "max-tokens": training.max_tokens, "max-update": training.updates,
        "update-freq": training.accumulate // config.compute.devices,
        "distributed-world-size": config.compute.devices,
        "stop-time-hours": training.wall_limit / 3600, "seed": config.seed,
        "save-dir": checkpoints, "save-interval-updates": training.checkpoint_every,
        "keep-interval-updates": training.average, "save-interval": 10**6, "validate-interval": 10**6,
        "log-format": "json", "log-interval": training.log_every, "num-workers": 0,
    }  # fmt: skip
    model = fairseq_model(config)
    for name, value in model_arguments(model).items():
        if value is True:
            flags[name.replace("_", "-")] = ""
        elif value is not False:
            flags[name.replace("_", "-")] = value
    return [
        str(data),
        *_common(config, model),
        *(["--cpu"] if cpu else []),
        *({"fp16": ["--fp16"], "bf16": ["--bf16"], "fp32": []}[precision(config, cpu)]),
        "--no-epoch-checkpoints",
        *_flat(flags),
    ]


def precision(config: RunConfig, cpu: bool) -> str:
    """Return the precision in which fairseq computes; on a CPU it has only fp32."""
    return "fp32" if cpu else {"auto": "bf16"}.get(config.precision.name, config.precision.name)


def generate_arguments(config: RunConfig, data: Path, checkpoint: Path, cpu: bool) -> list[str]:
    """Return the arguments of fairseq-generate for the test set."""
    task = config.task
    assert isinstance(task, Translation)  # train_arguments has checked this
    extra = task.extra_length - 1  # fairseq counts </s> in a source's length
    flags: dict[str, object] = {
        "path": checkpoint, "gen-subset": "test", "beam": task.beam, "lenpen": task.length_penalty,
        "max-len-a": 1, "max-len-b": extra, "min-len": 0, "max-tokens": 2048, "num-workers": 0,
    }  # fmt: skip
    return [str(data), *_common(config, fairseq_model(config)), *(["--cpu"] if cpu else []), *_flat(flags)]


def differences(config: RunConfig, cpu: bool) -> list[str]:
    """List for the record what fairseq does differently from our engine."""
    task, found = config.task, []
    assert isinstance(task, Translation)
    if fairseq_model(config) != model_of_config(config.model_dump()):
        found.append("tensor2tensor's sinusoids from 2, targets begin with </s>")
    found.append("the learning rate lags one update behind")
    if cpu and config.precision.name != "fp32":
        found.append("fp32, the only precision that fairseq has on a CPU")
    if task.penalty != "power" and task.length_penalty:
        found.append(f"length penalty length^{task.length_penalty}")
    if config.training.average > 1 and config.skip["name"].endswith("_bn"):
        found.append("batch norm's statistics are averaged over checkpoints")
    found.append("outputs limited by the longest source of their batch")
    return found


def _schedule(config: RunConfig) -> dict[str, object]:
    schedule, updates = config.schedule, config.training.updates
    if isinstance(schedule, InverseSqrt):
        return {"lr-scheduler": "inverse_sqrt", "warmup-updates": schedule.warmup}
    if not isinstance(schedule, Warmup):
        raise UserError(
            f"engine=fairseq has no schedule={schedule.name}: choose inverse_sqrt, linear, cosine, constant"
        )
    if schedule.name == "linear":
        return {"lr-scheduler": "polynomial_decay", "warmup-updates": schedule.warmup, "total-num-update": updates}
    if schedule.name == "cosine":
        period = updates - schedule.warmup
        return {"lr-scheduler": "cosine", "warmup-updates": schedule.warmup, "lr-period-updates": period}
    return {"lr-scheduler": "fixed", "warmup-updates": schedule.warmup}


def _common(config: RunConfig, model: Model) -> list[str]:
    """Set languages and plug-in; keep sentences beyond a multiple of 8, which fairseq drops by default (#5036)."""
    source, target = getattr(config.data, "source", "en"), getattr(config.data, "target", "de")
    common = ["--source-lang", source, "--target-lang", target, "--required-batch-size-multiple", "1"]
    return common if model.own else [*common, "--user-dir", str(USER_DIR)]


def _flat(flags: dict[str, object]) -> list[str]:
    return [text for name, value in flags.items() for text in (f"--{name}", str(value)) if text]
