"""A figure from its manifest to its page: its nets, its kept numbers, interruptions, and what is rendered."""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from skipln import skips
from skipln.configuration.composition import compose
from skipln.engine.environment import create_fabric
from skipln.engine.run import execute
from skipln.errors import UserError
from skipln.figures import measuring, runner
from skipln.figures.cli import main
from skipln.figures.drawing import draw
from skipln.figures.manifest import load, names
from skipln.figures.numbers import geometric
from skipln.figures.numbers import load as load_numbers
from skipln.figures.page import growth, page
from skipln.figures.points import points
from skipln.figures.render import render
from skipln.tasks import create_task
from skipln.trained.run import load_run

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = sorted(path.parent for path in (ROOT / "results").glob("*/*/sites.csv"))
MANIFEST = """
title: tiny
forms: [skip, xskip]
lams: [0.5, 2]
law: [xskip]
scales:
  test:
    seeds: 1
    batches: 2
    threads: 1
    overrides: [training.updates=2, training.checkpoint_every=2, schedule.warmup=1, paths.runs={runs}]
    models: [{{name: preact_resnet, label: PreAct-ResNet, overrides: [task=classification], depths: {{8: []}}}}]
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the arguments of a figure of three nets: skip, xskip λ=0.5 and λ=2."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments/figure9.yaml").write_text(MANIFEST.format(runs=tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return [f"--experiments={tmp_path}/experiments", f"--results={tmp_path}/results"]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure nets in this process, since another takes seconds to load torch."""
    monkeypatch.setattr(runner, "measure_all", lambda missing, _: [measuring.make(point) for point in missing] and [])


@pytest.mark.slow
def test_the_command_continues_after_a_signal(tiny, tmp_path):
    """The real command, with its own processes, is stopped by a signal and started again."""
    path = tmp_path / "experiments/figure9.yaml"
    path.write_text(path.read_text().replace("updates=2,", "updates=200,").replace("every=2,", "every=200,"))
    command = [sys.executable, "-m", "skipln.figures", *tiny, "run", "figure9", "--scale", "test"]
    measured = tmp_path / "runs/figures"
    place = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(ROOT)}}
    process = subprocess.Popen(command, **place, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not list(measured.glob("*.json")):
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert "stopped; to continue: python -m skipln.figures" in process.communicate()[1]
    assert process.returncode == 130
    kept = {path: path.stat().st_mtime_ns for path in measured.glob("*.json")}
    done = subprocess.run(command, **place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    total = len(list(measured.glob("*.json")))
    assert 0 < len(kept) < total
    assert f"{len(kept)} of {total} nets are measured" in done.stderr
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())


def test_a_figure_is_made_once_and_continued(tiny, here, tmp_path, capfd):
    command = [*tiny, "run", "figure9", "--scale", "test"]
    assert main(command) == 0
    first = capfd.readouterr()
    assert "0 of 3 nets are measured" in first.err
    folder = tmp_path / "runs/tables/test/figure9"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(before) == {"sites.csv", "nets.csv", "about.json", "figure.md"} | {
        f"preact_resnet-{quantity}.{kind}"
        for quantity in ("stream", "branch", "share", "overview")
        for kind in ("svg", "pdf")
    }
    assert first.out == before["figure.md"].decode()
    assert "- Arithmetic of the trainings: fp32\n" in first.out

    lost, damaged, kept = sorted((tmp_path / "runs/figures").iterdir())
    lost.unlink()
    damaged.write_bytes(kept.read_bytes()[:-10])
    stamp = kept.stat().st_mtime_ns
    assert main(command) == 0
    assert "1 of 3 nets are measured" in capfd.readouterr().err
    assert kept.stat().st_mtime_ns == stamp
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

    files = [*folder.glob("*.svg"), *(tmp_path / "runs/figures").iterdir()]
    stamps = {path: path.stat().st_mtime_ns for path in files}
    assert main(command) == 0  # the third time nothing is measured or drawn
    assert stamps == {path: path.stat().st_mtime_ns for path in files}


def test_a_net_is_measured_before_and_after_training(tiny, tmp_path):
    """At the start the loss is that of a guess among ten classes; training changes the gradients."""
    point = points(load("figure9", tmp_path / "experiments"), "test")[-1]
    measuring.make(point)
    found = measuring.read(point)
    assert found is not None and set(found.states) == {"start", "trained"}
    start, trained = found.states["start"], found.states["trained"]
    assert [len(start.loss), len(start.sites["stream"]), len(start.sites["stream"][0])] == [2, 2, 3]
    assert found.stacks == ["stages.0", "stages.1", "stages.2"]
    assert start.loss[0] == pytest.approx(math.log(10), rel=0.3)
    assert start.sites["stream"] != trained.sites["stream"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "figure8", "--scale", "test"], "no figure figure8: choose one of figure9"),
        (["run", "table1"], "no figure table1: choose one of figure9"),
        (["run", "figure9", "--scale", "huge"], "figure9 has nothing at scale=huge: choose one of test"),
        (["run", "figure9"], "figure9 has nothing at scale=demo: choose one of test"),
        (["run", "figure9", "--scale", "huge", "data.dir=x"], "figure9 has nothing at scale=huge"),  # as make gives it
    ],
)
def test_mistakes_are_one_line(tiny, words, said, capsys):
    assert main([*tiny, *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {said}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("lams: [0.5, 2]", "lams: [0]", "lams.0=0: input should be greater than 0"),
        ("batches: 2", "batchs: 2", "scales.test.batchs is not a key: the keys are seeds, batches, threads"),
        ("label: PreAct-ResNet", "lable: x", "scales.test.models.0.lable is not a key: the keys are name, label"),
        ("law: [xskip]", "", "law is missing"),
        ("training.updates=2", "seed=2", "only the table sets a run's seed"),
        ("title: tiny", "title: [", "while parsing"),
    ],
)
def test_a_manifest_is_checked(tiny, tmp_path, old, new, said):
    path = tmp_path / "experiments/figure9.yaml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError, match=r"^figure9\.yaml: ") as error:
        load("figure9", tmp_path / "experiments")
    assert said in str(error.value)


