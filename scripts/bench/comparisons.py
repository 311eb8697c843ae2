"""Gather every part by name from the modules of `scripts.bench.parts` that have a list PARTS, and measure them."""

import importlib
import pkgutil

import torch

import scripts.bench.parts as package
from scripts.bench.records.harness import Part, compare, write
from scripts.bench.records.page import row, write_page
from scripts.bench.studies.machine import machine
from skipln.engine.environment import fast_bf16
from skipln.errors import UserError


def parts() -> dict[str, Part]:
    """Name -> part, over all modules of `scripts.bench.parts`. Peers are imported only when a part is run."""
    found = (m for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))
    modules = (importlib.import_module(f"{package.__name__}.{m.name}") for m in found)
    return {part.name: part for module in modules for part in getattr(module, "PARTS", ())}


def measure(names: list[str], n: int, threads: int, precision: str | None, allocator: str) -> None:
    """Run the parts `names`, each with `n` pairs (0: its own number); write and print each when it is done.

    The machine itself is measured first if a part has a share.

    precision: of ours; None: bf16 if the processor has instructions for it, else fp32.
    Raises UserError for an unknown name or a missing peer.
    """
    known = parts()
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"no benchmark is called {', '.join(unknown)}: choose from {', '.join(known)}")
    if threads:
        torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # as in every run of ours; it holds for the peers too
    if any(known[name].share for name in names):
        write(machine() | {"allocator": allocator})
    for name in names:
        record = compare(known[name], n or known[name].n, precision or best_precision(), allocator)
        write(record)
        write_page()
        print(row(record), end="", flush=True)


def best_precision() -> str:
    """bf16 if the processor has instructions for it; fp32 if it would be emulated."""
    return "bf16" if fast_bf16() else "fp32"
