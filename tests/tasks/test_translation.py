import json

import numpy as np
import pytest
import torch
from sacrebleu.metrics import BLEU

from skipln.configuration.composition import compose
from skipln.errors import UserError
from skipln.models.transformer import Transformer, TransformerShape
from skipln.seam.place import Place
from skipln.system.places import CONFIGS
from skipln.tables.statistics.significance import bleu
from skipln.tasks import create_task
from skipln.tasks.connections import make_connections
from skipln.tasks.translation_score import halves, scored, sentence_statistics


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("model/transformer_*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("skip", ["skip", "rskip_ln"])
def test_every_model_config_builds(path, skip):
    config = compose([f"model={path.stem}", f"skip={skip}"])
    shape = TransformerShape(**config.model.model_dump(exclude={"kind"}))
    with torch.device("meta"):
        model = Transformer(4000, shape, make_connections(config, "btc"))
    assert len(model.encoder) == config.model.encoder_layers


def test_the_norm_group_reaches_the_connection():
    site = make_connections(compose(["norm=rms", "norm.eps=1e-3"]), "btc")(8, Place())
    assert type(site.norm).__name__ == "RMSNorm"
    assert site.norm.eps == 1e-3
    with pytest.raises(UserError, match="skip has no norm to choose"):
        make_connections(compose(["norm=rms", "skip=skip"]), "btc")


def test_batches_depend_on_seed_and_epoch_alone(tiny):
    config = compose([*tiny, "seed=5"])
    first, second = create_task(config), create_task(config)
    a, b = first.epoch(3), second.epoch(3)
    assert len(a) == len(b)
    assert all(torch.equal(a[k].source, b[k].source) for k in range(len(a)))
    other = create_task(compose([*tiny, "seed=6"])).epoch(3)
    assert any(a[k].source.shape != other[k].source.shape or not a[k].source.equal(other[k].source) for k in range(3))


def test_the_loss_ignores_padding(tiny):
    task = create_task(compose(tiny))
    torch.manual_seed(0)
    model = task.build().eval()
    batch = task.epoch(0)[0]
    loss = task.loss(model, batch)
    logits = model(batch.source, batch.target_in)
    targets = batch.target_out[batch.target_out != 0]
    assert task.units(batch) == len(targets) == len(logits)
    expected = torch.nn.functional.cross_entropy(logits, targets, reduction="sum", label_smoothing=0.1)
    torch.testing.assert_close(loss.total, expected)


def test_sentence_statistics_add_up_to_corpus_bleu():
    outputs = ["the red dog sees a tree", "a house", "", "one two three four five six"]
    references = ["the red dog sees the tree", "a green house", "nothing", "one two three four six five"]
    statistics = sentence_statistics(outputs, references)
    assert statistics.shape == (4, 10)
    expected = BLEU().corpus_score(outputs, [references]).score
    assert float(bleu(statistics.sum(0).astype(np.float64))) == pytest.approx(expected)


def test_the_result_has_the_number_of_test_sentences(tiny, tmp_path):
    from skipln.engine.run import execute

    quick = ["training.updates=2", "training.checkpoint_every=1", "task.test_sentences=3", f"paths.runs={tmp_path}"]
    config = compose([*tiny, *quick])
    execute(config)
    assert json.loads((config.folder / "result.json").read_text())["data"]["test_examples"] == 3
    assert len((config.folder / "translations.txt").read_text().splitlines()) == 3


def test_bleu_of_the_shorter_and_the_longer_half():
    """Both equal sacreBLEU's own score of the sentences of at most three words, and of the longer ones."""
    sources = ["a b c d", "a", "a b c d e", "a b c", "a b c d"]
    outputs = ["w x y z v", "w", "w x y z v u", "w x y", "k l m n o"]
    references = ["w x y z v", "w", "w x y z k u", "w x z", "k l m n o"]
    assert halves(sources) == ([1, 3], [0, 4, 2])
    plain, whole = (
        scored(compose([f"task.by_length={str(wanted).lower()}"]), "13a", sources, references, outputs)
        for wanted in (False, True)
    )
    assert set(whole.metrics) - set(plain.metrics) == {"bleu_short", "bleu_long"}
    for name, places in (("bleu_short", [1, 3]), ("bleu_long", [0, 4, 2])):
        expected = BLEU().corpus_score([outputs[i] for i in places], [[references[i] for i in places]]).score
        assert whole.metrics[name] == pytest.approx(expected)
    assert {name: whole.metrics[name] for name in plain.metrics} == plain.metrics
