"""Exports to every format give the run's own outputs; folders are written whole and overwrite nobody's files."""

import ast
import json
import re
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import skipln
from skipln.data.images.digits import load_digits
from skipln.decode.translate import Search
from skipln.errors import UserError
from skipln.export.__main__ import main
from skipln.export.card import CTRANSLATE2_BPE, card
from skipln.export.formats import export
from skipln.runs.sums import with_sums
from tests.conftest import NUMBERS

LINES = [
    "one", "two dogs", "red tree and blue house", "six five four three two one", "a dog sees a tree", "three green",
    "four and five", "blue dog sees red tree", "house", "six sees one and two",
]  # fmt: skip
LONGEST = 6  # words of a line


def code_of(folder: Path) -> str:
    """Return the first block of Python on an export's page."""
    found = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text("utf-8"), re.DOTALL)
    assert found
    return found[1]


@pytest.mark.parametrize("kind", ["post_ln", "pre_ln"])
def test_ctranslate2_translates_as_the_run_does(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The whole round trip: train, move the folder, translate, export, translate with CTranslate2."""
    ctranslate2 = pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed: make peers")
    folder = shutil.copytree(request.getfixturevalue(kind), tmp_path / "moved")
    assert main([str(folder), "--to", "ctranslate2", "-o", str(tmp_path / "out")]) == 0
    run = skipln.load_run(folder, "cpu")
    model = ctranslate2.Translator(str(tmp_path / "out"), inter_threads=1, intra_threads=1)
    pieces = run.vocabulary.pieces()
    sources = [[pieces[i] for i in run.vocabulary.encode([line])[0]] for line in LINES]
    for beam in (1, 4):
        found = model.translate_batch(sources, beam_size=beam, length_penalty=1)
        theirs = [run.vocabulary.decode([pieces.index(piece) for piece in one.hypotheses[0]]) for one in found]
        ours = run.translate(LINES, search=Search(beam=beam, alpha=1.0, penalty="power"))
        # A barely trained model may run to the limit, where CTranslate2 ends a translation in another way.
        ended = [i for i, line in enumerate(ours) if len(line.split()) < 2 * LONGEST]
        assert len(ended) > len(LINES) / 2
        assert [" ".join(theirs[i].split()) for i in ended] == [ours[i] for i in ended]
        assert len({ours[i] for i in ended}) > 2 and set(" ".join(ours).split()) & set(NUMBERS.values())


def test_the_page_of_a_ctranslate2_export_is_complete_and_its_code_runs(
    translator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed: make peers")
    assert main([str(translator), "--to", "ctranslate2", "-o", str(tmp_path / "out")]) == 0
    monkeypatch.chdir(tmp_path / "out")
    (tmp_path / "out" / "page.py").write_text(code_of(tmp_path / "out"))
    capsys.readouterr()
    runpy.run_path("page.py")
    assert capsys.readouterr().out.strip()
    page = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "((5 + length) / 6)^0.6, which CTranslate2 lacks" in page
    result = json.loads((translator / "result.json").read_text())
    commit, signature = result["environment"]["commit"] or "unknown", result["signatures"]["bleu"].replace("|", r"\|")
    for said in (result["hash"], result["data"]["fingerprint"], f"`{signature}` |", f"commit {commit}"):
        assert said in page
    assert re.search(rf"\| bleu +\| +{result['metrics']['bleu']:.2f} \|", page)


def test_the_page_of_a_run_that_was_not_tested_says_so(translator: Path) -> None:
    run = skipln.load_run(translator, "cpu")
    training, task = run.config.training, run.config.task
    config = run.config.model_copy(
        update={"task": task.model_copy(update={"test": False}), "training": training.model_copy(update={"average": 1})}
    )
    page = card(replace(run, config=config), "safetensors")
    assert "| validation set |" in page and "One run, seed 1; not tested." in page
    assert "its weights are the last checkpoint's." in page and "the mean of the last 2 checkpoints." in card(
        run, "safetensors"
    )


@pytest.mark.parametrize("words", ["a\n# b", "a|b", "<script>x</script>", "[a](javascript:x)", "```\nrm"])
def test_hostile_words_of_a_run_do_not_change_its_page(translator: Path, words: str) -> None:
    """The folder may come from anybody, and its page be shown anywhere."""
    run = skipln.load_run(translator, "cpu")
    pages = []
    for text in ("plain", words):
        made = {"environment": {"cpu": text}, "signatures": dict.fromkeys(run.result.metrics, text)}
        data = run.result.data.model_copy(update={"name": text})
        pages.append(card(replace(run, result=run.result.model_copy(update={"data": data, **made})), "safetensors"))
    plain, odd = (page.splitlines() for page in pages)
    assert len(odd) == len(plain)
    rows = [re.sub(r"\\\|", "", line).count("|") for line in odd if line.startswith("|")]
    assert set(rows) == {4}
    assert not re.search(r"(?<!\\)<[a-z]|\]\(", pages[1])


def test_a_language_is_a_word_in_the_code_of_a_page() -> None:
    said = CTRANSLATE2_BPE.format(encoding="bpe", vocabulary=9, source='");\nquit("', target="de", beam=1, penalty=1.0)
    tree = ast.parse(re.sub(r"```\w*", "", said))
    assert "quit" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


@pytest.mark.parametrize("kind", ["translator", "two_steps"])
def test_a_safetensors_export_is_loaded_like_the_run(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    folder = request.getfixturevalue(kind)
    assert main([str(folder), "--to", "safetensors", "-o", str(tmp_path / "out")]) == 0
    moved = (tmp_path / "out").rename(tmp_path / "mine")
    run, again = (skipln.load_run(one, "cpu") for one in (folder, moved))
    assert again.candidates(LINES, count=2) == run.candidates(LINES, count=2)
    assert again.config.hash == run.config.hash
    assert "/" not in str(again.config.data.dir) + again.config.paths.runs  # no path of this machine
    for name, value in run.model.state_dict().items():
        assert value.equal(again.model.state_dict()[name]), name


def test_a_classifiers_safetensors_export_gives_its_probabilities(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(classifier), "--to", "safetensors"]) == 0
    folder = tmp_path / f"{classifier.name}-safetensors"
    images = list(load_digits()[2].images[:9])
    expected = skipln.load_run(classifier, "cpu").probabilities(images)
    assert np.array_equal(skipln.load_run(folder, "cpu").probabilities(images), expected)
    monkeypatch.chdir(folder)
    run = {}
    exec(code_of(folder), run)
    assert np.array_equal(run["run"].probabilities(images), expected)
    assert main([str(folder), "--to", "safetensors", "-o", str(tmp_path / "again")]) == 0  # export the export
    assert np.array_equal(skipln.load_run(tmp_path / "again", "cpu").probabilities(images), expected)


def test_onnx_gives_the_probabilities_of_the_run(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=f"{name} is not installed: make peers")
    import onnxruntime

    folder = tmp_path / "out"
    assert main([str(classifier), "--to", "onnx", "-o", str(folder)]) == 0
    images = load_digits()[2].images[:9]
    expected = skipln.load_run(classifier, "cpu").probabilities(list(images))
    net = onnxruntime.InferenceSession(folder / "model.onnx")
    for count in (9, 1):
        (found,) = net.run(["probabilities"], {"pixels": images[:count].transpose(0, 3, 1, 2)})
        np.testing.assert_allclose(found, expected[:count], atol=1e-4)
    monkeypatch.chdir(folder)
    capsys.readouterr()
    exec(code_of(folder), {})
    assert capsys.readouterr().out.strip() in skipln.load_run(classifier, "cpu").classes


def test_only_an_earlier_export_is_replaced(translator: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    given = [str(translator), "--to", "safetensors", "-o", str(tmp_path / "out")]
    assert main(given) == main(given) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]  # neither a lock nor a partial folder
    capsys.readouterr()
    (tmp_path / "out" / "inputs" / "mine").write_text("notes")
    for target, said in (
        (tmp_path / "out", "exists already and holds more than an export"),
        (tmp_path, "exists already"),
        (translator, "the run itself is there"),
        (translator.parent, "the run itself is there"),
        (translator / "config.yaml" / "x", "not writable"),
    ):
        assert main([*given[:-1], str(target)]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    assert (tmp_path / "out" / "inputs" / "mine").read_text() == "notes"
    (tmp_path / "out" / "inputs" / "mine").unlink()
    (tmp_path / "out" / "export.json").write_text("[]")
    assert main(given) == 2


def test_a_failed_export_leaves_nothing(
    translator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("skipln.export.formats.card", full)
    assert main([str(translator), "--to", "safetensors", "-o", str(tmp_path / "out")]) == 2
    assert "the disk is full" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kind", "to", "said"),
    [
        ("classifier", "ctranslate2", "it holds translation models, but this run classifies images: --to onnx"),
        ("translator", "onnx", "it is for classifiers, but this run translates: --to ctranslate2 or safetensors"),
        ("two_steps", "ctranslate2", "but not skip=rskip_ln skip.lam=2 skip.share_norm=False norm=layer "),
    ],
)
def test_a_run_that_a_format_cannot_express_is_refused(
    kind: str, to: str, said: str, request: pytest.FixtureRequest, tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.setattr("skipln.export.__main__.find_spec", lambda name: True)
    folder = request.getfixturevalue(kind)  # training it now may print lines
    capsys.readouterr()
    assert main([str(folder), "--to", to, "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("update", "said"),
    [
        ({"attention": {"name": "favor"}}, "it has no attention=favor: --to safetensors"),
        ({"norm": {"name": "rms", "eps": 1e-6}}, " norm=rms norm.eps=1e-06: --to safetensors holds all"),
        ({"norm": {"name": "layer", "eps": 1e-3, "axes": "all"}}, " norm=layer norm.eps=0.001 "),
        ({"skip": {"name": "xskip_ln", "lam": 2.0}}, "but not skip=xskip_ln skip.lam=2.0 "),
    ],
)
def test_what_ctranslate2_cannot_compute_is_refused(translator: Path, tmp_path: Path, update: dict, said: str) -> None:
    run = skipln.load_run(translator, "cpu")
    other = replace(run, config=run.config.model_copy(update=update))
    with pytest.raises(UserError) as error:
        export(other, "ctranslate2", tmp_path / "out")
    assert said in str(error.value) and "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("to", "said"), [("onnx", "onnx and onnxscript: pip"), ("ctranslate2", "ctranslate2: pip")])
def test_a_missing_package_is_named(to: str, said: str, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("skipln.export.__main__.find_spec", lambda name: None)
    assert main([str(tmp_path / "run"), "--to", to, "-o", str(tmp_path / "out")]) == 2
    assert f"--to {to} needs {said}" in capsys.readouterr().err


def _change(name: str, **values: object):
    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(with_sums({**content, **values}, [])))

    return change


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (shutil.rmtree, "not a run's folder, because it has no config.yaml"),
        (lambda f: (f / "result.json").unlink(), "this run is not finished"),
        (_change("result.json", state="diverged"), "diverged at update 60 and has no model to use"),
        (lambda f: shutil.rmtree(f / "inputs"), "this run is of an older version"),
        (lambda f: shutil.rmtree(f / "checkpoints"), "tested.pt: no such checkpoint"),
        (
            lambda f: (f / "config.yaml").write_text((f / "config.yaml").read_text().replace("xskip_ln", "mine")),
            "config.yaml: not of this run, ",
        ),
    ],
)
def test_a_run_that_cannot_be_exported_is_one_line(
    translator: Path, tmp_path: Path, capsys, break_it, said: str
) -> None:
    shutil.copytree(translator, tmp_path / "run")
    break_it(tmp_path / "run")
    assert main([str(tmp_path / "run"), "--to", "safetensors", "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda f: (f / "model.safetensors").write_bytes(b"half"), "model.safetensors: changed since it was made"),
        (lambda f: (f / "model.safetensors").unlink(), "tested.pt: no such checkpoint"),
        (lambda f: (f / "sums.json").unlink(), "sums.json: missing"),
        (lambda f: (f / "inputs" / "vocabulary.model").write_bytes(b"no"), "vocabulary.model: changed since the run"),
        (
            lambda f: (f / "config.yaml").write_text((f / "config.yaml").read_text().replace("seed: 1", "seed: 2")),
            "config.yaml: not of this run, ",
        ),
        (
            _change("result.json", update=61),
            "weights of another run or update",
        ),
    ],
)
def test_loading_a_changed_export_is_one_line(translator: Path, tmp_path: Path, break_it, said: str) -> None:
    assert main([str(translator), "--to", "safetensors", "-o", str(tmp_path / "out")]) == 0
    break_it(tmp_path / "out")
    with pytest.raises(UserError, match=said):
        skipln.load_run(tmp_path / "out", "cpu")


def test_a_format_is_required(capsys: pytest.CaptureFixture) -> None:
    for arguments in (["run"], ["run", "--to", "tensorflow"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
    assert "ctranslate2, safetensors, onnx" in capsys.readouterr().err.replace("'", "")


def test_a_mistake_is_reported_without_importing_torch(translator: Path) -> None:
    """Here the target folder is the run itself."""
    code = (
        "import sys; from skipln.export.__main__ import main\n"
        f"status = main([{str(translator)!r}, '--to', 'safetensors', '-o', {str(translator)!r}])\n"
        "sys.exit(9 if 'torch' in sys.modules else status)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 2
