import io
import json
import os
import subprocess
import sys
import tarfile

import pytest
import torch

from scripts.bench.gpu import counts, floors, sharing
from scripts.bench.gpu.__main__ import main, take
from scripts.bench.gpu.archive import pack, unpack
from scripts.bench.gpu.cells import planned
from scripts.bench.gpu.kernels import MAP_KERNELS, SHAPES
from scripts.bench.gpu.moved import operations
from scripts.bench.gpu.page import section
from scripts.bench.gpu.residual import MAPS
from scripts.bench.gpu.sharing import shared_gpu
from skipln.errors import UserError
from skipln.system.places import RESULTS
from skipln.tables.store import read_records


def test_smoke_runs_the_gpu_command_on_the_cpu(tmp_path):
    archive = tmp_path / "gpu.tar.gz"
    assert main(["--smoke", "--minutes", "0.1", "--output", str(archive)]) == 0
    found, runs = unpack(archive, tmp_path / "runs")
    assert found["smoke"] and found["hardware"] and found["copy_gb_per_second"] > 0 and runs == []
    assert all(case["error"] < 1e-4 for case in (found["residual_site"] | found["maps"]).values())
    assert "2×16×4×4 λ=4" in found["maps"] and found["updates_by_kernels"]["tiny"]["tokens_per_second"] > 0
    tiny = found["updates"]["tiny"]
    assert tiny["tokens_per_second"] > 0 and tiny["share"] > 0
    weights = 4 * 32**2 + 2 * 32 * 64 + 8 * 32**2 + 2 * 32 * 64 + 32 * 100  # encoder, decoder, output
    attentions = 3 * 2 * (2 * 8 * 8 * 32)  # three attentions, two sentences: scores, and weights times values
    assert tiny["gflop"] * 1e9 == pytest.approx(3 * 2 * (16 * weights + attentions))  # forward pass and two gradients
    assert found["distributed"]["backend"] == "gloo"
    assert found["distributed"]["ddp"]["loss"] == pytest.approx(found["distributed"]["bare"]["loss"], rel=1e-2)


