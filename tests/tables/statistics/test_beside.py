"""The verdict on your runs beside the published ones."""

import numpy as np
import pytest
import yaml

from skipln.system.places import EXPERIMENTS
from skipln.tables.statistics.beside import Place, place
from skipln.tables.statistics.prediction import prediction_interval
from skipln.tables.store import Record


def records(*values: float | None, time: str = "then", data: str = "a") -> list[Record]:
    """Make a record for each BLEU; None means that the run diverged."""
    return [
        Record.model_validate(
            {
                **{"table": "t", "row": "r", "column": "c", "seed": seed, "overrides": [], "hash": f"{seed:012}"},
                **{"state": "diverged" if value is None else "done", "update": 1},
                "metrics": {} if value is None else {"bleu": value},
                "data": {"name": "d", "fingerprint": data, "test_examples": 1},
                "environment": {"time": time},
            }
        )
        for seed, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("yours", "published", "verdict"),
    [
        ((17.0,), (), ""),
        ((), (17.0,), ""),
        ((17.0,), (17.0, 18.0), "n too small"),
        ((17.9,), (17.0, 18.0, 17.5), "inside"),
        ((30.0,), (17.0, 18.0, 17.5), "outside"),
        ((None,), (None,), "as diverged"),
        ((None,), (17.0, 18.0), "n too small"),
        ((None,), (17.0, 18.0, 17.5), "outside"),
        ((None,), (17.0, None, 17.5), "n too small"),
        ((17.0,), (None, None), "n too small"),
        ((17.0,), (None, None, None), "outside"),
        ((None, 17.5), (17.0, 18.0, 17.5), "inside"),
    ],
)
def test_every_verdict(yours, published, verdict):
    assert place(records(*yours, time="now"), records(*published), "bleu").verdict == verdict


def test_other_data_and_the_same_runs_are_recognised():
    published = records(17.0, 18.0, 17.5)
    assert place(records(17.0, time="now", data="b"), published, "bleu") == Place("other data")
    equal = yaml.safe_load((EXPERIMENTS / "equal_data.yaml").read_text("utf-8"))["groups"][0]["fingerprints"]
    yours, theirs = records(17.2, time="now", data=equal[1]), records(17.0, 18.0, 17.5, data=equal[0])
    assert place(yours, theirs, "bleu").verdict == "inside"
    assert place(published[:2], published, "bleu") == Place("the same runs")
    mine = [*published[:2], *records(0.0, 0.0, 0.0, 30.0, time="now")[3:]]
    assert place(mine, published, "bleu").verdict == "outside"  # because of the new run


def test_the_interval_contains_95_percent_of_further_means():
    """This simulates three published runs and means of two further ones."""
    rng = np.random.default_rng(5)
    runs, further = rng.normal(20, 2, (4000, 3)), rng.normal(20, 2, (4000, 2)).mean(axis=1)
    found = [prediction_interval(list(known), 2) for known in runs]
    held = np.mean([low <= mean <= high for (low, high), mean in zip(found, further, strict=True)])
    assert held == pytest.approx(0.95, abs=0.01)
