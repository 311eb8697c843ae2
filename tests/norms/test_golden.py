"""Golden numbers of the norms. They come from the formulas below, in plain Python floats, not from our modules."""

import math
from pathlib import Path
from statistics import fmean, pstdev, pvariance, stdev

import pytest
import torch
import yaml

from skipln import norms

GOLDEN = Path(__file__).with_name("golden.yaml")
CASES = yaml.safe_load(GOLDEN.read_text(encoding="utf-8"))
POSITIONS, CHANNELS = 3, 4
X = [[math.sin(1 + t + c**2) for c in range(CHANNELS)] for t in range(POSITIONS)]
GAIN, BIAS = [1.0, 0.8, 1.3, 0.9], [0.1, -0.2, 0.0, 0.3]
SCALAR, SHIFT = 0.7, -0.4  # α or g, if it is a single learned number, and Derf's s

Rows = list[list[float]]


def layer(x: Rows, eps: float = 1e-5) -> Rows:
    return affine([[(v - fmean(row)) / math.sqrt(pvariance(row) + eps) for v in row] for row in x])


def layer_of_the_map(x: Rows) -> Rows:
    every = [v for row in x for v in row]
    return affine([[(v - fmean(every)) / math.sqrt(pvariance(every) + 1e-5) for v in row] for row in x])


def layer_simple(x: Rows) -> Rows:
    return [[(v - fmean(row)) / math.sqrt(pvariance(row) + 1e-5) for v in row] for row in x]


def ada(x: Rows, k: float = 0.1, c: float = 1.0) -> Rows:
    y = [[(v - fmean(row)) / (stdev(row) + 1e-5) for v in row] for row in x]
    return [[c * (1 - k * v) * v for v in row] for row in y]


def rms(x: Rows, eps: float = 1e-6) -> Rows:
    return [[g * v / math.sqrt(fmean(w * w for w in row) + eps) for g, v in zip(GAIN, row, strict=True)] for row in x]


def scale(x: Rows) -> Rows:
    return [[SCALAR * v / max(math.hypot(*row), 1e-5) for v in row] for row in x]


def dyt(x: Rows) -> Rows:
    return affine([[math.tanh(SCALAR * v) for v in row] for row in x])


def derf(x: Rows) -> Rows:
    return affine([[math.erf(SCALAR * v + SHIFT) for v in row] for row in x])


def batch(x: Rows) -> Rows:
    """In training, normalise over the positions, not over the channels."""
    columns = [[(v - fmean(c)) / math.sqrt(pstdev(c) ** 2 + 1e-5) for v in c] for c in zip(*x, strict=True)]
    return affine([list(row) for row in zip(*columns, strict=True)])


def none(x: Rows) -> Rows:
    return x


mimic = none  # at a site; test_mimic.py has what it does to weights, branches and logits


def affine(y: Rows) -> Rows:
    return [[g * v + b for g, v, b in zip(GAIN, row, BIAS, strict=True)] for row in y]


# (norm, options, the formula with these options); the pixels of a map are the positions of X
FORMULAS = [
    ("ada", {}, ada),
    ("ada", {"k": 0.3}, lambda x: ada(x, k=0.3)),
    ("ada", {"c": 2.0}, lambda x: ada(x, c=2.0)),
    ("batch", {}, batch),
    ("derf", {}, derf),
    ("dyt", {}, dyt),
    ("layer", {}, layer),
    ("layer", {"eps": 0.1}, lambda x: layer(x, eps=0.1)),
    ("layer", {"layout": "nchw"}, layer_of_the_map),
    ("layer", {"layout": "nchw", "axes": "channel"}, layer),
    ("layer_simple", {}, layer_simple),
    ("mimic", {"layout": "nchw"}, mimic),
    ("none", {}, none),
    ("rms", {}, rms),
    ("rms", {"eps": 0.1}, lambda x: rms(x, eps=0.1)),
    ("rms", {"layout": "nchw"}, rms),
    ("scale", {}, scale),
]


def ours(norm: str, layout: str = "btc", **options: object) -> list[float]:
    module = norms.create(norm, **options)(CHANNELS, layout).double()
    values = {"weight": GAIN, "bias": BIAS, "alpha": SCALAR, "shift": SHIFT}
    for name, parameter in module.named_parameters():
        value = SCALAR if parameter.ndim == 0 and name == "weight" else values[name]
        parameter.data = torch.tensor(value, dtype=torch.float64)
    x = torch.tensor(X, dtype=torch.float64)
    y = module(x[None]) if layout == "btc" else module(x.T[None, :, None])[0, :, 0].T
    return y.flatten().tolist()


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(str(v) for k, v in case.items() if k != "y"))
def test_golden(case):
    options = {key: value for key, value in case.items() if key not in ("norm", "y")}
    assert ours(case["norm"], **options) == pytest.approx(case["y"], abs=1e-9)


@pytest.mark.parametrize(("case", "entry"), list(zip(CASES, FORMULAS, strict=True)))
def test_the_golden_numbers_follow_from_the_formulas(case, entry):
    norm, options, formula = entry
    y = [value for row in formula(X) for value in row]
    assert case == {"norm": norm, **options, "y": pytest.approx(y, abs=1e-9)}


def test_every_norm_has_golden_numbers():
    assert {case["norm"] for case in CASES} == set(norms.names())


if __name__ == "__main__":  # print golden.yaml
    print("# Every norm on X of test_golden.py, from the formulas there; made by `python -m tests.norms.test_golden`.")
    for norm, options, formula in FORMULAS:
        case = ", ".join(f"{key}: {value}" for key, value in {"norm": norm, **options}.items())
        print(f"- {{{case}, y: {[round(value, 10) for row in formula(X) for value in row]}}}")
