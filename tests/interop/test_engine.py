"""engine=fairseq: its arguments, its log as our metrics, whole runs, and translations of Multi30k."""

import json
import math
import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from skipln.configuration.composition import compose
from skipln.errors import UserError
from skipln.interop.fairseq.command import differences, generate_arguments, train_arguments
from skipln.interop.fairseq.log import metrics_of

MULTI30K = Path(os.environ.get("MULTI30K", Path(__file__).resolve().parents[3] / "shared" / "data" / "multi30k"))


needs_fairseq = pytest.mark.skipif(find_spec("fairseq") is None, reason="fairseq is not installed (make peers)")


def arguments(*overrides):
    return train_arguments(compose(["engine=fairseq", *overrides]), Path("bin"), Path("out"), vocabulary=4000, cpu=True)


def flag(found, name):
    return found[found.index(f"--{name}") + 1]


def test_the_engine_is_part_of_a_runs_identity():
    assert compose(["engine=fairseq"]).hash != compose([]).hash
    assert compose(["engine=skipln", "training.wall_limit=0"]).hash == compose([]).hash
    assert compose(["training.wall_limit=60"]).hash != compose([]).hash
    with pytest.raises(UserError, match="engine='marian': input should be 'skipln' or 'fairseq'"):
        compose(["engine=marian"])


def test_post_ln_uses_fairseqs_own_transformer_and_other_forms_our_plug_in():
    own = arguments("skip=xskip_ln")
    assert flag(own, "arch") == "transformer"
    assert "--user-dir" not in own
    rskip = arguments("skip=rskip_ln", "skip.lam=3", "skip.share_norm=true", "norm=rms", "norm.eps=1e-3")
    assert flag(rskip, "arch") == "skipln_transformer"
    assert [flag(rskip, f"skip{name}") for name in ("", "-lam", "-share-norm", "-norm", "-norm-eps")] == [
        "rskip_ln", "3", "True", "rms", "0.001",
    ]  # fmt: skip


def test_the_recipe_becomes_fairseqs_arguments():
    found = arguments("schedule=inverse_sqrt", "schedule.warmup=100", "training.wall_limit=2700", "optim.clip=0.5")
    assert (flag(found, "lr-scheduler"), flag(found, "warmup-updates"), flag(found, "clip-norm")) == (
        "inverse_sqrt", "100", "0.5",
    )  # fmt: skip
    assert float(flag(found, "stop-time-hours")) == 0.75
    assert float(flag(found, "label-smoothing")) == pytest.approx(0.1 * 3999 / 4000)
    assert flag(found, "keep-interval-updates") == "3"
    assert flag(found, "required-batch-size-multiple") == "1"
    for schedule, theirs in (("linear", "polynomial_decay"), ("cosine", "cosine"), ("constant", "fixed")):
        assert flag(arguments(f"schedule={schedule}"), "lr-scheduler") == theirs
    config = compose(["engine=fairseq", "task.beam=5"])
    generate = generate_arguments(config, Path("bin"), Path("x.pt"), cpu=True)
    assert (flag(generate, "beam"), flag(generate, "lenpen"), flag(generate, "max-len-b")) == ("5", "0.6", "49")


def test_differences_between_the_engines_are_listed():
    said = "; ".join(differences(compose(["precision=bf16"]), cpu=True))
    for part in ("sinusoids", "</s>", "one update behind", "fp32, the only precision", "length^0.6"):
        assert part in said
    same = ["precision=fp32", "model.positions=fairseq", "task.start=eos", "task.penalty=power"]
    assert len(differences(compose(same), cpu=True)) == 2


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["task=classification"], "engine=fairseq trains translation"),
        (["optim=sgd"], "engine=fairseq has optim=adam, not sgd"),
        (["optim.weight_decay=0.1"], "optim.weight_decay=0"),
        (["model.word_dropout=0.1"], "engine=fairseq has no word dropout: set model.word_dropout=0"),
        (["compute.devices=2", "training.accumulate=2"], "engine=fairseq runs on one node"),
        (["schedule=step"], "engine=fairseq has no schedule=step: choose inverse_sqrt, linear, cosine, constant"),
        (["skip=admin"], "admin must profile the first batch, which fairseq cannot do"),
        (["skip=sub_ln"], "sub_ln puts a module into the branches, which fairseq does not allow"),
    ],
)
def test_what_fairseq_cannot_do_is_one_line(overrides, said):
    with pytest.raises(UserError) as error:
        arguments(*overrides)
    assert said in str(error.value)


