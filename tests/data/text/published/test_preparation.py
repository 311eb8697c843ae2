"""From a web server to batches: small versions of WMT14 and IWSLT15 with the real steps and file names."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import skipln
from skipln.configuration.composition import compose
from skipln.data.text import bpe
from skipln.data.text.dataset import TextData
from skipln.data.text.published import corpora, preparation
from skipln.data.text.published.corpora import Corpus, Origin, Recipe
from skipln.data.text.published.preparation import prepare
from skipln.engine.run import execute
from skipln.errors import UserError
from skipln.export.formats import export
from skipln.trained.evaluation import evaluate
from tests.data.text.conftest import SENTENCES, write_tgz
from tests.data.text.server import Server

LONG = " ".join(["word"] * 10_000)
TRAIN = SENTENCES[:8] * 4
HELD_OUT = SENTENCES[8:]


def lines(pairs: list[tuple[str, str]], side: int) -> bytes:
    return "".join(f"{pair[side]}\n" for pair in pairs).encode()


def sgml(pairs: list[tuple[str, str]], side: int) -> bytes:
    segments = "".join(f'<seg id="{i}"> {pair[side]} </seg>\n' for i, pair in enumerate(pairs, 1))
    return f'<srcset setid="x" srclang="any">\n<doc docid="a">\n<p>\n{segments}</p>\n</doc>\n</srcset>\n'.encode()


class Origins:
    """The recipes, with archives on `server` that contain our sentences under the real members' names."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.dirty = [
            ("A \u200bred\u00adkettle \u201cwhistles\u201d.\r", "Ein roter\u00a0Kessel \u201epfeift\u201c.\r"),
            (LONG, LONG),
            ("x" * 2000, "y" * 2000),
            ("Only English.", ""),
            ("Short.", "Das hier ist im Vergleich dazu viel, viel zu lang geraten."),
        ]

    def move(self, corpus: Corpus, pairs: list[tuple[str, str]], count: int | None = None) -> Corpus:
        origin = corpus.origins[0][0]
        members = {}
        for side, names in enumerate(origin.members.values()):
            members[names[0]] = sgml(pairs, side) if names[0].endswith(".sgm") else lines(pairs, side)
        self.server.files[origin.remote.name] = write_tgz({**members, "README": b"more", "../evil": b"out"})
        url = self.server.url(origin.remote.name)
        moved = Origin(replace(origin.remote, urls=(url,), checksum=None), origin.members)
        return replace(corpus, origins=((moved,),), lines=len(pairs) if count is None else count)

    def wmt14(self, test: list[tuple[str, str]] = HELD_OUT[2:], count: int | None = None) -> Recipe:
        recipe = corpora.wmt14_en_de(merges=150)
        parts = (TRAIN, self.dirty, SENTENCES[:8])
        train = tuple(self.move(corpus, part) for corpus, part in zip(recipe.train, parts, strict=True))
        valid, held_out = self.move(recipe.valid, HELD_OUT[:2]), self.move(recipe.test, test, count)
        return replace(recipe, train=train, valid=valid, test=held_out)

    def iwslt15(self) -> Recipe:
        recipe = corpora.iwslt15_en_vi(merges=60)
        pairs = [("It &apos;s a &quot; red &quot; kettle &amp; pot", "Đó là một cái ấm &quot; đỏ &quot; và nồi")] * 4

        def moved(corpus: Corpus) -> Corpus:
            parts = []
            for side, origin in enumerate(corpus.origins[0]):
                name = origin.remote.name
                self.server.files[name] = lines(pairs, side)
                parts.append(replace(origin, remote=replace(origin.remote, urls=(self.server.url(name),))))
            return replace(corpus, origins=(tuple(parts),), lines=len(pairs))

        return replace(recipe, train=(moved(recipe.train[0]),), valid=moved(recipe.valid), test=moved(recipe.test))


@pytest.fixture
def origins(server: Server) -> Origins:
    return Origins(server)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., dict]:
    def run(recipe: Recipe, name: str = "wmt14", workers: int = 1) -> dict:
        return prepare(recipe, tmp_path / name, tmp_path / "downloads" / name, workers, pause=0, progress=False)

    return run


