"""Scores against values counted by hand, against sacreBLEU and, if it is installed, against fairseq."""

import math
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF

from scripts.score import language_of, main, report
from skipln.errors import UserError
from skipln.scores import scorer
from skipln.scores.scorer import comparable, compound_split, score, tokenised_bleu, unsure
from tests.scores.sacrebleu_command import Command

ROOT = Path(__file__).resolve().parents[2]
PINNED = (
    [
        "Der Ost-West-Konflikt ist vorbei, sagte er.",
        "Ein Haus am See - schön & teuer.",
        "Er kam, sah und siegte in Rom am Tag.",
    ],
    [
        "Der Ost-West-Konflikt ist beendet, sagte er.",
        "Ein Haus am See – schön & teuer.",
        "Er kam, sah und siegte in Rom am Abend.",
    ],
)
OUTPUTS = ["Der Ost-West-Konflikt ist vorbei, sagte er.", "Ein Haus am See - schön & teuer."]
REFERENCES = ["Der Ost-West-Konflikt ist beendet, sagte er.", "Ein Haus am See - schön & sehr teuer."]


def test_compounds_are_split_as_by_the_published_scripts() -> None:
    assert compound_split("Ost-West, 3,5-mal.", "de") == "Ost ##AT##-##AT## West , 3,5 ##AT##-##AT## mal ."
    assert compound_split("Nord-Ost-Süd", "de") == "Nord ##AT##-##AT## Ost ##AT##-##AT## Süd"
    assert compound_split("a-b-c", "de") == "a ##AT##-##AT## b-c"  # the first match uses up "b", as with Perl's s///g
    assert compound_split("See - schön & gut", "de") == "See - schön &amp; gut"


def test_tokenised_bleu_by_hand() -> None:
    # 5 tokens each, "e" wrong: precisions 4/5, 3/4, 2/3, 1/2; no brevity penalty.
    expected = 100 * math.prod([4 / 5, 3 / 4, 2 / 3, 1 / 2]) ** (1 / 4)
    assert tokenised_bleu(["a b c d x"], ["a b c d e"], "de").value == pytest.approx(expected)
    # One token short: exp(1 - 6/5); all precisions 1.
    assert tokenised_bleu(["a b c d e"], ["a b c d e f"], "de").value == pytest.approx(100 * math.exp(-1 / 5))
    # A compound counts as three tokens. "x-y" is wrong in its last: 5/6 … 2/3; unsplit tokens would give 3/4 … 0.
    split = tokenised_bleu(["a b c x-z"], ["a b c x-y"], "de").value
    assert split == pytest.approx(100 * math.prod([5 / 6, 4 / 5, 3 / 4, 2 / 3]) ** (1 / 4))
    assert tokenised_bleu(["a b c"], ["a b c"], "de").value == 0  # no 4-gram, and multi-bleu does not smooth


def test_tokenised_bleu_equals_fairseqs() -> None:
    """fairseq 0.12.3's scorer gives BLEU4 = 72.82, 90.6/79.3/69.2/56.5 (syslen=32, reflen=32)."""
    assert tokenised_bleu(PINNED[0], PINNED[1], "de").value == pytest.approx(72.82, abs=0.005)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("fairseq") is None, reason="fairseq is not installed: make peers")