def test_without_a_gpu_one_line_says_what_to_do(monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("error: torch finds no GPU here; --smoke")


def test_planned_cells_cover_both_tables_seed_by_seed_without_the_long_column(tmp_path):
    chosen = planned({"table2": tmp_path, "table1": tmp_path}, "small", [101, 102])  # seeds that are never published
    tables = [cell.table for cell in chosen]
    assert tables == sorted(tables, reverse=True) and set(tables) == {"table2", "table1"}
    seeds = [cell.seed for cell in chosen if cell.table == "table2"]
    assert seeds == sorted(seeds) and set(seeds) == {101, 102}
    assert "cifar10_jpeg" not in {cell.column.name for cell in chosen}


def test_cells_that_are_published_are_left_out(tmp_path):
    published = read_records(RESULTS / "small" / "table2")
    seeds = sorted({record.seed for record in published})
    chosen = planned({"table2": tmp_path}, "small", seeds)
    assert published and not {cell.hash for cell in chosen} & {record.hash for record in published}


def test_an_unknown_part_is_one_line(capsys):
    assert main(["--smoke", "--parts", "kernel"]) == 2
    assert capsys.readouterr().err.startswith("error: no part is called kernel: choose from copy_gb_per_second")


def test_a_session_without_parts_files_no_measurement(tmp_path):
    archive = tmp_path / "gpu.tar.gz"
    assert main(["--smoke", "--minutes", "0.1", "--parts", "", "--output", str(archive)]) == 0
    take(archive, tmp_path / "runs", tmp_path / "results")
    assert not (tmp_path / "results" / "bench").exists()


SERVICE = """#!/bin/sh
[ "$1" = -d ] && exit {begins}
cat > "$CUDA_MPS_PIPE_DIRECTORY.said"; cp "$CUDA_MPS_PIPE_DIRECTORY.said" {said}
"""


@pytest.mark.parametrize(("begins", "serves"), [(0, True), (1, False)])
def test_the_gpu_is_shared_if_the_service_starts_and_the_service_is_stopped(tmp_path, monkeypatch, begins, serves):
    (tmp_path / sharing.CONTROL).write_text(SERVICE.format(begins=begins, said=tmp_path / "said"))
    (tmp_path / sharing.CONTROL).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(sharing, "PROBE", "")
    monkeypatch.delenv("CUDA_MPS_PIPE_DIRECTORY", raising=False)
    with shared_gpu() as shared:
        assert shared == serves == ("CUDA_MPS_PIPE_DIRECTORY" in os.environ)
    assert (tmp_path / "said").read_text() == "quit\n"
    assert "CUDA_MPS_PIPE_DIRECTORY" not in os.environ


def test_without_the_service_nothing_changes(monkeypatch):
    monkeypatch.setattr(sharing, "CONTROL", "no-such-command")
    with shared_gpu() as shared:
        assert not shared


def test_planned_cells_are_those_of_the_named_columns(tmp_path):
    chosen = planned({"table2": tmp_path}, "small", [101], columns=["multi30k_deep"])
    assert [cell.column.name for cell in chosen] == ["multi30k_deep"] * 8
    assert {(cell.config.model.encoder_layers, cell.config.model.decoder_layers) for cell in chosen} == {(12, 12)}
    with pytest.raises(UserError, match="no column deep: choose from multi30k, multi30k_2017, multi30k_6"):
        planned({"table2": tmp_path}, "small", [101], columns=["deep"])


def test_unpacking_restores_finished_runs_and_overwrites_nothing(tmp_path):
    done, begun = tmp_path / "there" / ("a" * 12), tmp_path / "there" / ("b" * 12)
    for folder in (done, begun):
        folder.mkdir(parents=True)
        (folder / "metrics.jsonl").write_text("{}\n")
    (done / "result.json").write_text("{}")
    pack(tmp_path / "gpu.tar.gz", {"hardware": "A GPU"}, [done, begun])
    record, runs = unpack(tmp_path / "gpu.tar.gz", tmp_path / "here")
    assert record == {"hardware": "A GPU"} and runs == ["a" * 12]
    assert sorted(path.name for path in (tmp_path / "here" / ("a" * 12)).iterdir()) == ["metrics.jsonl", "result.json"]
    (tmp_path / "here" / ("a" * 12) / "metrics.jsonl").write_text("mine\n")
    unpack(tmp_path / "gpu.tar.gz", tmp_path / "here")
    assert (tmp_path / "here" / ("a" * 12) / "metrics.jsonl").read_text() == "mine\n"


@pytest.mark.parametrize("name", ["../evil", "runs/../evil/result.json", "runs/" + "a" * 12 + "/evil.pt", "/gpu.json"])
def test_unpacking_refuses_a_file_that_pack_never_writes(tmp_path, name):
    with tarfile.open(tmp_path / "gpu.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(UserError, match="never writes: not unpacked"):
        unpack(tmp_path / "gpu.tar.gz", tmp_path)


def test_a_file_that_is_no_archive_is_one_line(tmp_path, capsys):
    (tmp_path / "gpu.tar.gz").write_bytes(b"no")
    assert main(["--take", str(tmp_path / "gpu.tar.gz")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_record_is_filed_under_its_hardware(tmp_path):
    pack(tmp_path / "gpu.tar.gz", {"hardware": "NVIDIA H200", "copy_gb_per_second": 4000}, [])
    take(tmp_path / "gpu.tar.gz", tmp_path / "runs", tmp_path / "results")
    filed = tmp_path / "results" / "bench" / "nvidia-h200" / "gpu.json"
    assert json.loads(filed.read_text("utf-8")) == {"hardware": "NVIDIA H200", "copy_gb_per_second": 4000}


def test_the_page_has_every_number_of_the_record_and_names_failures():
    path = RESULTS / "bench" / "nvidia-h200" / "gpu.json"
    record = json.loads(path.read_text("utf-8"))
    text = section(record)
    assert text.count("e-07 |") + text.count("e-06 |") == len(record["residual_site"])
    assert f"{record['updates']['base']['tokens_per_second']:,}" in text
    assert "Not measured: tests: TimeoutError: not done after 100 s" in text
    assert section({**record, "updates": {"failed": "no memory"}}).count("Not measured") == 2


def test_the_page_shows_a_kernels_times_beside_their_floors():
    record = json.loads((RESULTS / "bench" / "nvidia-h200" / "gpu.json").read_text("utf-8"))
    case = {"backward_weights": 5.0, "forward_rows, 16 a lane": 2.0, "forward_rows, 8 a lane": 3.0}
    case |= {"backward_rows, 8 a lane": 7.0}
    record |= {"copy_gb_per_second": 1.0, "kernels": {"8×512 λ=4": case}}
    activation, weights, moments = 2 * 8 * 512, 2 * 4 * 512 * 4, 8 * 4 * 2 * 4
    forward = 3 * activation + weights + moments
    rows = 5 * activation + weights + 2 * moments
    sums = 3 * activation + weights + 2 * moments + 8 * weights
    assert f"| 8×512 λ=4 | 2 | {forward / 1e3:.0f} | 7 | {rows / 1e3:.0f} | 5 | {sums / 1e3:.0f} |" in section(record)


def test_the_page_shows_maps_and_the_loss():
    record = json.loads((RESULTS / "bench" / "nvidia-h200" / "gpu.json").read_text("utf-8"))
    times = dict.fromkeys(MAP_KERNELS, 3.0)
    side = {"milliseconds": 1.5, "error": 2e-3, "peak_mb": 1234.0}
    record |= {"copy_gb_per_second": 1.0, "map_kernels": {"2×16×4×4 λ=2": times}}
    record |= {"cross_entropy": {"8×50": {"kernels": side}}, "maps": record["residual_site"]}
    text = section(record)
    assert f"| 2×16×4×4 λ=2 | 3 / {(2 * 2 * 512 + 4 * 2 * 11 * 16) / 1e3:.0f} | " in text  # moments: x, F, and the sums
    assert "| 8×50 | 1.50, 2e-03, 1,234 |" in text and "torch's group norms" in text


def test_counts_are_those_of_the_tensors_shapes():
    kernels, torchs = counts.cross_entropy(6, 50)
    assert kernels == {"forward_rows": 2 * 6 * 50 + 6 * (8 + 16), "backward_rows": 4 * 6 * 50 + 6 * (8 + 16) + 4}
    assert torchs > 20 * 6 * 50  # at the least, log p is made and read again as float32 in both passes
    kernels, torchs = counts.site((2, 16, 4, 4), 2)
    activation, sums, weights = 2 * 2 * 16 * 16, 4 * 2 * 11 * 16, 4 * 2 * 2 * 16
    assert kernels["moments, backward"] == 3 * activation + sums
    assert kernels["forward_maps"] == 3 * activation + 4 * 2 * 3 * 16
    assert kernels["backward_maps"] == 5 * activation + 4 * 2 * 8 * 16
    assert kernels["forward_steps"] == sums + weights + 4 * 2 * (3 * 16 + 2 * 2)
    assert torchs > 2 * 10 * activation  # of each step: a sum, a norm, the gradient of the norm, and their sums
    projected = 4 * 2 * 8  # keys and values of a token, and of each of three hypotheses
    assert counts.beam_attention(1, 3, 2, 8, 2, torch.float32) > 2 * projected * (3 * (1 + 2) + 2 * 2)


@pytest.mark.parametrize("shape", [*MAPS, *SHAPES])
def test_from_two_steps_on_our_kernels_move_fewer_bytes_than_torchs_steps(shape):
    for steps, fewer in ((1, False), (2, True), (8, True)):
        kernels, torchs = counts.site(shape, steps)
        assert (sum(kernels.values()) < torchs) == fewer


def test_operations_count_inputs_and_outputs_and_no_views():
    x = torch.zeros(10, device="meta")
    assert operations(lambda: x + x) == 40 + 40  # an input that is given twice is read once
    assert operations(lambda: x.view(2, 5)[0]) == operations(lambda: torch.empty_like(x)) == 0
    assert operations(lambda: x.mul_(2)) == 40 + 40


def test_the_page_says_what_the_bytes_mean():
    record = json.loads((RESULTS / "bench" / "nvidia-h100-80gb-hbm3" / "gpu.json").read_text("utf-8"))
    text = floors.section(RESULTS / "bench")
    torchs = counts.cross_entropy(4096, 32_000)[1] / record["copy_gb_per_second"] / 1e6
    assert f"take {torchs:.1f} ms" in " ".join(text.split())
    assert text.count(" λ=") > 20 and "Beam attention needs no kernel" in " ".join(text.split())
    assert floors.section(RESULTS / "no such folder") == ""


INTERPRETED = """
from scripts.bench.gpu import kernels, loss
import torch
cpu = torch.device("cpu")
for work in (*kernels.map_launches((2, 16, 4, 4), 2, cpu).values(), *kernels.row_launches(3, 16, 2, cpu).values()):
    work()
(case,) = loss.cross_entropy(cpu, 1, ((3, 50),)).values()
assert all(side["error"] < 1e-2 for side in case.values()), case
"""


def test_what_is_timed_runs_in_tritons_interpreter():
    pytest.importorskip("triton", reason="no Triton here")
    subprocess.run([sys.executable, "-c", INTERPRETED], env={**os.environ, "TRITON_INTERPRET": "1"}, check=True)