def load(folder: Path, cache: Path, encoding: str = "moses_bpe", merges: int = 0, target: str = "de") -> TextData:
    about = json.loads((folder / "encoding.json").read_text())
    valid, test = ("newstest2013", "newstest2014") if target == "de" else ("tst2012", "tst2013")
    names = {"source": "en", "target": target, "valid": valid, "test": test}
    size = merges or about["merges"]
    return TextData.prepare(folder, **names, vocab_size=size, max_length=250, cache=cache, encoding=encoding)


def test_wmt14_from_servers_to_token_ids(origins: Origins, make: Callable, tmp_path: Path) -> None:
    about = make(origins.wmt14())
    assert about["lines"] == {
        "europarl-v7": 32, "commoncrawl": 5, "news-commentary-v9": 8, "newstest2013": 2, "newstest2014": 2,
    }  # fmt: skip
    # One of Common Crawl's lines is left, without CR, zero-width space and soft hyphen, and with plain quotation marks.
    assert about["pairs"] == 41
    train = (tmp_path / "wmt14/train.en").read_text("utf-8").splitlines()
    found = bpe.joined(train[32].split())
    assert found == ["A", "redkettle", "&quot;", "whistles", ".", "&quot;"]
    assert not (tmp_path / "evil").exists()

    data = load(tmp_path / "wmt14", tmp_path / "cache")
    assert data.references("test") == [pair[1] for pair in HELD_OUT[2:]]
    assert data.sources("valid") == [pair[0] for pair in HELD_OUT[:2]]
    assert [len(getattr(data, split)) for split in ("train", "valid", "test")] == [41, 2, 2]
    decoded = [data.vocabulary.decode(ids.tolist()) for ids in data.train.target]
    assert decoded[:32] == [pair[1] for pair in TRAIN]  # BPE and tokenisation are undone, so plain text is scored
    assert max(int(ids.max()) for ids in data.train.source) < len(data.vocabulary) == about["vocabulary"] + 4


def test_iwslt15_is_scored_as_published_but_without_escapes(origins: Origins, make: Callable, tmp_path: Path) -> None:
    make(origins.iwslt15(), "iwslt15")
    data = load(tmp_path / "iwslt15", tmp_path / "cache", "bpe", target="vi")
    assert data.references("test") == ['Đó là một cái ấm " đỏ " và nồi'] * 4
    assert data.vocabulary.decode(data.test.target[0].tolist()) == data.references("test")[0]


