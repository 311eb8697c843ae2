"""Checkpoints from and to fairseq, and those that are refused."""

import pickle
import sys
from argparse import Namespace

import pytest
import torch

from skipln.errors import UserError
from skipln.interop.fairseq import require_fairseq
from skipln.interop.fairseq.__main__ import main
from skipln.interop.fairseq.checkpoint import (
    average,
    import_checkpoint,
    load_imported,
    model_arguments,
    read_checkpoint,
    write_checkpoint,
)
from skipln.interop.fairseq.weights import Model, to_fairseq
from tests.interop.conftest import PAPER, POST_LN, SHAPE, SIZE, ours

LAYER = {"name": "layer"}
MODELS = [
    Model(SHAPE, POST_LN, LAYER, "eos"),
    Model(PAPER, POST_LN, LAYER, "bos"),
    Model(PAPER, {"name": "skip", "pre_norm": True}, LAYER, "bos"),
    Model(PAPER, {"name": "rskip_ln", "lam": 3, "share_norm": True}, {"name": "rms", "eps": 1e-3}, "bos"),
]


@pytest.mark.parametrize("model", MODELS, ids=["fairseq", "paper", "pre", "rskip"])
def test_a_written_checkpoint_is_read_again(model, tmp_path):
    built = ours(model)
    write_checkpoint(tmp_path / "x.pt", built.state_dict(), model)
    found = import_checkpoint(tmp_path / "x.pt", tmp_path / "imported")
    assert found.shape == model.shape
    assert (found.skip["name"], found.start) == (model.skip["name"], model.start)
    read, _ = load_imported(tmp_path / "imported")
    tokens = torch.tensor([[5, 6, 7, 3]])
    with torch.no_grad():
        assert torch.equal(read(tokens, tokens), built.eval()(tokens, tokens))


@pytest.mark.parametrize("model", MODELS, ids=["fairseq", "paper", "pre", "rskip"])
@torch.no_grad()
def test_fairseq_loads_what_we_write(fairseq, model, tmp_path, monkeypatch):
    from fairseq.checkpoint_utils import load_model_ensemble

    import skipln.interop.fairseq.model  # noqa: F401  # as --user-dir does
    from tests.interop.conftest import fairseq_dictionary

    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    dictionary = fairseq_dictionary(SIZE)
    for language in ("en", "de"):
        dictionary.save(str(tmp_path / f"dict.{language}.txt"))
    built = ours(model).eval()
    write_checkpoint(tmp_path / "x.pt", built.state_dict(), model)
    (theirs,), _ = load_model_ensemble([str(tmp_path / "x.pt")], arg_overrides={"data": str(tmp_path)})
    memory = theirs.eval().encoder(torch.tensor([[5, 6, 2]]), torch.tensor([3]))
    logits, _ = theirs.decoder(torch.tensor([[2, 9, 8]]), memory)
    start = {"bos": 2, "eos": 3}[model.start]
    expected = built(torch.tensor([[5, 6, 3]]), torch.tensor([[start, 9, 8]]))
    torch.testing.assert_close(expected[:, 4:], logits[0][:, 4:], rtol=0, atol=1e-5)


def state(model=MODELS[0], **changed):
    args = Namespace(**{**model_arguments(model), **changed})
    return {"args": None, "cfg": {"model": args}, "model": to_fairseq(ours(model).state_dict(), model)}


def save(tmp_path, content):
    torch.save(content, tmp_path / "x.pt")
    return tmp_path / "x.pt"


def without(name):
    content = state()
    del content["model"][name]
    return content


def untied():
    content = state()
    content["model"]["decoder.embed_tokens.weight"] = content["model"]["decoder.embed_tokens.weight"] + 1
    return content


def learned_elsewhere():
    content = state(MODELS[1])
    content["model"]["encoder.embed_positions.weight"] += 1
    return content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda: state(arch="lstm"), "a checkpoint of another architecture: lstm"),
        (lambda: state(arch="transformer_lm"), "a checkpoint of another architecture: transformer_lm"),
        (lambda: state(activation_fn="gelu"), "another architecture: activation_fn=gelu, ours has relu"),
        (lambda: state(decoder_embed_dim=16), "embed_dim is 32 and 16"),
        (lambda: state(encoder_normalize_before=True), "of one stack only"),
        (lambda: state(encoder_layers=3), "it has no encoder.layers.2"),
        (lambda: state(encoder_layers=1), "encoder.layers.1.fc1.bias has no counterpart"),
        (lambda: state(encoder_ffn_embed_dim=8, decoder_ffn_embed_dim=8), "its weights do not fit its settings"),
        (lambda: without("encoder.layers.0.fc1.weight"), "it has no encoder.layers.0.fc1.weight"),
        (lambda: without("encoder.embed_tokens.weight"), "it has no encoder.embed_tokens.weight"),
        (untied, "train with --share-all-embeddings"),
        (learned_elsewhere, "learned positions"),
        (lambda: {"model": state()["model"]}, "no cfg.model"),
        (lambda: {"weights": 1}, "not a checkpoint of fairseq"),
        (lambda: torch.zeros(1), "not a checkpoint of fairseq"),
    ],
)
def test_another_architecture_is_one_line(content, said, tmp_path):
    with pytest.raises(UserError) as error:
        import_checkpoint(save(tmp_path, content()), tmp_path / "out")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (type(self.path).touch, (self.path,))


