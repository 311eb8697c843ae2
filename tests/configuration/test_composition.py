"""Configuration: every choice composes, every mistake is one line that lists the choices, and the hash is identity."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from skipln.configuration.composition import compose
from skipln.errors import UserError
from skipln.runs.identity import NOT_HASHED
from skipln.system.places import CONFIGS

GROUPS = {folder.name: sorted(p.stem for p in folder.glob("*.yaml")) for folder in CONFIGS.iterdir() if folder.is_dir()}
SKIPS = ", ".join(GROUPS["skip"])
CHOICES = [f"{group}={choice}" for group, choices in GROUPS.items() for choice in choices]
NEEDS = {"data=parallel_text": ["data.dir=x"], "data=multi30k": ["data.dir=x"], "scale=small": ["data.dir=x"]}
NEEDS["recipe=translation_small"] = ["data.dir=x"]
NEEDS["norm=mimic"] = ["task=classification", "model.norm=none", "model.head_norm=batch"]
# Choices that fit only the other task need it. The kind in a choice's file, or in the file it builds on, tells which.
for image_choice in CHOICES:
    if re.match(
        r"model=.*resnet|data=(digits|cifar|fashion|class|photo|imagenet)|recipe=(class|imagenet)", image_choice
    ):
        NEEDS[image_choice] = ["task=classification"]
for needy in (
    "data=class_folders", "data=cifar10_jpeg", "data=photographs", "data=imagenet",
    "recipe=classification_small", "recipe=imagenet",
):  # fmt: skip
    NEEDS[needy].append("data.dir=x")


NEEDS["task=transfer_attack"] = ["recipe=classification_demo", "inputs=[0123456789ab,0123456789ac]"]


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_composes(choice):
    config = compose([choice, *NEEDS.get(choice, [])])
    group, name = choice.split("=")
    if group in ("scale", "skip", "norm", "optim", "schedule", "precision"):
        node = getattr(config, group)
        assert (node["name"] if isinstance(node, dict) else node.name) == name


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("skip=foo", f"skip=foo: choose one of {SKIPS}"),
        *((f"skip={odd}", f"skip={odd}: choose one of {SKIPS}") for odd in ("2", "null", "[skip,1]", "{lam:1}", "2,3")),
        ("+norm=[]", "+norm=[]: choose one of ada, "),
        ("~skip", f"skip is missing: every run has one; choose one of {SKIPS}"),
        ("hydra=a/b", "the configuration has no key 'hydra': its keys are "),
        ("skip@=2", "skip@=2: "),
        ("training=2", "training=2: it is a group of keys; give them as training.KEY=VALUE"),
        ("paths=null", "paths=None: it is a group of keys; give them as paths.KEY=VALUE"),
        ("skip.name=foo", f"skip.name=foo: choose one of {SKIPS}"),
        ("skip=post_ln", f"skip=post_ln (it is xskip_ln, with lam=1): choose one of {SKIPS}"),
        ("skip.name=post_ln", f"skip.name=post_ln (it is xskip_ln, with lam=1): choose one of {SKIPS}"),
        ("skip=rskip_ln skip.per=channel", "skip=rskip_ln has no key 'per': the integer λ is not learned: rskip_ln_l"),
        ("skip=rskip_bn +skip.learned=true", "skip: rskip_bn has no option 'learned': the integer λ is not learned:"),
        ("skip=xskip skip.per=channel", "skip=xskip has no key 'per': this λ is not learned: xskip_learned learns"),
        ("skip.lam=a", "skip: xskip_ln: lam is a number greater than 0, not 'a'"),
        ("skip.lam=0", "skip: xskip_ln: lam is a number greater than 0, not 0.0"),
        ("skip.foo=2", "skip has no key 'foo': its keys are name, lam"),
        ("+skip.foo=2", "skip: xskip_ln has no option 'foo': its options are lam"),
        ("optim.lr=x", "optim.lr='x': input should be a valid number"),
        ("optim.lrr=1", "optim has no key 'lrr': its keys are name, lr, betas, eps, weight_decay, clip"),
        ("training.updates=0", "training.updates=0: input should be greater than 0"),
        ("training.updates=1.5", "training.updates=1.5: input should be a valid integer"),
        ("model.heads=3", "model.dim=128 is not divisible by model.heads=3"),
        ("data=parallel_text", "data.dir has no default: give it as data.dir=…"),
        ("precision=int8", "precision=int8: choose one of auto, bf16, fp16, fp32"),
        ("scale=huge", "scale=huge: choose one of demo, paper, small, test"),
        (
            "task=transfer_attack scale=test",
            "task=transfer_attack has no recipe: give the attacked run's, such as recipe=classification_test",
        ),
        ("task=transfer_attack recipe=mine", "recipe=mine: choose one of classification_demo, "),
        (
            "model=resnet18",
            "model: resnet is not for task=translation: choose one of transformer_base, transformer_big",
        ),
        ("data=cifar10", "data: cifar10 is not for task=translation: choose one of catalogs,"),
        ("compute.threads=999999", "compute.threads=999999: input should be less than or equal to 1024"),
        ("task=classification data=catalogs", "data: catalogs is not for task=classification: choose one of cifar10,"),
        ("task=classification training.batch=1", "training.batch=1: batch norm cannot train on one image"),
        ("task=classification model.block=wide", "model.block='wide': input should be 'basic' or 'bottleneck'"),
        (
            "task=classification recipe=imagenet data.dir=x data.crop=300",
            "data.crop=300 pixels cannot be cut out of an image scaled to data.resize=256",
        ),
        ("compute.workers=many", "compute.workers='many': give a number of processes, or auto"),
        ("compute.workers=-1", "compute.workers=-1: give a number of processes, or auto"),
        ("training.average=14", "training.average=14 needs as many checkpoints"),
        ("compute.devices=3", "training.accumulate=1 micro-batches are too few for 3 devices: give at least 3"),
        ("seed=-1", "seed=-1: input should be greater than or equal to 0"),
        ("seed=18446744073709551616", "seed=18446744073709551616: input should be less than 9223372036854775808"),
        (
            "model.dim=9223372036854775808",
            "model.dim=9223372036854775808: an integer is at most 9,223,372,036,854,775,807",
        ),
        ("model.encoder_layers=20000", "model.encoder_layers=20000: input should be less than or equal to 10000"),
        ("task.extra_length=20000", "task.extra_length=20000: input should be less than or equal to 10000"),
        ("data.vocabulary=10000001", "data.vocabulary=10000001: input should be less than or equal to 10000000"),
        ("optim.lr=inf", "optim.lr=inf: input should be a finite number"),
        ("skip=rskip_ln skip.lam=100000", "skip: rskip_ln: lam is at most 1000, not 100000"),
        (
            f"tracker=wandb tracker.tags=[{'a' * 65}]",
            f"tracker.tags.0='{'a' * 65}': string should have at most 64 characters",
        ),
        ("~seed", "seed is missing"),
        ("seed", "Error parsing override 'seed'"),
    ],
)
def test_a_mistake_is_one_line(override, said):
    with pytest.raises(UserError) as error:
        compose(override.split())
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_rskip_lambda_must_be_an_integer():
    with pytest.raises(UserError, match=r"rskip_ln: lam is an integer greater than 0, not 1\.5"):
        compose(["skip=rskip_ln", "skip.lam=1.5"])
    with pytest.raises(UserError, match=r"rskip_ln: lam is an integer greater than 0, not 0"):
        compose(["skip=rskip_ln", "skip.lam=0"])


def test_the_hash_identifies_the_run():
    """It covers everything that decides the result, but not where and how the run is executed."""
    base = compose([])
    assert compose([]).hash == base.hash
    assert compose(["skip.lam=1"]).hash == base.hash  # 1 and 1.0 are the same λ
    for same in ("compute.threads=1", "compute.workers=3", "paths.runs=elsewhere", "compute.devices=1"):
        assert compose([same]).hash == base.hash, same
    differing = ["seed=2", "skip.lam=2", "skip=rskip_ln", "optim.lr=1", "precision=bf16", "norm.eps=1e-3", "scale=test"]
    hashes = {base.hash, *(compose([override]).hash for override in differing)}
    assert len(hashes) == len(differing) + 1
    assert base.folder == Path("runs") / base.hash


def test_keys_that_are_not_hashed_exist():
    content = compose([]).model_dump()
    assert set(NOT_HASHED) <= set(content)


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_file_begins_with_a_comment(path):
    text = path.read_text()
    yaml.safe_load(text)
    assert text.startswith("#") or len(text.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--help"], ["skip=foo"], ["optim.lr=x"], ["data=multi30k", "data.dir=/nowhere"]),
        *(["init_from=/nowhere"], ["inputs=[0123456789ab]", "paths.runs=/nowhere"]),
        *(["task=classification", f"data={data}", "data.dir=/nowhere"] for data in ("class_folders", "photographs")),
    ],
)
def test_the_command_line_answers_without_torch(arguments):
    code = (
        "import sys, runpy; sys.argv[1:] = sys.argv[1:]\n"
        "try: runpy.run_module('skipln.train', run_name='__main__')\n"
        "finally: assert 'torch' not in sys.modules, 'torch was imported'"
    )
    started = time.monotonic()
    found = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert "torch was imported" not in found.stderr
    print(f"{arguments}: {time.monotonic() - started:.2f} s")
    if arguments == ["--help"]:
        assert found.returncode == 0
        assert f"skip: {SKIPS}" in found.stdout
    else:
        assert found.returncode == 2
        assert found.stderr.startswith("error: ")
        assert found.stderr.count("\n") == 1