def test_fairseqs_scorer_gives_the_same() -> None:
    """In a process of its own, since importing fairseq gives Hydra schemas that our configuration does not fit."""
    code = f"""
from fairseq.data import Dictionary
from fairseq.scoring.bleu import BleuConfig, Scorer
from skipln.scores.scorer import compound_split
words = Dictionary()
scorer = Scorer(BleuConfig(pad=words.pad(), eos=words.eos(), unk=words.unk()))
for pair in zip(*{PINNED!r}):
    output, reference = (words.encode_line(compound_split(line, "de"), add_if_not_exist=True).int() for line in pair)
    scorer.add(reference, output)
print(scorer.score())
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert tokenised_bleu(PINNED[0], PINNED[1], "de").value == pytest.approx(float(said.split()[-1]), abs=1e-6)


def test_bleu_and_chrf_equal_sacrebleus_and_have_signatures() -> None:
    found = score(OUTPUTS, REFERENCES, "de")
    assert set(found) == {"bleu", "chrf", "bleu_tokenised"}
    assert set(score(OUTPUTS, REFERENCES)) == {"bleu", "chrf"}
    assert found["bleu"].value == BLEU().corpus_score(OUTPUTS, [REFERENCES]).score
    assert found["chrf"].value == CHRF().corpus_score(OUTPUTS, [REFERENCES]).score
    assert found["bleu"].signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert "tok:moses-de-split-compounds|sacremoses:" in found["bleu_tokenised"].signature
    assert "smooth:none" in found["bleu_tokenised"].signature


def test_published_numbers_are_listed_by_the_scorer_they_compare_with() -> None:
    assert any(line.startswith("27.3 Transformer-base") for line in comparable("wmt14_en_de", "bleu_tokenised"))
    assert any(line.startswith("28.6 Transformer-big") for line in comparable("wmt14_en_de", "bleu"))
    assert comparable("wmt14_en_de", "chrf") == []
    assert not set(comparable("wmt14_en_de", "bleu")) & set(comparable("wmt14_en_de", "bleu_tokenised"))
    assert any("31.94" in line for line in unsure("iwslt15_en_vi"))  # its source states no scorer
    with pytest.raises(UserError, match="choose one of wmt14_en_de, iwslt15_en_vi"):
        comparable("wmt16", "bleu")


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    for name, lines in (("hyp", OUTPUTS), ("ref", REFERENCES)):
        (tmp_path / name).write_bytes("".join(f"{line}\r\n" for line in lines).encode())
    return [str(tmp_path / name) for name in ("hyp", "ref")]


def test_the_command(files: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(scorer.FULL_TEST, "wmt14_en_de", 2)
    assert main([*files, "--data", "wmt14_en_de"]) == 0
    said = capsys.readouterr().out
    expected = score(OUTPUTS, REFERENCES, "de")  # CRLF changes nothing
    for label, name in (("sacreBLEU", "bleu"), ("chrF", "chrf"), ("tokenised compound-split BLEU", "bleu_tokenised")):
        assert f"{label} {expected[name].value:.2f}   {expected[name].signature}" in said
    tokenised = said.split("tokenised compound-split")[1]
    assert "    comparable: 29.3 Transformer-big (Ott et al. 2018, abstract)" in tokenised
    assert "28.6" not in tokenised.split("not known")[0]


@pytest.mark.parametrize(
    ("hypotheses", "references", "said"),
    [
        ("a\n", "a\nb\n", "has 1 lines, but"),
        ("a\n" * 2737, "a\n" * 2737, "(2,737 lines are the filtered set; papers score the full one)"),
        ("", "", "has 0 lines, but wmt14_en_de's test set has 3,003"),
        ("a\n", None, "cannot be read"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], hypotheses: str, references: str | None, said: str
) -> None:
    for name, content in (("hyp", hypotheses), ("ref", references)):
        if content is not None:
            (tmp_path / name).write_text(content)
    assert main([str(tmp_path / "hyp"), str(tmp_path / "ref"), "--data", "wmt14_en_de"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.fixture(scope="module")
def sacrebleu() -> Iterator[Command]:
    command = Command()
    yield command
    command.close()


LETTERS = st.one_of(
    st.characters(codec="utf-8"), st.sampled_from("ab ab. ,-&;\n\r\t\u2581\u200b\u2060\ufeff\u2028\xa0\x1c今天好")
)


@given(
    files=st.one_of(
        st.tuples(st.text(LETTERS).map(str.encode), st.text(LETTERS).map(str.encode)),
        st.lists(st.tuples(st.text(LETTERS), st.text(LETTERS)), min_size=1).map(
            lambda pairs: tuple(
                "".join(f"{line.replace(chr(10), ' ')}\n" for line in side).encode()
                for side in zip(*pairs, strict=True)
            )
        ),
        st.tuples(st.binary(), st.binary()),
    ),
    language=st.sampled_from(["de", "zh"]),
)
@settings(max_examples=150, deadline=None)
def test_any_files_score_as_the_command_says(
    sacrebleu: Command, tmp_path_factory: pytest.TempPathFactory, files: tuple[bytes, bytes], language: str
) -> None:
    """The score is of the file as given, whatever bytes it contains; a file that the command refuses is one line."""
    folder = tmp_path_factory.getbasetemp()
    for name, content in zip(("any.hyp", "any.ref"), files, strict=True):
        (folder / name).write_bytes(content)
    expected = sacrebleu(folder / "any.ref", folder / "any.hyp", "-l", f"en-{language}")
    if expected is None:
        with pytest.raises(UserError, match=r"^[^\n]+$"):
            report(folder / "any.hyp", folder / "any.ref", language, "")
        return
    said = report(folder / "any.hyp", folder / "any.ref", language, "")
    for label, name in (("sacreBLEU", "bleu"), ("chrF", "chrf")):
        assert f"{label} {expected[name][0]:.2f}   {expected[name][1]}" in said


def test_invisible_marks_stay_in_scored_text(sacrebleu: Command, tmp_path: Path) -> None:
    (tmp_path / "ref").write_text("Das ist ein Test hier\nSie sagt ja dazu\n")
    (tmp_path / "hyp").write_text("▁Das ▁ist ▁ein ▁Test ▁hier\nSie\u200b sagt\u2060 ja dazu\n")
    bleu, chrf = (sacrebleu(tmp_path / "ref", tmp_path / "hyp") or {}).values()
    said = report(tmp_path / "hyp", tmp_path / "ref", "de", "")
    assert bleu[0] < 20 and said[1].startswith(f"sacreBLEU {bleu[0]:.2f} ")
    assert chrf[0] < 90 and said[2].startswith(f"chrF {chrf[0]:.2f} ")


@pytest.mark.parametrize(
    ("name", "language"),
    [("newstest2014.raw.de", "de"), ("ref.zh", "zh"), ("ref.zh-CN", "zh-CN"), ("ref.zho_Hans", "zho_Hans")]
    + [(name, "de") for name in ("ref", "ref.txt", "ref.detok", "a.b/ref")],
)
def test_the_references_suffix_gives_the_language(name: str, language: str) -> None:
    assert language_of(Path(name)) == language