def test_any_number_of_processes_gives_the_same_files(
    origins: Origins, make: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skipln.data.text.published.encoding.BLOCK", 4)
    recipe = origins.wmt14()
    assert make(recipe, "one") == make(recipe, "two", workers=2)
    for path in (tmp_path / "one").glob("[a-z]*"):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_an_interrupted_preparation_continues(
    origins: Origins, make: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    recipe = origins.wmt14()
    tokenised = []
    monkeypatch.setattr(preparation.Maker, "tokenise", _counted(preparation.Maker.tokenise, tokenised))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bpe.Learner, "merges", interrupt)
        with pytest.raises(KeyboardInterrupt):
            make(recipe)
    assert not (tmp_path / "wmt14/codes").exists()
    requests = server.requests.total()
    make(recipe)
    assert len(tokenised) == 1  # finished steps are not repeated
    make(recipe)
    assert len(tokenised) == 1
    assert server.requests.total() == requests
    assert not (tmp_path / "wmt14/.work").exists()
    (tmp_path / "wmt14/train.de").unlink()  # but lost files are made again
    make(recipe)
    assert (tmp_path / "wmt14/train.de").exists()
    make(replace(recipe, merges=100))  # and other choices give other files
    assert len((tmp_path / "wmt14/codes").read_text().splitlines()) == 101


def _counted(step: Callable, calls: list) -> Callable:
    def counted(self: object) -> dict:
        calls.append(1)
        return step(self)

    return counted


def test_the_filtered_newstest2014_is_recognised(origins: Origins, make: Callable) -> None:
    with pytest.raises(
        UserError, match=r"newstest2014 has 3,003: that is test-filtered.tgz, .* full set of 3,003"
    ) as said:
        make(origins.wmt14(test=SENTENCES[:1] * 2737, count=3003))
    assert "newstest2014.en has 2,737 lines" in str(said.value)
    assert "\n" not in str(said.value)


def test_wrong_line_counts_and_unequal_sides_are_refused(origins: Origins, make: Callable, server: Server) -> None:
    with pytest.raises(UserError, match="newstest2014 has 7: start again"):
        make(origins.wmt14(count=7))
    recipe = origins.wmt14()
    name = recipe.train[1].origins[0][0].remote.name
    server.files[name] = write_tgz({"commoncrawl.de-en.en": b"a\nb\n", "commoncrawl.de-en.de": b"a\n"})
    recipe = replace(recipe, train=(replace(recipe.train[1], lines=None),))
    with pytest.raises(UserError, match="commoncrawl: 2 source but 1 target lines"):
        make(recipe, "other")


def test_another_origin_is_tried_if_one_fails(origins: Origins, make: Callable, server: Server) -> None:
    recipe = origins.wmt14()
    good = recipe.valid.origins[0]
    server.files["empty.tgz"] = write_tgz({"dev/other": b"x\n"})
    lacking = Origin(replace(good[0].remote, name="empty.tgz", urls=(server.url("empty.tgz"),)), good[0].members)
    gone = Origin(replace(good[0].remote, name="gone.tgz", urls=(server.url("gone.tgz"),)), good[0].members)
    valid = replace(recipe.valid, origins=((gone,), (lacking,), good))
    make(replace(recipe, valid=valid))
    with pytest.raises(
        UserError, match=r"newstest2013: gone.tgz could not be fetched .*; or .*empty.tgz: has no dev/news"
    ):
        make(replace(recipe, valid=replace(valid, origins=((gone,), (lacking,)))), "other")


def test_damaged_archives_and_text_that_is_not_utf8_are_refused(
    origins: Origins, make: Callable, server: Server
) -> None:
    recipe = origins.wmt14()
    name = recipe.train[1].origins[0][0].remote.name
    whole = server.files[name]
    server.files[name] = whole[: len(whole) // 2]
    with pytest.raises(UserError, match=r"commoncrawl: .*damaged archive"):
        make(recipe)
    latin = {f"commoncrawl.de-en.{side}": b"ok\nB\xfccher\n" for side in ("en", "de")}
    server.files[name] = write_tgz(latin)
    recipe = replace(recipe, train=(replace(recipe.train[1], lines=2),))
    with pytest.raises(UserError, match=r"commoncrawl.en:2: not UTF-8"):
        make(recipe, "latin", workers=2)


def test_codes_of_another_vocabulary_are_refused(origins: Origins, make: Callable, tmp_path: Path) -> None:
    recipe = origins.wmt14()
    make(recipe)
    make(replace(recipe, merges=60), "other")
    with pytest.raises(UserError, match=r"was made with data.encoding=moses_bpe data.vocabulary=150; give these"):
        load(tmp_path / "wmt14", tmp_path / "cache", merges=37_000)
    for name in ("codes", "vocabulary.txt"):
        kept = (tmp_path / "wmt14" / name).read_bytes()
        (tmp_path / "wmt14" / name).write_bytes((tmp_path / "other" / name).read_bytes())
        with pytest.raises(UserError, match=f"{name}: not the file with which the text beside it was encoded") as said:
            load(tmp_path / "wmt14", tmp_path / "cache")
        assert "\n" not in str(said.value)
        (tmp_path / "wmt14" / name).write_bytes(kept)
    for path in (tmp_path / "wmt14").glob("train.*"):  # text encoded with other codes
        path.write_bytes((tmp_path / "other" / path.name).read_bytes())
    with pytest.raises(UserError, match=r"train\.\w\w: changed since it was made; prepare the data again"):
        load(tmp_path / "wmt14", tmp_path / "cache")
    (tmp_path / "wmt14" / "sums.json").unlink()  # as in a folder of an older version, without sums
    with pytest.raises(UserError, match=r"train: \d.* of its parts are not in vocabulary.txt: .* another vocabulary"):
        load(tmp_path / "wmt14", tmp_path / "cache")


@pytest.mark.parametrize("name", ["train.en", "newstest2014.raw.de", "codes", "encoding.json", "sums.json"])
def test_a_damaged_folder_is_made_again(
    origins: Origins, make: Callable, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = origins.wmt14()
    about = make(recipe)
    path = tmp_path / "wmt14" / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + b"\xff" + whole[-8:])
    assert make(recipe) == about
    assert "the text is prepared again" in caplog.text
    assert path.read_bytes() == whole


def test_plain_text_is_not_taken_for_encoded_text(parallel_text: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.encoding=bpe needs a folder that a prepare script made"):
        TextData.prepare(parallel_text, vocab_size=99, max_length=250, cache=tmp_path, encoding="bpe")


def test_a_long_test_sentence_is_cut_but_not_its_reference(origins: Origins, make: Callable, tmp_path: Path) -> None:
    make(origins.wmt14(test=[(LONG, "Ein langer Satz.\u200b\r")]))
    data = load(tmp_path / "wmt14", tmp_path / "cache")
    assert len(data.test.source[0]) == 250
    assert data.references("test") == ["Ein langer Satz.\u200b"]  # as given, but without its line end


def trained(origins: Origins, make: Callable, tmp_path: Path) -> Path:
    """Return the folder of a run of data=wmt14_en_de in small, whose text went through Moses and BPE."""
    make(origins.wmt14(), "wmt14_en_de")
    overrides = [
        "scale=test", "data=wmt14_en_de", "data.vocabulary=150", f"paths.cache={tmp_path}",
        f"paths.runs={tmp_path / 'runs'}", "compute.accelerator=cpu", "compute.threads=1",
        "model.encoder_layers=1", "model.decoder_layers=1",
        "training.updates=3", "training.checkpoint_every=1", "training.max_tokens=256",
    ]  # fmt: skip
    config = compose(overrides)
    assert execute(config) == "done"
    return config.folder


def test_a_model_trains_on_prepared_text_and_is_scored(origins: Origins, make: Callable, tmp_path: Path) -> None:
    """The result has both BLEU scores, computed on plain text."""
    folder = trained(origins, make, tmp_path)
    result = json.loads((folder / "result.json").read_text())
    assert set(result["metrics"]) == {"bleu", "chrf", "bleu_tokenised"}
    assert "tok:moses-de-split-compounds" in result["signatures"]["bleu_tokenised"]
    assert "@@" not in (folder / "translations.txt").read_text()
    assert np.load(folder / "examples.npy").shape == (2, 10)

    # The folder alone takes raw text through Moses and BPE, and gives raw text.
    assert evaluate(folder, [], "cpu")[1].metrics == result["metrics"]
    data = load(tmp_path / "wmt14_en_de", tmp_path)
    shutil.rmtree(tmp_path / "wmt14_en_de")
    run = skipln.load_run(folder.rename(tmp_path / "mine"), "cpu")
    assert run.text and [run.text.encode(line) for line in data.sources("test")] == [
        ids.tolist() for ids in data.test.source
    ]
    assert [run.text.decode(ids.tolist()) for ids in data.train.target][: len(TRAIN)] == [pair[1] for pair in TRAIN]
    assert run.translate(data.sources("test")) == (tmp_path / "mine/translations.txt").read_text("utf-8").splitlines()
    (spaces,) = run.translate(["  two\u200b \u201cred\u201d\tkettles  "])
    assert "@@" not in spaces


def test_the_page_of_its_export_to_ctranslate2_translates_raw_text(
    origins: Origins, make: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed: make peers")
    out = tmp_path / "out"
    export(skipln.load_run(trained(origins, make, tmp_path), "cpu"), "ctranslate2", out)
    (code,) = re.findall(r"```python\n(.*?)```", (out / "README.md").read_text("utf-8"), re.DOTALL)
    monkeypatch.chdir(out)
    capsys.readouterr()
    exec(code.replace("a sentence", HELD_OUT[2][0]), {})
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "@@" not in said