def test_every_form_has_every_lambda_of_its_type():
    found = points(load("figure1"), "demo")
    lams: dict[str, list] = {}
    for p in found:
        if (p.depth, p.seed) == (110, 1):
            lams.setdefault(p.form, []).append(p.lam)
    assert lams["skip"] == [None]
    assert lams["rskip_ln"] == lams["rskip_bn"] == [1, 2, 3]
    assert lams["xskip"] == lams["xskip_ln"] == lams["xskip_bn"] == [0.5, 1, 2, 3]
    assert len({point.path for point in found}) == len(found)


def test_a_figure_shows_only_the_forms_of_its_manifest(tiny, tmp_path):
    """So a connection that is added later changes no committed figure."""
    manifest = load("figure9", tmp_path / "experiments")
    assert {point.form for point in points(manifest, "test")} == {"skip", "xskip"} < set(skips.names())
    with pytest.raises(UserError, match="figure9: unknown connection 'no_such': choose one of "):
        points(manifest.model_copy(update={"forms": ["no_such"]}), "test")


def test_a_nets_configuration_equals_that_of_its_command():
    found = points(load("figure1"), "test")
    manifest = load("figure1").at("test")
    shared = ["scale=test", *manifest.overrides, *manifest.models[1].overrides, *manifest.models[1].depths[8]]
    for form, lam, options in (("rskip_ln", 3, ["skip.lam=3"]), ("skip", None, []), ("xskip", 2, ["skip.lam=2"])):
        point = next(p for p in found if (p.model, p.depth, p.form, p.lam) == ("transformer", 8, form, lam))
        assert point.config.hash == compose([*shared, f"skip={form}", *options, "seed=1"]).hash


def test_geometric_mean_and_spread_by_hand():
    assert geometric([1.0, 100.0]) == pytest.approx((10, math.exp(math.log(10) * math.sqrt(2))))
    assert geometric([4.0]) == (pytest.approx(4), None)
    assert geometric([0.0, 1.0]) == (0.0, None)
    assert geometric([]) == (None, None)


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_committed_page_and_drawing_follow_from_the_numbers(folder):
    manifest, numbers, scale = load(folder.name), load_numbers(folder), folder.parent.name
    model = manifest.at(scale).models[0]
    assert (folder / "figure.md").read_text("utf-8") == page(numbers, manifest, scale)
    drawing = draw(numbers.sites, manifest, model, "stream").svg()
    assert (folder / f"{model.name}-stream.svg").read_text("utf-8") == drawing


