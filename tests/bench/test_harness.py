"""The benchmark harness on work that takes no time, and the committed records with their page."""

import json
import re
import time
from dataclasses import replace

import pytest
import torch

from scripts.bench.comparisons import measure, parts
from scripts.bench.records.hardware import RESULTS, folder, hardware
from scripts.bench.records.harness import Part, Sides, compare, ratios, share, write
from scripts.bench.records.page import page
from scripts.bench.records.tried import TRIED
from skipln.engine.environment import describe
from skipln.errors import UserError


def part(calls, **options):
    def prepare(precision):
        def peer(k):
            calls.append(("peer", k))
            time.sleep(0.02)

        return Sides(lambda k: calls.append(("ours", k)), peer, lambda: {"found": "all there is"})

    return Part("sleep", "skipln {precision}", "a sleeper", "nothing", prepare, **options)


def test_pairs_are_interleaved_and_both_sides_get_the_same_work(tmp_path):
    calls = []
    record = compare(part(calls), 4, "fp32", "default")
    assert [side for side, _ in calls] == ["ours", "peer", *["peer", "ours", "ours", "peer"] * 2]
    assert [k for _, k in calls] == [-1, -1, 0, 0, 1, 1, 2, 2, 3, 3]  # the first pair warms up and does not count
    assert record["n"] == 4 and len(record["seconds"]["ours"]) == 4
    assert record["ratio"] > 1 and record["p25"] <= record["ratio"] <= record["p75"]
    assert (record["ours"], record["found"]) == ("skipln fp32", "all there is")
    write(record, tmp_path / "here")
    assert "| `sleep` |" in page(tmp_path) and "all there is" in page(tmp_path)


def test_the_ratio_is_the_median_over_pairs():
    assert ratios({"ours": [1.0, 2.0, 1.0], "peer": [3.0, 2.0, 4.0]}) == {"ratio": 3, "p25": 2, "p75": 3.5, "n": 3}


def test_a_part_that_misses_its_goal_is_profiled(tmp_path):
    record = compare(part([], goal=0.5), 1, "fp32", "default")
    assert "profile" not in record
    matrix = torch.ones(64, 64)
    slow = Part("slow", "a product", "nothing", "", lambda _: Sides(lambda k: matrix @ matrix, lambda k: 0), goal=1e9)
    write(compare(slow, 1, "fp32", "default"), tmp_path / "here")
    assert re.search(r"- `slow`, ours: .*mm \d+\.\d %", page(tmp_path))
    assert compare(replace(slow, goal=None, profiled=True), 1, "fp32", "default")["profile"]["ours"]


def test_the_share_is_the_fraction_of_our_time_that_products_take(tmp_path):
    """A step that also waits uses less of the machine than its products alone would."""
    matrix = torch.ones(512, 512)

    def step(_):
        time.sleep(0.02)
        return matrix @ matrix

    both = Part("wait", "a product", "nothing", "", lambda _: Sides(step, step), share={"fp32": 0.99}, warmup=0)
    record = compare(both, 3, "fp32", "default")
    assert record["gflop"] == [round(2 * 512**3 / 1e9, 2)] * 3
    assert 0 < record["share"] < 0.9
    assert sum(record["profile"]["ours"].values()) == pytest.approx(100, abs=1)  # because it misses the share
    assert record["megabytes"] == {"ours": 1.0, "peer": 1.0}  # 512² numbers
    write(record, tmp_path / "here")
    assert f"| **{record['share']:.2f}** [" in page(tmp_path)


def test_whole_steps_come_first_on_the_page(tmp_path):
    plain = compare(part([]), 1, "fp32", "default")
    write(plain | {"name": "a"}, tmp_path / "here")
    write(plain | {"name": "z", "share": 0.5, "share_p25": 0.5, "share_p75": 0.5}, tmp_path / "here")
    assert page(tmp_path).index("`z`") < page(tmp_path).index("`a`")


