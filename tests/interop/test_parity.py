"""Our Transformer, loss, schedule, search and training against fairseq's own, on the same weights and batches."""

from argparse import Namespace
from types import SimpleNamespace

import pytest
import torch

from skipln import skips
from skipln.configuration.schema import Adam, InverseSqrt
from skipln.data.text.vocabulary import EOS, PAD
from skipln.decode.translate import Search, translate
from skipln.engine.update.optimizer import create_optimizer
from skipln.engine.update.schedule import learning_rate
from skipln.errors import UserError
from skipln.interop.fairseq.flags import refuse_what_fairseq_lacks
from skipln.interop.fairseq.symbols import FAIRSEQ_PAD, fairseq_ids, our_ids
from skipln.interop.fairseq.weights import from_fairseq, to_fairseq
from skipln.ops import smoothed_cross_entropy
from tests.interop.conftest import PAPER, POST_LN, SIZE, fairseq_dictionary, make_pair

pytestmark = pytest.mark.usefixtures("fairseq")
IDS = torch.from_numpy(fairseq_ids(SIZE))
ROWS = torch.from_numpy(our_ids(SIZE))


def refusal(name):
    """Return why fairseq cannot have a connection, or "" if it can."""
    try:
        refuse_what_fairseq_lacks({"name": name}, {"name": "layer"})
    except UserError as error:
        return str(error)
    return ""


REFUSED = {name: why for name in skips.names() if (why := refusal(name))}
FORMS = [{"name": name} for name in skips.names() if name not in REFUSED]
FORMS += [POST_LN, {"name": "skip", "pre_norm": True}]


def sample(batch, left_pad_source=True):
    """Return a batch in the form of fairseq's trainer."""
    source, target_in, target_out = (IDS[tokens] for tokens in batch)
    if left_pad_source:  # fairseq's default
        source = torch.stack([torch.roll(row, int((row == FAIRSEQ_PAD).sum())) for row in source])
    lengths = (source != FAIRSEQ_PAD).sum(1)
    net_input = {"src_tokens": source, "src_lengths": lengths, "prev_output_tokens": target_in}
    return {"net_input": net_input, "target": target_out, "ntokens": int((target_out != FAIRSEQ_PAD).sum())}


def criterion(smoothing):
    from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion

    task = SimpleNamespace(target_dictionary=fairseq_dictionary(SIZE))
    return LabelSmoothedCrossEntropyCriterion(task, sentence_avg=False, label_smoothing=smoothing)


def fairseq_smoothing(ours):
    """Convert our ε to fairseq's, which is spread over the V − 1 wrong symbols and then over all V."""
    return ours * (SIZE - 1) / SIZE


def logits_of_both(pair):
    batch = pair.batch()
    logits, _ = pair.theirs(**sample(batch)["net_input"])
    return pair.ours(*batch[:2]), logits[batch[1] != PAD][:, IDS]


@pytest.mark.parametrize("skip", [POST_LN, {"name": "rskip_ln", "lam": 2}], ids=["transformer", "skipln_transformer"])
@torch.no_grad()
def test_logits_are_equal(skip):
    ours, theirs = logits_of_both(make_pair(skip))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("skip", FORMS, ids=lambda skip: "_".join(map(str, skip.values())))
@torch.no_grad()
def test_logits_of_every_form_are_equal(skip):
    """All but fairseq's softmax of source attention is in double precision. The tolerance is relative to the logits:
    without a norm, activations and so their rounding errors grow from layer to layer."""
    pair = make_pair(skip)
    pair.ours.double(), pair.theirs.double()
    ours, theirs = logits_of_both(pair)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * max(1.0, float(theirs.abs().max())))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("admin", "must profile the first batch"),
        ("ngpt", "acts after every update"),
        *((name, "puts a module into the branches") for name in ("fixup", "normformer", "sub_ln")),
    ],
)
def test_what_fairseq_has_no_place_for_is_refused_in_one_line(name, why, capsys):
    assert why in REFUSED[name] and "\n" not in REFUSED[name]
    with pytest.raises(SystemExit, match="2"):
        make_pair({"name": name})
    assert capsys.readouterr().err == f"error: {REFUSED[name]}\n"
    assert refusal("rskip_ln") == refusal("deepnorm") == ""


