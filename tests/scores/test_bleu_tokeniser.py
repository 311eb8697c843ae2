"""The target language chooses BLEU's tokeniser as in sacreBLEU's own command; a missing package is one line."""

import logging
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from sacrebleu.metrics import BLEU

from skipln.configuration.composition import compose
from skipln.errors import UserError
from skipln.scores.bleu_tokeniser import bleu_metric, chosen, names, tokeniser_of
from skipln.tables.statistics.significance import bleu
from skipln.tasks import create_task
from tests.conftest import write_tiny_text
from tests.scores.sacrebleu_command import Command

OUTPUTS = {
    "zh": ["我爱北京天安门！", "今天天气不好,我们 go home 3.5 次", "他说:明天再见。"],
    "ja": ["私は東京に住んでいます。", "今日は天気が悪いですね", "明日また会いましょう"],
    "ko": ["나는 서울에 살고 있습니다.", "오늘은 날씨가 나쁘네요", "내일 다시 만나요"],
    "de": ["Ich wohne in Berlin.", "Heute ist das Wetter schlecht", "Bis morgen, dann!"],
    "vi": ["Tôi sống ở Hà Nội.", "Hôm nay thời tiết xấu", "Hẹn gặp lại ngày mai"],
}
REFERENCES = {
    "zh": ["我爱北京天安门。", "今天天气很好,我们 go home 3.5 次", "他说:明天再见!"],
    "ja": ["私は東京に住んでいました。", "今日は天気がいいですね", "明日また会いましょう"],
    "ko": ["나는 부산에 살고 있습니다.", "오늘은 날씨가 좋네요", "내일 다시 만나요"],
    "de": ["Ich wohne in Hamburg.", "Heute ist das Wetter schön", "Bis morgen, dann!"],
    "vi": ["Tôi sống ở Sài Gòn.", "Hôm nay thời tiết đẹp", "Hẹn gặp lại ngày mai"],
}
NEEDS = {"ja": "MeCab", "ko": "mecab_ko"}


@pytest.mark.parametrize("language", OUTPUTS)
def test_scores_equal_those_of_the_command_with_that_language(language: str, tmp_path: Path) -> None:
    if language in NEEDS and find_spec(NEEDS[language]) is None:
        pytest.skip(f"{NEEDS[language]} is not installed: pip install 'sacrebleu[{language}]'")
    for name, lines in (("hyp", OUTPUTS), ("ref", REFERENCES)):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines[language]))
    command = Command()
    expected = command(tmp_path / "ref", tmp_path / "hyp", "-l", f"en-{language}")
    command.close()
    assert expected is not None
    metric = bleu_metric(chosen("auto", language))
    found = metric.corpus_score(OUTPUTS[language], [REFERENCES[language]]).score
    assert (pytest.approx(found), str(metric.get_signature())) == expected["bleu"]
    assert found > 20


@pytest.mark.parametrize(
    ("codes", "tokeniser"),
    [
        ("zh zh-CN zh_TW zho_Hans cmn ZH yue_Hant cn", "zh"),
        ("ja jpn_Jpan jp ja-JP", "ja-mecab"),
        ("ko kor_Hang ko-KR", "ko-mecab"),
        ("th lo km my tha_Thai khm_Khmr mya_Mymr bo", "char"),
        ("de en vi fr hi ar tr zho_Latn my_Latn zha jav kok tho mya-latn", "13a"),
    ],
)
def test_the_language_code_chooses_the_tokeniser(codes: str, tokeniser: str) -> None:
    assert {tokeniser_of(code) for code in codes.split()} == {tokeniser}


@pytest.mark.parametrize("language", NEEDS)
def test_a_missing_package_is_one_line(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"sacrebleu.tokenizers.tokenizer_{language}_mecab.MeCab", None)
    with pytest.raises(UserError, match=rf"^[^\n]*pip install 'sacrebleu\[{language}\]'[^\n]*$"):
        chosen("auto", language)


def test_a_language_without_spaces_gives_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert chosen("auto", "th") == "char"
        assert chosen("auto", "de") == "13a"
        assert chosen("13a", "th") == "13a"  # no warning, since the user chose it
    assert [message.split(":")[1] for message in caplog.messages] == [
        " Thai has no spaces between words and sacreBLEU has no tokeniser for it"
    ]


def test_an_unknown_tokeniser_is_one_line() -> None:
    with pytest.raises(UserError, match="choose one of 13a, char"):
        bleu_metric("moses")
    assert "zh" in names()


def test_validation_test_and_paired_test_use_the_tokeniser(tiny: list[str], tmp_path: Path) -> None:
    text = write_tiny_text(tmp_path / "text")
    for path in text.glob("*.de"):
        path.rename(path.with_suffix(".zh"))
    for split in ("valid", "test"):
        (text / f"{split}.zh").write_text("".join(f"{line}\n" for line in REFERENCES["zh"]))
        (text / f"{split}.en").write_text("a\nb\nc\n")
    config = compose([*tiny, f"data.dir={text}", "data.target=zh"])
    task = create_task(config)
    expected = BLEU(trg_lang="zh").corpus_score(OUTPUTS["zh"], [REFERENCES["zh"]]).score
    tested = task.score(OUTPUTS["zh"])
    assert tested.metrics["bleu"] == pytest.approx(expected)
    assert "tok:zh" in tested.signatures["bleu"]
    assert float(bleu(tested.examples.sum(0).astype(np.float64))) == pytest.approx(expected)
    # Fixed outputs, since a model that gives these would have to be trained.
    task.translations = lambda *_: OUTPUTS["zh"]
    assert task.validate(task.build())["valid/bleu"] == pytest.approx(expected)
    by_hand = create_task(compose([*tiny, f"data.dir={text}", "data.target=zh", "task.tokeniser=13a"]))
    plain = BLEU().corpus_score(OUTPUTS["zh"], [REFERENCES["zh"]]).score
    assert by_hand.score(OUTPUTS["zh"]).metrics["bleu"] == pytest.approx(plain) != expected


def test_the_key_task_tokeniser_renames_no_run(tiny: list[str]) -> None:
    assert (
        compose(tiny).hash == compose([*tiny, "task.tokeniser=auto"]).hash != compose([*tiny, "task.tokeniser=zh"]).hash
    )