def test_a_log_line_becomes_metrics_in_nats():
    inner = '{"epoch": 3, "update": 2.5, "loss": "2", "nll_loss": "1", "ppl": "2", "wps": "3075.8", "wpb": "212", '
    inner += '"num_updates": "15", "lr": "0.0008", "gnorm": "1.091", "wall": "3"}'
    point = metrics_of(f"2026-01-01 00:00:00 | INFO | train_inner | {inner}\n")
    assert point["train/loss"] == pytest.approx(2 * math.log(2))
    assert (point["update"], point["epoch"], point["lr"], point["wall"]) == (15, 2.5, 0.0008, 3.0)
    valid = '{"epoch": 3, "valid_loss": "4", "valid_nll_loss": "3", "valid_num_updates": "15"}'
    assert metrics_of(f"x | INFO | valid | {valid}")["valid/nll"] == pytest.approx(3 * math.log(2))
    assert metrics_of("x | INFO | train_inner | {torn") is None
    assert metrics_of(f"x | INFO | train | {inner}") is None  # these are the means of an epoch
    exploded = inner.replace('"loss": "2"', '"loss": "nan"')
    assert math.isnan(metrics_of(f"x | INFO | train_inner | {exploded}")["train/loss"])


@pytest.mark.slow
@needs_fairseq
@pytest.mark.parametrize("skip", [["skip=xskip_ln"], ["skip=rskip_ln", "skip.lam=2"]], ids=["own", "plug-in"])
def test_a_run_by_fairseq_leaves_what_our_runs_leave(skip, tiny, tmp_path):
    """It is trained and tested, and a table can read its result."""
    from skipln.interop.fairseq.engine import execute
    from skipln.runs.reading import read_examples, read_metrics
    from skipln.runs.result import read_result

    config = compose([*tiny, *skip, "engine=fairseq", f"paths.runs={tmp_path}"])
    assert execute(config) == "done"
    result = read_result(config.folder)
    assert (result.state, result.update, result.data.test_examples) == ("done", 20, 10)
    assert set(result.metrics) == {"bleu", "chrf"}
    assert result.environment["fairseq"]
    assert "by fairseq" in result.message
    points = read_metrics(config.folder)
    assert [p["update"] for p in points if "train/loss" in p] == [5, 10, 15, 20]
    losses = [p["train/loss"] for p in points if "train/loss" in p]
    assert losses[-1] < losses[0]
    assert any("valid/loss" in p for p in points)
    assert len(read_examples(config.folder)) == 10
    assert json.loads((config.folder / "status.json").read_text())["state"] == "done"
    from skipln.tasks import create_task

    parameters = sum(p.numel() for p in create_task(config).build().parameters())
    assert result.parameters == parameters
    assert execute(config) == "done"  # nothing to do


@pytest.mark.slow
@needs_fairseq
def test_both_engines_call_the_same_explosion_diverged(tiny, tmp_path):
    """Both apply one criterion to the losses in metrics.jsonl, long before training.diverged_after."""
    from skipln.train import run

    exploding = [
        "optim.lr=100",
        "schedule=constant",
        "schedule.warmup=0",
        "training.updates=40",
        "training.log_every=1",
    ]
    for engine in ("skipln", "fairseq"):
        late = ["training.diverged_after=1000", f"paths.runs={tmp_path}", f"engine={engine}"]
        config = compose([*tiny, *exploding, *late])
        assert run(config) == 0
        result = json.loads((config.folder / "result.json").read_text())
        assert (result["state"], result["metrics"]) == ("diverged", {})
        assert "times the lowest before" in result["message"] or "not finite" in result["message"]  # fairseq's words


