"""Golden numbers of the attentions. They come from the formulas below, in plain Python floats, not from our modules."""

import math
from itertools import chain
from pathlib import Path

import pytest
import torch
import yaml

from skipln import attention

GOLDEN = Path(__file__).with_name("golden.yaml")
CASES = yaml.safe_load(GOLDEN.read_text(encoding="utf-8"))
DIM, HEADS, TIME, FEATURES, EPS = 4, 2, 3, 5, 1e-3
DEPTH = DIM // HEADS

Rows = list[list[float]]


def waves(rows: int, columns: int, start: float) -> Rows:
    return [[math.cos(start + 1.7 * r + c**2) for c in range(columns)] for r in range(rows)]


X, MEMORY = waves(TIME, DIM, 0.0), waves(TIME, DIM, 5.0)
QUERY, KEY, VALUE, OUT = (waves(DIM, DIM, start) for start in (1.0, 2.0, 3.0, 4.0))
BIASES = dict(zip(("query", "key", "value", "out"), waves(4, DIM, 6.0), strict=True))
W = waves(FEATURES, DEPTH, 7.0)
SEEN = {  # the keys that each query sees
    "memory": [[0, 1, 2]] * TIME,
    "padded": [[0, 1]] * TIME,
    "causal": [[0], [0, 1], [0, 1, 2]],
}


def dot(a: list[float], b: list[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def linear(x: Rows, weight: Rows, bias: list[float]) -> Rows:
    return [[dot(row, w) + b for w, b in zip(weight, bias, strict=True)] for row in x]


def softmax_weights(q: list[float], keys: Rows) -> list[float]:
    return [math.exp(dot(q, k) / DEPTH**0.5) for k in keys]


def favor_weights(q: list[float], keys: Rows) -> list[float]:
    """Return φ(q)·φ(k); the maximum of Wx' is over the query's features, or over those of all keys that it sees."""

    def exponents(x: list[float]) -> tuple[list[float], float]:
        scaled = [v * DEPTH**-0.25 for v in x]
        return [dot(w, scaled) for w in W], dot(scaled, scaled) / 2

    asked, half = exponents(q)
    of_q = [math.exp(e - half - max(asked)) + EPS for e in asked]
    found = [exponents(k) for k in keys]
    peak = max(chain.from_iterable(products for products, _ in found))
    return [dot(of_q, [math.exp(e - half - peak) + EPS for e in products]) for products, half in found]


def reference(name: str, form: str) -> Rows:
    memory = X if form == "causal" else MEMORY
    q, k, v = (
        linear(rows, weight, BIASES[role])
        for rows, weight, role in ((X, QUERY, "query"), (memory, KEY, "key"), (memory, VALUE, "value"))
    )
    weigh = {"softmax": softmax_weights, "favor": favor_weights}[name]
    joined: Rows = []
    for time, seen in enumerate(SEEN[form]):
        joined.append([])
        for head in range(HEADS):
            part = slice(head * DEPTH, (head + 1) * DEPTH)
            weights = weigh(q[time][part], [k[i][part] for i in seen])
            for c in range(DEPTH):
                values = [v[i][part][c] for i in seen]
                joined[-1].append(dot(weights, values) / math.fsum(weights))
    return linear(joined, OUT, BIASES["out"])


def ours(name: str, form: str) -> list[float]:
    options = {"features": FEATURES, "eps": EPS} if name == "favor" else {}
    made = attention.create(name, **options)(DIM, HEADS, 0.0).double().eval()
    with torch.no_grad():
        for role, weight in zip(("query", "key", "value", "out"), (QUERY, KEY, VALUE, OUT), strict=True):
            made.weights()[role].copy_(torch.tensor(weight, dtype=torch.float64))
        for projection, roles in ((made.query, ["query"]), (made.key_value, ["key", "value"]), (made.out, ["out"])):
            projection.bias.copy_(torch.tensor([BIASES[role] for role in roles], dtype=torch.float64).flatten())
        if name == "favor":
            made.projection = torch.tensor(W, dtype=torch.float64)
        x, memory = (torch.tensor([rows], dtype=torch.float64) for rows in (X, MEMORY))
        if form == "causal":
            return made(x, x, causal=True).flatten().tolist()
        mask = torch.tensor([[True, True, form == "memory"]])
        return made(x, memory, mask).flatten().tolist()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['attention']}-{case['form']}")
def test_golden(case):
    assert ours(case["attention"], case["form"]) == pytest.approx(case["y"], abs=1e-9)


def test_golden_numbers_are_those_of_the_formulas():
    assert {(case["attention"], case["form"]) for case in CASES} == {
        (name, form) for name in attention.names() for form in SEEN
    }
    for case in CASES:
        y = list(chain.from_iterable(reference(case["attention"], case["form"])))
        assert case["y"] == pytest.approx(y, abs=1e-9)


if __name__ == "__main__":  # print golden.yaml
    print(
        "# Attentions on X of test_golden.py, from the formulas there; made by `python -m tests.attention.test_golden`."
    )
    for name in attention.names():
        for form in SEEN:
            y = [round(value, 10) for value in chain.from_iterable(reference(name, form))]
            print(f"- {{attention: {name}, form: {form}, y: {y}}}")
