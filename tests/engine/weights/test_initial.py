"""Training from given weights: they must fit, their content names the run, and nothing in them is executed."""

import json
import os
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch

from skipln.configuration.composition import compose
from skipln.engine.checkpoint import Checkpoints
from skipln.engine.run import execute
from skipln.engine.weights.initial import fit, read_weights, start_from_weights
from skipln.engine.weights.tensors import save_tensors
from skipln.errors import UserError
from skipln.export.__main__ import main as export
from skipln.runs.sums import with_sums
from skipln.runs.weights import weights_file
from skipln.system.files import sha256
from skipln.tables.cells import cells
from skipln.tables.manifest import load
from skipln.tasks import create_task
from skipln.tasks.translation import build_transformer
from tests.conftest import write_tiny_text
from tests.test_readme import TRAIN

SHORT = ["training.updates=4", "training.checkpoint_every=2", "training.average=1", "training.log_every=1"]


@pytest.fixture(scope="module")
def short(tiny: list[str]) -> list[str]:
    return [*tiny, *SHORT]


@pytest.fixture(scope="module")
def source(short: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished post-LN run."""
    config = compose([*short, "optim.lr=0.02", f"paths.runs={tmp_path_factory.mktemp('source')}"])
    assert execute(config) == "done"
    return config.folder


def started(overrides: list[str]) -> torch.nn.Module:
    """Return the model of a configuration as it is when training starts."""
    config = compose(overrides)
    torch.manual_seed(config.seed)
    model = create_task(config).build().eval()
    if config.init_weights:
        start_from_weights(model, config)
    return model


def logits(model: torch.nn.Module) -> torch.Tensor:
    torch.manual_seed(0)
    source, target = torch.randint(4, 200, (3, 7)), torch.randint(4, 200, (3, 5))
    with torch.no_grad():
        return model(source, target)


def test_the_weights_content_names_the_run_but_not_their_path(source: Path, short: list[str], tmp_path: Path) -> None:
    moved = shutil.copytree(source, tmp_path / "moved")
    file = moved / "checkpoints" / "tested.pt"
    names = {compose([*short, f"init_from={one}"]).hash for one in (source, moved, file)}
    digest = sha256(file)
    names.add(compose([*short, f"init_weights={digest}"]).hash)
    names.add(compose([*short, f"init_weights={digest}", f"init_from={tmp_path / 'gone'}"]).hash)
    assert len(names) == 1
    others = {
        compose(short).hash,
        compose([*short, f"init_from={moved / 'checkpoints' / 'best.pt'}"]).hash,
        compose([*short, f"init_from={source}", "init_connections=new"]).hash,
    }
    assert len(others | names) == 4


@pytest.mark.parametrize(
    ("overrides", "norm"),
    [
        ([], "norm"),
        (["skip=rskip_ln", "skip.lam=1", "init_connections=first_norm"], "norms.0"),
        (["skip=xskip_ln_learned", "init_connections=first_norm"], "norm"),
    ],
)
def test_training_starts_with_the_trained_weights(
    source: Path, short: list[str], overrides: list[str], norm: str, tmp_path: Path
) -> None:
    trained = started(short)
    trained.load_state_dict(read_weights(source / "checkpoints" / "tested.pt"))
    model = started([*short, *overrides, f"init_from={source}"])
    torch.testing.assert_close(logits(model), logits(trained), rtol=0, atol=1e-6)
    assert not torch.allclose(logits(started(short)), logits(trained), atol=1e-2)
    assert model.encoder[0].sites[0].get_submodule(norm).weight.equal(trained.encoder[0].sites[0].norm.weight)
    assert export([str(source), "--to", "safetensors", "-o", str(tmp_path / "exported")]) == 0
    again = started([*short, *overrides, f"init_from={tmp_path / 'exported'}"])
    assert logits(again).equal(logits(model))


def test_favor_starts_from_the_weights_of_softmax_attention(source: Path, short: list[str]) -> None:
    """FAVOR+ estimates the softmax whose projections it takes over, and with few features it does so badly."""
    many, few, trained = (
        logits(started([*short, *overrides, f"init_from={source}"]))
        for overrides in (
            ["attention=favor", "attention.features=4000"],
            ["attention=favor", "attention.features=2"],
            [],
        )
    )
    assert (many - trained).square().mean() < 0.1 * (few - trained).square().mean()
    with pytest.raises(UserError, match="left over: encoder"):
        config = compose([*short, f"init_from={source}"])
        weights = started([*short, "attention=favor"]).state_dict()
        fit(weights, create_task(config).build(), "same")


def test_rskip_takes_over_the_first_norm_and_starts_a_second(
    source: Path, short: list[str], capsys: pytest.CaptureFixture
) -> None:
    """y_1 = LN(x + F(x)) is the trained block, and the norm of y_2 starts with gain 1 and bias 0."""
    given = [*short, "skip=rskip_ln", "skip.lam=2"]
    model = started([*given, f"init_from={source}", "init_connections=first_norm"])
    said = capsys.readouterr().err
    assert "are loaded; newly drawn are encoder.0.sites.0.norms.1.weight, encoder.0.sites.0.norms.1.bias, " in said
    assert "and 4 more" in said and said.count("\n") == 1
    weights = read_weights(source / "checkpoints" / "tested.pt")
    norms = model.decoder[0].sites[2].norms
    assert norms[0].weight.equal(weights["decoder.0.sites.2.norm.weight"])
    assert norms[1].weight.eq(1).all() and norms[1].bias.eq(0).all()
    assert model.embedding.weight.equal(weights["embedding.weight"])
    fresh = started([*given, f"init_from={source}", "init_connections=new"])
    assert fresh.decoder[0].sites[2].norms[0].weight.eq(1).all()
    assert fresh.embedding.weight.equal(weights["embedding.weight"])
    with pytest.raises(UserError) as error:
        started([*given, f"init_from={source}"])
    assert "missing: encoder.0.sites.0.norms.0.weight" in str(error.value)
    assert "left over: encoder.0.sites.0.norm.weight" in str(error.value)


def test_other_text_is_encoded_with_the_weights_vocabulary(
    source: Path, short: list[str], tmp_path: Path, interrupt
) -> None:
    """A run that has started no longer needs the weights or their folder."""
    write_tiny_text(tmp_path / "other", pairs=150)
    for path in (tmp_path / "other").iterdir():
        path.write_text(path.read_text("utf-8").replace("o", "a"), "utf-8")
    moved = shutil.copytree(source, tmp_path / "moved")
    given = [*short, f"data.dir={tmp_path / 'other'}", "data.name=other", "data.vocabulary=290"]
    config = compose([*given, f"init_from={moved}", f"paths.runs={tmp_path / 'runs'}"])
    task = create_task(config)
    (theirs,) = (source / "inputs").glob("vocabulary.model")
    assert (task.data.folder / "vocabulary.model").read_bytes() == theirs.read_bytes()
    assert create_task(compose(given)).data.fingerprint != task.data.fingerprint

    whole = compose([*given, f"init_from={moved}", f"paths.runs={tmp_path / 'whole'}"])
    assert execute(whole) == "done"
    interrupt(config, 2)
    moved.rename(tmp_path / "away")
    again = compose([*given, f"init_weights={config.init_weights}", f"paths.runs={tmp_path / 'runs'}"])
    assert again.folder == config.folder
    assert execute(again) == "done"
    weights = [
        Checkpoints(one.folder / "checkpoints", one.hash, 1).load_tested(4)["embedding.weight"]
        for one in (again, whole)
    ]
    assert weights[0].equal(weights[1])
    with pytest.raises(UserError, match="no inputs/ with its vocabulary beside it"):
        execute(again.model_copy(update={"seed": 9}))


class Evil:
    def __reduce__(self):
        return os.system, ("touch executed",)


def _result(**values: object):
    def change(folder: Path) -> Path:
        path = folder / "result.json"
        path.write_text(json.dumps(with_sums({**json.loads(path.read_text()), **values}, [])))
        return folder

    return change


def _torch(content: object):
    def change(folder: Path) -> Path:
        torch.save(content, folder / "checkpoints" / "tested.pt")
        return folder

    return change


def _without(name: str):
    def change(folder: Path) -> Path:
        found = folder / name
        shutil.rmtree(found) if found.is_dir() else found.unlink()
        return folder

    return change


def _safetensors(change):
    def write(folder: Path) -> Path:
        weights = read_weights(folder / "checkpoints" / "tested.pt")
        change(weights)
        save_tensors(folder / "mine.safetensors", weights, {})
        return folder / "mine.safetensors"

    return write


def _cut(folder: Path) -> Path:
    path = folder / "checkpoints" / "tested.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return folder


def _images(folder: Path) -> Path:
    (folder / "inputs" / "vocabulary.model").rename(folder / "inputs" / "images.json")
    return folder / "checkpoints" / "tested.pt"


@pytest.mark.parametrize(
    ("make", "overrides", "said"),
    [
        (lambda f: f / "none", [], "no such run and no such file"),
        (lambda f: f.parent, [], "not a run's folder, because it has no config.yaml"),
        (_without("result.json"), [], "this run is not finished"),
        (_result(state="diverged"), [], "this run diverged at update 4 and has no model to use"),
        (_without("checkpoints"), [], "tested.pt: no such checkpoint; a run of an older version must be trained again"),
        (_without("inputs"), [], "no inputs/ with its vocabulary beside it"),
        (lambda f: f / "checkpoints" / "state-00000004.pt", [], "not a model's weights; give a run's folder"),
        (lambda f: f / "config.yaml", [], "no inputs|damaged, or holds more than weights"),
        (_cut, [], "damaged (its SHA-256 has changed since it was saved)"),
        (_torch({"embedding.weight": Evil()}), [], "damaged, or holds more than weights, which is never executed"),
        (_torch([1, 2]), [], "not a model's weights"),
        (_torch({"embedding.weight": torch.ones(2)}), [], "missing: encoder.0.self_attention.query.weight, "),
        (_safetensors(lambda w: w.update(mine=torch.ones(2))), [], "does not fit this model; left over: mine"),
        (
            _safetensors(lambda w: w.update({"encoder.0.feed_forward.0.bias": torch.ones(3)})),
            [],
            "of another shape: encoder.0.feed_forward.0.bias [3] for [64]",
        ),
        (lambda f: f, ["model.encoder_layers=2"], "missing: encoder.1.self_attention.query.weight"),
        (lambda f: f, ["skip=rskip_ln"], "more; its own run has skip=xskip_ln skip.lam=1.0$"),
        (lambda f: f, ["data.encoding=bpe"], "not of data.encoding=bpe (there: vocabulary.model); give those of a run"),
        (_images, [], "not of data.encoding=sentencepiece (there: images.json); give those of a run on such text"),
        (lambda f: f, ["skip=pre_ln", "init_connections=first_norm"], "pre_ln has no norm of x + F(x)"),
        (lambda f: f, ["data.vocabulary=300"], "has 290 pieces: give data.vocabulary=290"),
        (lambda f: f, [f"init_weights={'0' * 64}"], "not init_weights=0000"),
        (lambda f: f, ["engine=fairseq"], "engine=fairseq cannot start from weights"),
        (
            lambda f: f,
            ["task=classification", "data=digits"],
            "of text|does not fit this model; missing: stem.0.weight",
        ),
    ],
)
def test_weights_that_do_not_fit_are_one_line(
    source: Path, short: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make, overrides, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    given = make(shutil.copytree(source, tmp_path / "folder" / "copy"))
    basis = [one for one in short if not one.startswith(("data", "training.max", "task.", "model."))]
    with pytest.raises(UserError) as error:
        started([*(basis if "task=classification" in overrides else short), *overrides, f"init_from={given}"])
    assert re.search(
        said.replace("(", r"\(").replace(")", r"\)").replace("+", r"\+").replace("[", r"\["), str(error.value)
    )
    assert "\n" not in str(error.value)
    assert not (tmp_path / "executed").exists()


def test_init_connections_needs_init_from(short: list[str]) -> None:
    with pytest.raises(UserError, match="init_connections=new applies only to init_from: give init_from too"):
        compose([*short, "init_connections=new"])
    with pytest.raises(UserError, match="init_weights"):
        compose([*short, "init_weights=abc"])
    with pytest.raises(UserError, match="this run has no checkpoint to continue from"):
        start_from_weights(torch.nn.Linear(1, 1), compose([*short, f"init_weights={'0' * 64}"]))


def test_pre_ln_weights_are_refused_as_norms_of_sums(short: list[str], tmp_path: Path) -> None:
    config = compose([*short, "skip=pre_ln", "training.updates=2", f"paths.runs={tmp_path}"])
    assert execute(config) == "done"
    with pytest.raises(UserError, match=r"last_norm\.weight belongs to a norm before the branches; use init_"):
        started([*short, "skip=rskip_ln", "init_connections=first_norm", f"init_from={config.folder}"])
    assert weights_file(config.folder) == config.folder / "checkpoints" / "tested.pt"


def test_a_resnet_starts_from_weights_with_their_statistics(tmp_path: Path) -> None:
    """Its own batch norms are taken over, a connection's norm may be new, and other class counts are refused."""
    images = ["task=classification", "scale=test", "data=digits", "compute.accelerator=cpu", "compute.threads=1"]
    config = compose([*images, "training.updates=4", "training.checkpoint_every=2", f"paths.runs={tmp_path}"])
    assert execute(config) == "done"
    weights = read_weights(weights_file(config.folder))
    assert any(name.endswith("running_mean") and value.any() for name, value in weights.items())
    given = [*images, f"init_from={config.folder}"]
    for name, value in started([*given, "seed=7"]).state_dict().items():
        assert value.equal(weights[name]), name
    new = started([*given, "skip=rskip_bn", "skip.lam=2", "init_connections=new"])
    assert new.stem[1].running_mean.equal(weights["stem.1.running_mean"])
    model = started([*images, "seed=7"])
    model.classifier = torch.nn.Linear(model.classifier.in_features, 3)
    with pytest.raises(
        UserError, match=r"classifier\.weight \[10, \d+\] for \[3, \d+\], classifier\.bias \[10\] for \[3\]"
    ):
        start_from_weights(model, compose(given))


@pytest.mark.parametrize("command", [command for command in TRAIN if "init_from=" in command])
def test_runs_of_table_2_fit_the_pages_commands(command: str, tmp_path: Path) -> None:
    """The command that starts from another connection starts from post-LN."""
    words = [word for word in shlex.split(command)[1:] if not word.startswith("init_")]
    config = compose([*words, f"paths.runs={tmp_path}"])
    connections = "first_norm" if "init_connections=first_norm" in command else "same"
    wanted = {"name": "xskip_ln", "lam": 1.0} if connections == "first_norm" else config.skip
    (trained,) = [cell.config for cell in cells(load("table2"), "demo", [1], cache=None) if cell.config.skip == wanted]
    assert config.data.vocabulary == trained.data.vocabulary
    weights = build_transformer(trained, trained.data.vocabulary).state_dict()
    fit(weights, build_transformer(config, config.data.vocabulary), connections)