@pytest.mark.slow
@needs_fairseq
def test_a_wall_limit_stops_both_engines(tiny, tmp_path):
    from skipln.train import run

    limited = ["training.updates=100000", "training.wall_limit=4", "training.average=1", f"paths.runs={tmp_path}"]
    for engine in ("skipln", "fairseq"):
        config = compose([*tiny, *limited, f"engine={engine}"])
        assert run(config) == 0
        result = json.loads((config.folder / "result.json").read_text())
        assert 0 < result["update"] < 100_000
        assert "stopped by training.wall_limit" in result["message"]


@pytest.mark.slow
@needs_fairseq
@pytest.mark.timeout(3600)
def test_multi30k_is_translated_alike(tmp_path):
    """fairseq-generate gives the beam-5 translations of a model trained here and converted. It gets one sentence per
    batch: otherwise the longest in a batch sets the limit of all, and endless repetitions end elsewhere."""
    if not MULTI30K.is_dir():
        pytest.skip(f"no Multi30k at {MULTI30K}: give its folder as MULTI30K=…")
    from sacrebleu.metrics import BLEU

    from skipln.engine.run import execute
    from skipln.interop.fairseq.checkpoint import export_run
    from skipln.interop.fairseq.databin import write_databin
    from skipln.interop.fairseq.engine import run_fairseq
    from skipln.interop.fairseq.log import translations_of
    from skipln.tasks.translation import prepare_text

    config = compose([
        "scale=small", f"data.dir={MULTI30K}", "model=transformer_tiny", "model.dropout=0", "precision=fp32",
        "task.valid_sentences=0",
        "optim.lr=3e-3", "schedule.warmup=100", "training.max_tokens=512", "training.updates=400",
        "training.checkpoint_every=200", "training.average=1", "task.beam=5", "task.penalty=power",
        "compute.accelerator=cpu", "compute.threads=1", f"paths.cache={tmp_path}/cache", f"paths.runs={tmp_path}/runs",
    ])  # fmt: skip
    assert execute(config) == "done"
    ours = (config.folder / "translations.txt").read_text().split("\n")[:-1]

    data = prepare_text(config)
    databin = write_databin(data, tmp_path / "bin")
    export_run(config.folder, tmp_path / "exported.pt")
    with (tmp_path / "generate.log").open("w") as log:
        found = generate_arguments(config, databin, tmp_path / "exported.pt", cpu=True)
        run_fairseq("generate", [*found, "--batch-size", "1"], config, log)
    theirs = translations_of((tmp_path / "generate.log").read_text().split("\n"), data.vocabulary)
    same = sum(a == b for a, b in zip(ours, theirs, strict=True)) / len(ours)
    scores = [BLEU().corpus_score(lines, [data.references("test")]).score for lines in (ours, theirs)]
    print(f"identical {same:.3f} of {len(ours)}, BLEU {scores}")
    assert len(ours) == 1000
    assert same >= 0.99
    assert scores[0] == pytest.approx(scores[1], abs=0.05)


def test_fairseq_in_this_process_leaves_our_configuration_as_it_is(fairseq):
    """On import it adds its own `config` and `task/translation` to the store from which Hydra takes schemas."""
    from hydra.core.config_store import ConfigStore

    assert {"config.yaml", "task"} <= ConfigStore.instance().repo.keys()
    assert compose(["task=translation", "skip=rskip_ln", "seed=3"]).seed == 3
    assert {"config.yaml", "task"} <= ConfigStore.instance().repo.keys()