@torch.no_grad()
def test_the_post_ln_peer_is_fairseqs_own_transformer():
    from fairseq.models.transformer import TransformerModel

    assert type(make_pair(POST_LN).theirs) is TransformerModel
    assert type(make_pair({"name": "skip", "pre_norm": True}).theirs) is TransformerModel
    assert type(make_pair({"name": "rskip_ln"}).theirs) is not TransformerModel


@pytest.mark.parametrize("skip", [POST_LN, {"name": "rskip_ln", "lam": 2}], ids=["transformer", "skipln_transformer"])
@torch.no_grad()
def test_our_positions_and_begin_symbol_work_in_fairseq(skip):
    """A model of ours, whose targets begin with <s>, computes the same in fairseq, where they begin with </s>."""
    pair = make_pair(skip, shape=PAPER, start="bos")
    batch = pair.batch()
    there = sample(batch)
    there["net_input"]["prev_output_tokens"][:, 0] = 2
    logits, _ = pair.theirs(**there["net_input"])
    torch.testing.assert_close(pair.ours(*batch[:2]), logits[batch[1] != PAD][:, IDS], rtol=0, atol=1e-5)


@pytest.mark.parametrize("skip", [POST_LN, {"name": "rskip_ln", "lam": 2}, {"name": "rskip_bn"}], ids=str)
def test_loss_and_gradients_are_equal(skip):
    pair = make_pair(skip)
    batch = pair.batch()
    pair.ours.train()
    pair.theirs.train()
    targets = batch[2][batch[1] != PAD]
    total, nll = smoothed_cross_entropy(pair.ours(*batch[:2]), targets, 0.1)
    loss, _, logged = criterion(fairseq_smoothing(0.1))(pair.theirs, sample(batch))
    torch.testing.assert_close(total, loss, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(nll, logged["nll_loss"], rtol=1e-5, atol=1e-4)

    (total / len(targets)).backward()
    (loss / len(targets)).backward()
    shared = pair.theirs.encoder.embed_tokens.weight.grad
    theirs = {name: value if value.grad is None else value.grad for name, value in vars_of(pair.theirs).items()}
    theirs |= {f"{stack}.embed_tokens.weight": shared for stack in ("encoder", "decoder")}
    theirs["decoder.output_projection.weight"] = shared
    expected = from_fairseq(theirs, pair.model)
    for name, parameter in pair.ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=0, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


def vars_of(model):
    return model.state_dict(keep_vars=True)


def fairseq_optimizer(parameters, peak, warmup):
    """Return Adam and its inverse-sqrt schedule as fairseq's trainer builds them."""
    from fairseq.optim.adam import FairseqAdam
    from fairseq.optim.lr_scheduler.inverse_square_root_schedule import InverseSquareRootSchedule

    adam = Namespace(lr=[peak], adam_betas="(0.9, 0.98)", adam_eps=1e-9, weight_decay=0.0, fp16_adam_stats=False)
    optimizer = FairseqAdam(adam, parameters)
    return optimizer, InverseSquareRootSchedule(
        Namespace(warmup_updates=warmup, warmup_init_lr=-1, lr=[peak]), optimizer
    )


def test_inverse_square_root_schedules_are_equal():
    """The functions are equal, but fairseq's trainer is one update late: its k-th update has the rate of k − 1."""
    warmup, peak = 10, 2e-3
    _, theirs = fairseq_optimizer([torch.nn.Parameter(torch.zeros(1))], peak, warmup)
    schedule = InverseSqrt(name="inverse_sqrt", warmup=warmup)
    for update in (1, 2, 9, 10, 11, 12, 50, 1000):
        assert learning_rate(schedule, peak, update, 1000) == pytest.approx(theirs.step_update(update), rel=1e-12)


def fairseq_translations(model, sources, beam, lenpen, extra, size=SIZE):
    """Return fairseq's translation of each source alone, in our ids (in a batch, the longest sets all limits)."""
    from fairseq.sequence_generator import SequenceGenerator

    generator = SequenceGenerator(
        [model],
        fairseq_dictionary(size),
        beam_size=beam,
        len_penalty=lenpen,
        max_len_a=1,
        max_len_b=extra - 1,
        min_len=0,
    )
    to, back = torch.from_numpy(fairseq_ids(size)), our_ids(size)
    found = []
    for source in sources:
        tokens = to[torch.tensor([[*source, EOS]])]
        net_input = {"src_tokens": tokens, "src_lengths": torch.tensor([tokens.size(1)])}
        best = generator.generate([model], {"net_input": net_input})[0][0]
        found.append(back[best["tokens"][:-1].numpy()].tolist())
    return found


def train_both(pair, updates, smoothing=0.1):
    """Train both sides on the same batches, each with its own model, loss, schedule and Adam; return mean losses."""
    schedule = InverseSqrt(name="inverse_sqrt", warmup=20)
    adam = Adam(name="adam", lr=1e-3, betas=[0.9, 0.98], eps=1e-9, weight_decay=0.0, clip=0.0)
    mine = create_optimizer(adam, pair.ours.parameters())
    theirs, their_schedule = fairseq_optimizer(list(pair.theirs.parameters()), adam.lr, schedule.warmup)
    compute = criterion(fairseq_smoothing(smoothing))
    pair.ours.train()
    pair.theirs.train()
    curves = [], []
    for update in range(1, updates + 1):
        batch = pair.batch(seed=update % 40, sentences=8)
        targets = batch[2][batch[1] != PAD]
        mine.param_groups[0]["lr"] = learning_rate(schedule, adam.lr, update, updates)
        their_schedule.step_update(update)
        loss, _ = smoothed_cross_entropy(pair.ours(*batch[:2]), targets, smoothing)
        their_loss, _, _ = compute(pair.theirs, sample(batch))
        for total, optimizer, curve in zip((loss, their_loss), (mine, theirs), curves, strict=True):
            optimizer.zero_grad()
            (total / len(targets)).backward()
            optimizer.step()
            curve.append(total.item() / len(targets))
    pair.ours.eval()
    pair.theirs.eval()
    return curves


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(POST_LN, id="transformer"),
        pytest.param({"name": "rskip_ln", "lam": 2}, id="skipln_transformer", marks=pytest.mark.slow),
    ],
)
def trained(request, fairseq):
    pair = make_pair(request.param)
    return pair, *train_both(pair, updates=200)


