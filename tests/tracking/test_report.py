"""The content of a W&B Report, without an account."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from skipln.configuration.schema import WandbTracker
from skipln.errors import UserError
from skipln.tables import manifest as manifests

ROOT = Path(__file__).resolve().parents[2]
TRACKER = WandbTracker(name="wandb", project="p", entity=None, mode="auto", group=None, job_type="train", tags=[])


def test_a_report_shows_means_and_deviations_by_row() -> None:
    pytest.importorskip("wandb_workspaces", reason="the extra `wandb` is not installed")
    from skipln.tracking.report import report, specification

    content = json.loads(specification(report(manifests.load("table2"), "paper", TRACKER)))
    assert content["displayName"] == "table2 (paper)"
    assert content["project"]["name"] == "p"
    grids = [block["metadata"] for block in content["spec"]["blocks"] if block["type"] == "panel-grid"]
    assert [grid["runSets"][0]["name"] for grid in grids] == ["IWSLT15 En-Vi", "WMT14 En-De"]
    for grid, column in zip(grids, ["iwslt15_en_vi", "wmt14_en_de"], strict=True):
        runs = grid["runSets"][0]
        assert [key["name"] for key in runs["grouping"]] == ["group"]
        assert [(f["key"]["name"], f["op"], f["value"]) for f in runs["filters"]["filters"]] == [
            ("table", "=", "table2"),
            ("tags", "IN", [f"paper/{column}"]),
        ]
        panels = [panel["config"] for panel in grid["panelBankSectionConfig"]["panels"]]
        assert [(panel["metrics"], panel["xAxis"]) for panel in panels[:3]] == [
            (["valid/bleu"], "update"),
            (["valid/bleu"], "wall"),
            (["valid/chrf"], "update"),
        ]
        assert {(panel["groupBy"], panel["groupAgg"], panel["groupArea"]) for panel in panels} == {
            ("group", "mean", "stddev")
        }
    with pytest.raises(UserError, match="scale=tiny: choose one of test"):
        report(manifests.load("table2"), "tiny", TRACKER)


@pytest.mark.slow
def test_saving_needs_a_key(tmp_path: Path) -> None:
    alone = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "scripts.tracking.report", "table2", "--save"]
    found = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (2, "error: no W&B key: `wandb login`, or WANDB_API_KEY=…\n")
