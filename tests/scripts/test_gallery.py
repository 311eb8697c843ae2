"""The gallery shows for every connection what its docstring says and what was measured, and nothing else."""

import json
import math
import re
import statistics

import pytest

from scripts.gallery import places as ranks
from scripts.gallery.drawing import line
from scripts.gallery.facts import divided, facts, plain_start
from scripts.gallery.measuring import PLAIN, Gallery, Measured, measured, read
from scripts.gallery.others import PAGE, compared, differences, names
from scripts.gallery.page import DOCS, entries, markdown, page, write
from scripts.gallery.typesetting import typeset
from skipln import attention, norms, skips
from skipln.errors import UserError
from skipln.system.places import RESULTS

REMEDY = "make gallery, or make pages if there are no new measurements"


def test_the_pages_follow_from_registry_and_measurements(tmp_path):
    gallery = read()
    found = entries(skips.names(), gallery)
    write(found, gallery, tmp_path)
    for path in sorted(path for path in tmp_path.rglob("*") if path.is_file()):
        assert path.read_bytes() == (DOCS / path.relative_to(tmp_path)).read_bytes(), REMEDY
    assert {path.name for path in (DOCS / "gallery").iterdir()} == {
        path.name for path in (tmp_path / "gallery").iterdir()
    }


def test_a_docstring_is_divided_at_its_labels():
    text = "y = x. Gains 1 at the start.\nIdentity: pre-LN at 0. Deviation: theirs is 2. norm: any."
    assert divided(text) == {
        "plain": "y = x. Gains 1 at the start. norm: any.",
        "identities": "pre-LN at 0.",
        "deviations": "theirs is 2.",
    }


def test_facts_are_read_from_docstrings():
    keel = facts("keel")
    assert keel.source == "arXiv 2601.19895 (2026)"
    assert keel.formula.startswith("y = LN(αx + F(LN x)).")
    assert keel.start == "Gains start at 1."
    assert keel.identities.startswith("the first site is pre-LN without a last norm; α = 1 is post-LN")
    assert (keel.deviations, keel.also) == ("", [])
    rskip = facts("rskip_ln")
    assert "λ = 1 is the post-LN block." in rskip.identities
    assert "λ = 1" not in rskip.formula
    assert rskip.also == ["rskip_bn"]
    assert facts("deepnorm").deviations.startswith("torchscale has 1.15 where the paper has 0.87.")


@pytest.mark.parametrize("name", skips.names())
def test_every_connection_has_a_formula_a_source_with_its_year_and_a_start(name):
    one = facts(name)
    assert re.search(r"[←=]", one.formula)
    assert re.search(r"\b(?:19|20)\d\d\b", re.sub(r"arXiv \S+", "", one.source))
    assert re.search(r"\bstarts?\b|no parameters|^gains 1", one.start + one.formula + one.identities)


def test_a_start_missing_from_the_docstring_is_read_from_the_parameters():
    assert facts("xskip").start == "no parameters of its own."
    assert facts("xskip_ln").start == "gains 1 and biases 0."
    assert plain_start("rezero") == plain_start("gpas") == ""


def test_the_parity_pages_notes_are_shown_with_their_connection():
    assert list(compared("rezero")) == ["rezero 0.1.0 `RZTXEncoderLayer`: a layer of two sites"]
    (gemma,) = differences("laurel_lr")
    assert gemma.startswith("Gemma 3n: it has an RMSNorm behind")
    assert [text.split(":")[0] for text in differences("admin")] == ["admin-torch", "Transformer-Clinic"]
    known = {*skips.names(), *norms.names(), *attention.names()}
    named = {
        name
        for point in re.findall(r"^- \*\*[^*]+\*\* \((.*?)\):", PAGE.read_text(), re.MULTILINE)
        for name in names(point)
    }
    assert named and named <= known