def test_two_hundred_updates_give_the_same_loss_curve(trained):
    """The rate is low enough not to amplify rounding; at 2e-3 rounding becomes 0.01 nats within 200 updates."""
    _, ours, theirs = trained
    assert theirs[-1] < 0.75 * theirs[0]
    assert ours == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize("lenpen", [0.0, 1.0])
@torch.no_grad()
def test_beam_5_translations_are_equal(trained, lenpen):
    """The weights are copied, since after training the two differ by float noise. fairseq's --min-len is 0 here: its
    default 1 forbids empty translations, which our search may give."""
    pair, *_ = trained
    pair.theirs.load_state_dict(to_fairseq(pair.ours.state_dict(), pair.model))
    draw = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, 12, (30,), generator=draw).tolist()
    sources = [torch.randint(4, 14, (length,), generator=draw).tolist() for length in lengths]
    search = Search(beam=5, alpha=lenpen, penalty="power", extra_length=8)
    translations = translate(pair.ours, sources, search, bos=EOS, eos=EOS)
    assert len({len(tokens) for tokens in translations}) > 2
    assert translations == fairseq_translations(pair.theirs, sources, 5, lenpen, extra=8)


@pytest.mark.parametrize("skip", FORMS, ids=lambda skip: "_".join(map(str, skip.values())))
def test_weights_converted_there_and_back_are_unchanged(skip):
    pair = make_pair(skip, shape=PAPER, start="bos")
    weights = pair.ours.state_dict()
    back = from_fairseq(to_fairseq(weights, pair.model), pair.model)
    assert back.keys() == weights.keys()
    assert all(torch.equal(back[name], weights[name]) for name in weights)