def test_reading_a_checkpoint_executes_nothing(tmp_path):
    path = save(tmp_path, {**state(), "extra": Evil(tmp_path / "executed")})
    with pytest.raises(UserError, match="holds objects other than tensors and settings"):
        read_checkpoint(path)
    assert not (tmp_path / "executed").exists()
    (tmp_path / "old.pt").write_bytes(pickle.dumps({"model": Evil(tmp_path / "executed")}))
    with pytest.raises(UserError, match=r"old\.pt"):
        read_checkpoint(tmp_path / "old.pt")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half", b"text"])
def test_a_damaged_file_is_one_line(content, tmp_path):
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(UserError, match="damaged, or not a checkpoint"):
        read_checkpoint(tmp_path / "x.pt")
    with pytest.raises(UserError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "y.pt")


ODD = [None, -1, 0, 2.5, 10**400, float("nan"), "x", [], {}, True, torch.zeros(2)]
KEYS = ["arch", "encoder_layers", "encoder_embed_dim", "decoder_attention_heads", "dropout", "skip", "skip_lam", "norm"]


@pytest.mark.parametrize("key", KEYS)
def test_odd_settings_are_one_line(key, tmp_path):
    """Or they are harmless, like dropout in a file that is only read. 100,000 repetitions are refused at once."""
    for value in [*ODD, 100_000]:
        try:
            import_checkpoint(save(tmp_path, state(MODELS[3], **{key: value})), tmp_path / "out")
        except UserError as error:
            assert len(str(error).splitlines()) == 1
        else:
            assert key in ("dropout", "skip", "norm", "arch", "skip_lam")


@pytest.mark.parametrize(
    "odd", [*ODD[:-1], torch.zeros(3), torch.full((24, 32), float("nan")), torch.zeros(2, 2).bool()]
)
def test_odd_weights_are_one_line(odd, tmp_path):
    for name in ("encoder.layers.0.fc1.weight", "encoder.embed_tokens.weight"):
        content = state()
        content["model"][name] = odd
        with pytest.raises(UserError) as error:
            import_checkpoint(save(tmp_path, content), tmp_path / "out")
        assert len(str(error.value).splitlines()) == 1
    for content in ({**state(), "cfg": odd, "args": odd}, {**state(), "model": odd}, {**state(), "model": {1: odd}}):
        with pytest.raises(UserError) as error:
            import_checkpoint(save(tmp_path, content), tmp_path / "out")
        assert len(str(error.value).splitlines()) == 1


def test_average_is_the_mean_of_the_weights(tmp_path):
    one, other = state(), state()
    for value in other["model"].values():
        value += 1
    for name, content in (("a", one), ("b", other)):
        torch.save(content, tmp_path / f"{name}.pt")
    weights = average([tmp_path / "a.pt", tmp_path / "b.pt"], tmp_path / "mean.pt")
    name = "decoder.layers.0.fc1.weight"
    torch.testing.assert_close(weights[name], (one["model"][name] + other["model"][name]) / 2)
    assert torch.equal(read_checkpoint(tmp_path / "mean.pt")["model"][name], weights[name])


def test_the_command_line(tmp_path, capsys):
    assert main([]) == 0
    assert capsys.readouterr().out.strip().endswith("skipln_fairseq")
    path = save(tmp_path, state())
    assert main(["convert", str(path), str(tmp_path / "out")]) == 0
    assert "skip=xskip_ln positions=fairseq start=eos" in capsys.readouterr().out
    assert main(["convert", str(path), str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert main(["convert", str(tmp_path), str(tmp_path / "none")]) == 2
    assert "not a translation run's folder" in capsys.readouterr().err


def test_a_missing_fairseq_is_an_error_with_a_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "fairseq", None)
    with pytest.raises(UserError, match="fairseq is not installed: `make peers` adds it"):
        require_fairseq()
