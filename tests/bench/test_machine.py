"""The machine is measured before the parts that say how much of it they use."""

import pytest

from scripts.bench import comparisons
from scripts.bench.parts import mt_step
from scripts.bench.records.harness import Part, Sides
from scripts.bench.studies import machine
from skipln.models.transformer import TransformerShape


def test_its_products_in_both_precisions_and_its_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = TransformerShape(1, 1, 16, 32, 2)
    for name in ("SMALL", "BASE"):
        monkeypatch.setattr(mt_step, name, tiny)
        monkeypatch.setattr(mt_step, f"{name}_VOCABULARY", 50)
        monkeypatch.setattr(mt_step, f"{name}_LENGTH", 8)
    monkeypatch.setattr(mt_step, "MAX_TOKENS", 64)
    monkeypatch.setattr(machine, "MIB", 2**10)
    record = machine.machine(n=1)
    assert record["name"] == "machine" and record["copy_gb"] > 0
    assert {precision: set(rates) for precision, rates in record["gflops"].items()} == {
        "fp32": {"small", "base"}, "bf16": {"small", "base"}
    }  # fmt: skip
    assert all(rate > 0 for rates in record["gflops"].values() for rate in rates.values())


@pytest.mark.parametrize(("share", "written"), [({"fp32": 0.5}, ["machine", "idle"]), (None, ["idle"])])
def test_it_comes_first_if_a_part_has_a_share(
    share: dict[str, float] | None, written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = Part("idle", "nothing", "nothing", "", lambda _: Sides(lambda k: 0, lambda k: 0), share=share)
    names: list[str] = []
    monkeypatch.setattr(comparisons, "parts", lambda: {"idle": idle})
    monkeypatch.setattr(comparisons, "machine", lambda: {"name": "machine"})
    monkeypatch.setattr(comparisons, "compare", lambda part, *_: {"name": part.name})
    monkeypatch.setattr(comparisons, "write", lambda record: names.append(record["name"]))
    monkeypatch.setattr(comparisons, "write_page", lambda: None)
    monkeypatch.setattr(comparisons, "row", lambda record: "")
    monkeypatch.setattr("torch.set_flush_denormal", lambda _: True)
    comparisons.measure(["idle"], 1, 0, "fp32", "default")
    assert names == written