def test_the_page_starts_with_who_is_faster(tmp_path):
    plain = compare(part([]), 1, "fp32", "default")
    for name, low, middle, high, goal in (
        ("a", 1.1, 1.2, 1.3, 1.5),
        ("b", 0.7, 0.8, 0.9, 0.5),
        ("c", 0.9, 1, 1.1, None),
    ):
        write(plain | {"name": name, "p25": low, "ratio": middle, "p75": high, "goal": goal}, tmp_path / "here")
    text = page(tmp_path)
    assert (
        "In 3 comparisons, ours is faster in 1 and slower in 1 (in three quarters of the pairs), and similar in 1; "
        in text
    )
    assert "1 of 2 goals for a ratio are reached." in text
    rows = [line for line in text.splitlines() if line.startswith("| `a`")]
    assert [line.count(" | ") for line in rows] == [5, 5]  # six columns, and six more that are folded


def test_each_machine_has_its_own_folder_and_section(tmp_path):
    machine = {"name": "machine", "gflops": {"bf16": {"small": 400.0}}, "copy_gb": 20.0, "n": 5, "allocator": "glibc"}
    write(machine | {"environment": describe(torch.device("cpu"))}, folder("Abacus, 2 beads", tmp_path))
    (tmp_path / "another").mkdir()
    assert folder("Abacus, 2 beads", tmp_path).name == "abacus-2-beads"
    assert f"## {hardware()}\n" in page(tmp_path) and "## another\n" in page(tmp_path)
    assert "bf16 400 (small) GFLOP/s" in page(tmp_path)


def test_costs_with_a_limit_are_shown_below_the_comparisons(tmp_path):
    cost = {"what": "waiting", "seconds": [1.0, 3.0], "processor": [0.25], "limit": 2.5}
    write(
        {"name": "patience", "costs": [cost], "allocator": "glibc", "environment": describe(torch.device("cpu"))},
        tmp_path / "here",
    )
    said = "- `patience`: waiting: 2.0 ± 1.4 s of wall-clock time (limit 2.5 s), 0.2 s of processor time, n = 2"
    assert said in page(tmp_path)


def test_a_missing_peer_and_an_unknown_name_are_one_line():
    with pytest.raises(UserError, match="make peers"):
        compare(part([], needs=("no_such_module",)), 1, "fp32", "default")
    with pytest.raises(UserError, match="choose from"):
        measure(["mt-step-huge"], 1, 0, None, "default")


RECORDS = sorted(path for path in RESULTS.glob("*/*.json") if path.stem != "gpu")  # gpu.json compares with no peer


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_committed_record_names_a_part_and_its_ratio_follows_from_its_times(path):
    record = json.loads(path.read_text("utf-8"))
    assert record["name"] == path.stem
    if "seconds" in record:
        assert record["name"] in parts()
        assert {key: record[key] for key in ("ratio", "p25", "p75", "n")} == ratios(record["seconds"])
    if "share" in record:
        found = share(record["multiplying"], record["seconds"]["ours"])
        assert {key: record[key] for key in found} == found
    if "hardware" in record:
        assert path.parent.name == folder(record["hardware"]).name


def test_notes_on_attempts_name_existing_parts():
    assert {name for name, _ in TRIED} <= set(parts())


def test_the_committed_page_follows_from_the_records():
    assert (RESULTS / "README.md").read_text("utf-8") == page()


def test_scores_are_shown_with_their_spread(tmp_path):
    scores = {"what": "BLEU", "of": {"kernel": [17.0, 19.0], "plain steps": [18.0]}}
    write(
        {"name": "quality", "scores": scores, "allocator": "glibc", "environment": describe(torch.device("cpu"))},
        tmp_path / "here",
    )
    assert "- `quality`: BLEU: kernel 18.0 ± 1.4, n = 2; plain steps 18.0, n = 1" in page(tmp_path)
