"""Compare published recipes with their sources, value by value; the YAML says where we deviate on purpose."""

import pytest
from omegaconf import OmegaConf

from skipln.configuration.composition import CONFIGS, compose


def vaswani_lr(dim: int, warmup: int) -> float:
    """Return the highest learning rate of d^-.5 · min(step^-.5, step · warmup^-1.5), section 5.3."""
    return dim**-0.5 * warmup**-0.5


BASE = {"model.encoder_layers": 6, "model.decoder_layers": 6, "model.dim": 512, "model.feed_forward_dim": 2048}
BIG = {"model.encoder_layers": 6, "model.decoder_layers": 6, "model.dim": 1024, "model.feed_forward_dim": 4096}
TEXT = {"task.label_smoothing": 0.1, "task.beam": 4, "task.length_penalty": 0.6, "optim.weight_decay": 0.0}
SOURCES = {
    # Vaswani et al. 2017, sections 5 and 6.1, table 3
    "wmt14_base": BASE | TEXT | {
        "model.heads": 8, "model.dropout": 0.1, "optim.betas": [0.9, 0.98], "optim.eps": 1e-9, "optim.clip": 0.0,
        "schedule.warmup": 4000, "optim.lr": vaswani_lr(512, 4000), "training.updates": 100_000, "training.average": 5,
        "data.vocabulary": 37_000, "task.penalty": "gnmt",
    },
    "wmt14_big": BIG | TEXT | {
        "model.heads": 16, "model.dropout": 0.3, "optim.betas": [0.9, 0.98], "optim.eps": 1e-9, "optim.clip": 0.0,
        "schedule.warmup": 4000, "optim.lr": vaswani_lr(1024, 4000), "training.updates": 300_000,
        "training.average": 20, "data.vocabulary": 37_000, "task.penalty": "gnmt",
    },
    # fairseq, examples/scaling_nmt/README.md at 2b7c3e4; --adam-eps keeps its default, 1e-8, and the architecture
    # transformer_vaswani_wmt_en_de_big has no dropout but that of the branches
    "wmt14_big_ott": BIG | TEXT | {
        "model.heads": 16, "model.dropout": 0.3, "model.attention_dropout": 0.0, "model.activation_dropout": 0.0,
        "optim.betas": [0.9, 0.98], "optim.eps": 1e-8, "optim.clip": 0.0, "schedule.warmup": 4000, "optim.lr": 1e-3,
        "training.accumulate": 8 * 16, "training.max_tokens": 3584, "training.average": 10, "precision.name": "fp16",
        "data.vocabulary": 32_000, "task.penalty": "power",
    },
    # tnq177/transformers_without_tears, configurations.py at 0d3bd22, controller.py (torch's Adam) and readme.md
    "translation_paper": BASE | TEXT | {
        "model.heads": 8, "model.dropout": 0.3, "model.attention_dropout": 0.3, "model.activation_dropout": 0.3,
        "model.word_dropout": 0.1,
        "optim.betas": [0.9, 0.999], "optim.eps": 1e-8, "optim.clip": 1.0, "schedule.warmup": 8000,
        "optim.lr": vaswani_lr(512, 8000), "training.max_tokens": 4096 // 2, "data.vocabulary": 8000,
        "task.penalty": "gnmt", "task.extra_length": 50,
    },
    # He et al. 2016a, section 4.2 (2016b uses the same), and 2016b, table 2
    "classification_paper": {
        "model.blocks": [(110 - 2) // 6] * 3, "model.width": 16, "model.block": "basic", "model.activation": "pre",
        "training.batch": 128, "training.updates": 64_000, "schedule.milestones": [32_000, 48_000],
        "schedule.factor": 0.1, "schedule.warmup": 400, "schedule.warmup_factor": 0.1, "optim.lr": 0.1,
        "optim.momentum": 0.9, "optim.weight_decay": 1e-4, "data.valid": 0, "data.pad": 4, "data.flip": True,
    },
    # pytorch/vision, references/classification/train.py: the defaults, on 8 GPUs
    "imagenet": {
        "model.blocks": [3, 4, 6, 3], "training.batch": 32, "training.accumulate": 8,
        "training.updates": 90 * 5004, "schedule.milestones": [30 * 5004, 60 * 5004], "schedule.factor": 0.1,
        "optim.lr": 0.1, "optim.momentum": 0.9, "optim.weight_decay": 1e-4, "data.resize": 256, "data.crop": 224,
    },
}  # fmt: skip


@pytest.mark.parametrize("recipe", SOURCES)
def test_a_recipe_has_its_sources_values(recipe):
    task = "translation" if "translation" in recipe or "wmt" in recipe else "classification"
    dirs = ["data.dir=somewhere"] if recipe == "imagenet" else []
    config = OmegaConf.create(compose([f"task={task}", "scale=paper", f"recipe={recipe}", *dirs]).model_dump())
    found = {key: OmegaConf.select(config, key) for key in SOURCES[recipe]}
    assert {key: list(v) if isinstance(v, list) or OmegaConf.is_list(v) else v for key, v in found.items()} == {
        key: pytest.approx(value, rel=1e-3) if isinstance(value, float) else value
        for key, value in SOURCES[recipe].items()
    }


def test_every_recipe_has_the_same_divergence_threshold():
    """A table's footnote states one threshold for all recipes."""
    recipes = [OmegaConf.load(path) for path in (CONFIGS / "recipe").glob("*.yaml")]
    assert recipes and {recipe.training.diverged_above for recipe in recipes} == {20.0}