@pytest.mark.slow
@pytest.mark.parametrize("folder", COMMITTED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_rendering_again_from_the_numbers_gives_the_same_bytes(folder, tmp_path):
    for name in ("sites.csv", "nets.csv", "about.json"):
        shutil.copy(folder / name, tmp_path)
    render(load(folder.name), folder.parent.name, tmp_path)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("odd", [None, 5, "x", [1], [["x"]], {"a": 1}])
def test_odd_provenance_of_a_figure_is_one_line(tmp_path, odd):
    folder = COMMITTED[0]
    for name in ("sites.csv", "nets.csv"):
        shutil.copy(folder / name, tmp_path)
    about = json.loads((folder / "about.json").read_text())
    for key in ("data", "code", "hardware", "arithmetic"):
        (tmp_path / "about.json").write_text(json.dumps({**about, key: odd}))
        with pytest.raises(UserError, match=rf"damaged \({key}"):
            load_numbers(tmp_path)


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_numbers_belong_to_the_current_configuration(folder):
    """If a default behind a committed figure changes, the figure must be made again. Runs of a table may be missing."""
    planned = points(load(folder.name), folder.parent.name)
    measured = {run for net in load_numbers(folder).nets for run in net.runs.split()}
    own = {point.config.hash for point in planned if point.run is None}
    assert measured and own <= measured <= {point.config.hash for point in planned}


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_committed_numbers_show_the_law(folder):
    """On PreAct-ResNet, whose branches have a norm, xSkip multiplies gradients by λ per site; with LN by about 1."""
    measured = [site for site in load_numbers(folder).sites if (site.model, site.state) == ("preact_resnet", "start")]
    deepest = [site for site in measured if site.depth == max(other.depth for other in measured)]
    for lam in {site.lam for site in deepest if site.form == "xskip" and site.lam is not None and site.lam > 1}:
        for form, expected in (("xskip", lam), ("xskip_ln", 1), ("rskip_ln", 1)):
            sites = [site for site in deepest if (site.form, site.lam) == (form, lam)]
            assert growth(sites) == pytest.approx(expected, rel=0.1), (form, lam)
    assert any((site.form, site.lam) == ("xskip", 2) for site in deepest)


def test_a_page_shows_the_deepest_nets_that_are_measured():
    """Of a table's runs, those of one depth or of a whole model may be missing."""
    manifest, numbers, scale = load("figure1"), load_numbers(COMMITTED[0]), COMMITTED[0].parent.name
    at = manifest.at(scale)
    deeper = at.models[0].model_copy(update={"depths": {**at.models[0].depths, 999: []}})
    other = at.models[0].model_copy(update={"name": "other", "label": "another net"})
    models = [deeper, *at.models[1:], other]
    changed = manifest.model_copy(update={"scales": {scale: at.model_copy(update={"models": models})}})
    assert page(numbers, changed, scale) == page(numbers, manifest, scale)


def test_every_figure_of_experiments_loads():
    assert names() == ["figure1"]
    assert load("figure1").at("demo").seeds >= 1


TABLE = """
title: tiny
metrics: [error]
baseline: skip
seeds: {test: 1}
columns:
  test:
    - name: digits
      label: digits
      overrides: [task=classification, training.updates=2, training.checkpoint_every=2, schedule.warmup=1]
rows:
  - {name: skip, label: skip, overrides: [skip=skip]}
  - {name: xskip_2, label: xSkip λ=2, overrides: [skip=xskip, skip.lam=2]}
  - {name: other, label: other, overrides: [skip=rskip_ln]}
"""
OF = "models: [{name: preact_resnet, label: PreAct-ResNet, of: table9, depths: {8: [digits]}}]"


@pytest.fixture
def trained(tiny, tmp_path: Path) -> list[str]:
    """Return the arguments of a figure of a table's finished runs, of which only one exists."""
    path = tmp_path / "experiments/figure9.yaml"
    text = path.read_text()
    path.write_text(text[: text.index("    models:")] + f"    {OF}\n")
    (tmp_path / "experiments/table9.yaml").write_text(TABLE)
    manifest = load("figure9", tmp_path / "experiments")
    skip, xskip = points(manifest, "test", tmp_path / "experiments")
    assert (skip.form, xskip.form) == ("skip", "xskip")  # rskip_ln is not one of its forms
    assert (xskip.lam, xskip.depth) == (2, 8)
    assert execute(skip.config) == "done"
    return tiny


def test_the_nets_of_finished_runs_are_measured(trained, here, tmp_path, capfd):
    """They are measured with the tested weights: the model of `load_run`, measured by itself, has the same numbers."""
    command = [*trained, "run", "figure9", "--scale", "test"]
    assert main(command) == 0
    said = capfd.readouterr()
    assert "0 of 2 nets are measured" in said.err and "1 nets have no finished run here: make table9" in said.err
    assert "the weights with which finished runs of table9 at scale test were tested (column digits)." in said.out
    assert "Short training" not in said.out
    point = points(load("figure9", tmp_path / "experiments"), "test", tmp_path / "experiments")[0]
    found = measuring.read(point)
    assert found is not None and found.states["start"].loss != found.states["trained"].loss
    model = load_run(point.run).model
    task = create_task(point.config)
    own = measuring._passes(model, task, create_fabric(point.config), 2)
    assert [one.loss for one in own] == pytest.approx(found.states["trained"].loss, rel=1e-5)
    assert own[0].sites[0].stream == pytest.approx(found.states["trained"].sites["stream"][0][0], rel=1e-5)


def test_the_output_of_a_transformer_is_its_logits(tiny_text, tmp_path):
    """Loss and scale of the output are those of the logits, which torch computes here from the same net."""
    words = ["scale=test", "data=parallel_text", f"data.dir={tiny_text}", "data.vocabulary=290", "data.max_length=40"]
    config = compose([*words, "skip=xskip_ln", "model.dropout=0", f"paths.cache={tmp_path}"])
    task = create_task(config)
    model = task.build()
    (found,) = measuring._passes(model, task, create_fabric(config), 1)
    batch, net = task.epoch(0)[0], model.double().train()
    logits, targets = net(batch.source, batch.target_in), batch.target_out[batch.target_in != net.pad]
    smoothing = config.task.label_smoothing
    loss = torch.nn.functional.cross_entropy(logits, targets, label_smoothing=smoothing)
    assert found.loss == pytest.approx(loss.item(), rel=1e-12)
    assert found.output == pytest.approx(logits.square().mean().sqrt().item(), rel=1e-12)


def test_a_figure_of_missing_runs_is_one_line(trained, here, tmp_path, capfd):
    shutil.rmtree(tmp_path / "runs")
    assert main([*trained, "run", "figure9", "--scale", "test"]) == 2
    assert "2 nets have no finished run here: make table9 SCALE=test\nerror: figure9: no net is measured\n" in (
        capfd.readouterr().err
    )


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ("depths: {8: [digit]}", "table9 has no column digit at scale test: digits"),
        ("depths: {8: [a.b=1]}", "depths.8: for a net of table9, give only the name of a column"),
        ("depths: {8: []}", "depths.8: for a net of table9, give only the name of a column"),
    ],
)
def test_mistakes_about_finished_runs_are_one_line(trained, tmp_path, capsys, new, said):
    path = tmp_path / "experiments/figure9.yaml"
    path.write_text(path.read_text().replace("depths: {8: [digits]}", new))
    assert main([*trained, "run", "figure9", "--scale", "test"]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


def test_a_figure_is_published_whole_and_only_on_request(trained, here, tmp_path, capfd):
    assert main([*trained, "publish", "figure9", "--scale", "test"]) == 2
    assert "no figure of yours in runs/tables/test/figure9" in capfd.readouterr().err
    assert main([*trained, "run", "figure9", "--scale", "test"]) == 0
    assert not (tmp_path / "results").exists()
    allow = ["--allow=uncommitted"]
    assert main([*trained, "publish", "figure9", "--scale", "test", *allow]) == 0
    mine, ours = tmp_path / "runs/tables/test/figure9", tmp_path / "results/test/figure9"
    files = {path.name for path in ours.iterdir()}
    assert {"sites.csv", "nets.csv", "about.json", "figure.md"} < files
    assert all((ours / name).read_bytes() == (mine / name).read_bytes() for name in files)
    assert [path.name for path in ours.parent.iterdir()] == ["figure9"]
    about = mine / "about.json"
    about.write_text(re.sub(r'"commit [^"]*"', '"commit abc with uncommitted changes"', about.read_text()))
    assert main([*trained, "publish", "figure9", "--scale", "test"]) == 2
    assert "ALLOW=uncommitted publishes" in capfd.readouterr().err