def test_the_place_is_that_of_the_mean_in_the_published_records(monkeypatch):
    """Table 2 stands in for table 7, which may have no results yet."""
    monkeypatch.setattr(ranks, "TABLE", "table2")
    scores: dict[str, list[float]] = {}
    for record in map(json.loads, (RESULTS / "demo" / "table2" / "records.jsonl").read_text("utf-8").splitlines()):
        scores.setdefault(record["row"], [])
        if record["state"] == "done":
            scores[record["row"]].append(record["metrics"]["bleu"])
    order = sorted((row for row in scores if scores[row]), key=lambda row: -statistics.mean(scores[row]))
    said = [text for text in ranks.places("rskip_ln") if text.startswith("demo")]
    for row, text in zip(("rskip_ln_2", "rskip_ln_3"), said, strict=True):
        assert f" is number {order.index(row) + 1} of {len(order)} by BLEU: {statistics.mean(scores[row]):.1f}" in text
    (diverged,) = (text for text in ranks.places("xskip") if text.startswith("demo"))
    assert f" has no place among {len(order)} (" in diverged


def test_options_are_set_as_code():
    said = dict(entries(["admin", "b2t"], None)[0].said)
    assert said["At the start"].startswith("<code>omega</code>: what they start from.")


def test_a_formula_is_typeset():
    assert typeset("y_{k-1} = LN(x)") == "<i>y</i><sub><i>k</i>-1</sub> = LN(<i>x</i>)"
    assert typeset("L^(−1/(2m−2)) < `a_b`") == "<i>L</i><sup>−1/(2m−2)</sup> &lt; <code>a_b</code>"
    assert typeset("F's gain is a number") == "<i>F</i>'s gain is a number"
    assert typeset("λx + BAx + αF(x)") == "<i>λx</i> + <i>BAx</i> + <i>αF</i>(<i>x</i>)"
    assert typeset("R_ij + b₀, N⁴M") == "<i>R</i><sub><i>ij</i></sub> + <i>b</i>₀, <i>N</i>⁴<i>M</i>"
    assert typeset("x-transformers has σ(x)") == "x-transformers has σ(<i>x</i>)"


def test_a_line_has_gaps_for_missing_numbers_and_constant_values_are_level():
    plain = Measured(parameters=1, stream={"encoder": [1.0, 1.0], "decoder": [1.0, 1.0, 1.0]}, ratio=(1, 1, 1))
    broken = Measured(parameters=1, stream={"encoder": [1.0, None], "decoder": [10.0, 0.0, 100.0]}, ratio=(1, 1, 1))
    drawing = line("other", broken, plain)
    assert drawing.count("<polyline") == 4  # one line for the plain net, three parts for the other
    level = line("skip", plain, plain)
    heights = {point.split(",")[1] for point in level.split('points="')[1].split('"')[0].split()}
    assert len(heights) == 1


def test_without_measurements_their_parts_are_left_out():
    found = entries(["skip"], None)
    assert found[0].picture == ""
    assert {subject for subject, _ in found[0].said}.isdisjoint({"Parameters", "Time"})
    assert "Nothing has been measured yet." in markdown(found, None)
    assert "<svg" not in page(found, None)


@pytest.fixture(scope="module")
def again() -> Gallery:
    return measured(["xskip"], turns=1)


def test_measuring_again_gives_the_committed_numbers(again):
    """With λ = 2 and no norm, the gradient doubles from site to site on its way back."""
    kept = read()
    assert kept is not None
    mine, theirs = again.connections["xskip"], kept.connections["xskip"]
    assert mine.parameters == theirs.parameters
    for stack, values in mine.stream.items():
        assert values == pytest.approx(theirs.stream[stack], rel=0.02)
    first, *_, last = mine.stream["encoder"]
    assert math.log2(first / last) > 20
    assert kept.connections[PLAIN].ratio[0] == 1


@pytest.mark.parametrize("text", ["", "{}", '{"connections": 1}', "\ufeff"])
def test_damaged_measurements_are_one_line(tmp_path, text):
    (tmp_path / "gallery.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"damaged .*; restore it with git") as error:
        read(tmp_path / "gallery.json")
    assert "\n" not in str(error.value)
