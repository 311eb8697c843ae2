"""A trained run translates raw text as in its own test, wherever its folder is; every bad input is one line."""

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
import yaml

import skipln
from skipln.configuration.composition import compose
from skipln.decode.translate import hypotheses
from skipln.engine.checkpoint import save
from skipln.engine.run import execute
from skipln.errors import UserError
from skipln.runs.sums import with_sums
from skipln.trained.run import Run
from skipln.translate import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def run(translator: Path) -> Run:
    return skipln.load_run(translator, "cpu")


def table(folder: Path) -> list[list[str]]:
    return [line.split("\t") for line in (folder / "translations.tsv").read_text("utf-8").split("\n")[:-1]]


def test_a_run_translates_its_test_set_as_in_its_own_test(run: Run, translator: Path, tiny_text: Path) -> None:
    outputs = (translator / "translations.txt").read_text("utf-8").split("\n")[:-1]
    sources = (tiny_text / "test.en").read_text("utf-8").split("\n")[:-1]
    assert run.translate(sources) == outputs
    assert len(set(outputs)) > 1
    assert len(run.vocabulary) == 290
    references = (tiny_text / "test.de").read_text("utf-8").split("\n")[:-1]
    assert table(translator) == [
        ["source", "reference", "output"],
        *map(list, zip(sources, references, outputs, strict=True)),
    ]


def test_batch_norm_statistics_are_those_of_the_tested_weights(tiny: list[str], tmp_path: Path) -> None:
    """They are estimated after averaging, from training data, which are not needed to load the run."""
    short = ["training.updates=8", "training.checkpoint_every=4", "training.average=2", "optim.lr=0.01"]
    config = compose([*tiny, *short, "skip=rskip_bn", f"paths.runs={tmp_path}"])
    assert execute(config) == "done"
    outputs = [row[2] for row in table(config.folder)[1:]]
    assert skipln.load_run(config.folder, "cpu").translate([row[0] for row in table(config.folder)[1:]]) == outputs


def test_candidates_are_sorted_and_the_first_is_the_translation(run: Run) -> None:
    lines = ["the red dog", "three trees and a house"]
    found = run.candidates(lines, count=3, beam=5)
    assert [len(of) for of in found] == [3, 3]
    for of in found:
        assert [score for _, score in of] == sorted((score for _, score in of), reverse=True)
        assert len({text for text, _ in of}) > 1
    assert [of[0][0] for of in found] == run.translate(lines, beam=5)
    assert run.candidates(lines, length_penalty=0.0)[0][0][1] <= 0  # a log-probability
    assert run.translate([]) == []


@pytest.mark.parametrize("source", ["file", "standard input"])
def test_the_command_translates_a_file_or_standard_input(
    source: str,
    translator: Path,
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    lines = ["one red house", "zwei ‑ \u200bdogs and\u00a0trees", "blue"]
    content = "".join(f"{line}\r\n" for line in lines).encode()
    (tmp_path / "text").write_bytes(content)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    given = [str(tmp_path / "text")] if source == "file" else []
    assert main([str(translator), *given, "--device", "cpu"]) == 0
    assert capsys.readouterr().out == "".join(f"{line}\n" for line in run.translate(lines))


def test_the_command_reads_and_writes_pipes(translator: Path, tmp_path: Path, run: Run) -> None:
    """As in `skipln-translate RUN <(zcat text.gz) -o >(gzip > translation.gz)`."""
    text, output, got = tmp_path / "text", tmp_path / "output", []
    for pipe in (text, output):
        os.mkfifo(pipe)
    threads = [
        threading.Thread(target=lambda: text.write_text("one red house\n"), daemon=True),
        threading.Thread(target=lambda: got.append(output.read_text("utf-8")), daemon=True),
    ]
    for thread in threads:
        thread.start()
    assert main([str(translator), str(text), "-o", str(output), "--device", "cpu"]) == 0
    threads[1].join(5)
    assert got == [f"{run.translate(['one red house'])[0]}\n"]


def test_bad_arguments_are_one_line(run: Run, translator: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(UserError, match=r"^translate takes a list of lines, not one: give \['one dog'\]$"):
        run.translate("one dog")
    for name, value in {"length_penalty": float("nan"), "max_tokens": 0}.items():
        with pytest.raises(UserError, match=f"{name} {value}.*give at least 0 and 1"):
            run.translate(["one dog"], **{name: value})
    assert main([str(translator), "-o", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}: a folder; name a file in it\n"
    for options in (
        ["--length-penalty", "nan"],
        ["--length-penalty", "inf"],
        ["--threads", "-1"],
        ["--threads", "9" * 9],
    ):
        with pytest.raises(SystemExit) as ended:
            main([str(translator), *options])
        assert (
            ended.value.code == 2
            and f"error: {'argument ' * ('threads' in options[0])}{options[0]}" in capsys.readouterr().err
        )


def test_the_products_can_be_in_bfloat16(translator: Path, tmp_path: Path, run: Run) -> None:
    """From Python, by the command and in an evaluation; sums stay float32, so scores change little."""
    (tmp_path / "text").write_text("one red house\nblue\n")
    exact, rounded = (run.candidates(["one red house", "blue"], precision=of) for of in ("fp32", "bf16"))
    assert exact == run.candidates(["one red house", "blue"])
    scores = [[of[0][1] for of in found] for found in (exact, rounded)]
    assert scores[0] != scores[1]
    assert scores[0] == pytest.approx(scores[1], abs=0.1)
    out = tmp_path / "out"
    options = ["--precision", "bf16", "--nbest", "1", "-o", str(out), "--device", "cpu"]
    assert main([str(translator), str(tmp_path / "text"), *options]) == 0
    assert [float(line.split(" ||| ")[2]) for line in out.read_text("utf-8").splitlines()] == pytest.approx(
        scores[1], abs=1e-4
    )
    with pytest.raises(UserError, match=r"^precision fp8: give one of fp32, bf16$"):
        run.candidates(["blue"], precision="fp8")


def test_batches_are_as_large_as_asked_and_files_have_a_bar(
    translator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, run: Run
) -> None:
    """On a terminal; beside text that is typed there, a bar would be in the way."""
    searched = []

    def spy(model, sources, search, **options):
        searched.append((search.max_tokens, options["progress"]))
        return hypotheses(model, sources, search, **options)

    monkeypatch.setattr("skipln.trained.run.hypotheses", spy)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    (tmp_path / "text").write_text("one red house\nblue\n")
    given = [str(translator), "--device", "cpu", "--max-tokens", "9", "--beam", "1"]
    assert main([*given, str(tmp_path / "text")]) == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"blue\n")))
    assert main(given) == 0
    assert searched == [(9, "translate"), (9, "")]
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        *run.translate(["one red house", "blue"], beam=1),
        run.translate(["blue"], beam=1)[0],
    ]
    assert "translate: " in said.err and "0/2" in said.err


def test_nbest_output_has_moses_format(translator: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "text").write_text("one red house\nblue\n")
    out = tmp_path / "out"
    options = ["--nbest", "2", "--beam", "3", "--length-penalty", "1.0", "-o", str(out), "--device", "cpu"]
    assert main([str(translator), str(tmp_path / "text"), *options]) == 0
    rows = [line.split(" ||| ") for line in out.read_text("utf-8").split("\n")[:-1]]
    assert [row[0] for row in rows] == ["0", "0", "1", "1"]
    expected = run.candidates(["one red house", "blue"], count=2, beam=3, length_penalty=1.0)
    assert [(row[1], float(row[2])) for row in rows] == [
        (t, pytest.approx(s, abs=1e-4)) for of in expected for t, s in of
    ]


def test_long_files_are_translated_block_by_block(
    translator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr("skipln.translate.BLOCK", 2)
    lines = ["one", "two dogs", "red", "a blue tree", "six"]
    (tmp_path / "text").write_text("".join(f"{line}\n" for line in lines))
    options = ["--nbest", "1", "-o", str(tmp_path / "out"), "--device", "cpu"]
    assert main([str(translator), str(tmp_path / "text"), *options]) == 0
    rows = [line.split(" ||| ") for line in (tmp_path / "out").read_text("utf-8").split("\n")[:-1]]
    assert [(row[0], row[1]) for row in rows] == [(str(i), line) for i, line in enumerate(run.translate(lines))]


def test_the_folder_alone_is_enough_to_translate(translator: Path, tmp_path: Path, run: Run) -> None:
    """The process has another working directory, and stdout has only translations."""
    command = [sys.executable, "-m", "skipln.translate", str(translator), "--device", "cpu", "--threads", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, input="two red dogs\n", capture_output=True, text=True, cwd=tmp_path, env=environment, check=True
    )
    assert done.stdout == run.translate(["two red dogs"])[0] + "\n"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (b"fine\n\nmore\n", [], "text: line 2 is empty: nothing to translate; remove it"),
        (b"fine\n \xe2\x80\x8b \n", [], "text: line 2 is empty"),
        (b"red " * 200 + b"\n", [], "line 1 has 600 tokens, but this model was trained on at most 40: split it"),
        (b"fine\nM\xfcnchen\n", [], "text:2: not UTF-8; convert the file first"),
        (b"fine\n", ["--nbest", "9", "--beam", "2"], "9 translations of each line need a beam of at least 9, not 2"),
        (b"fine\n", ["--device", "cuda"], "torch finds no CUDA device"),
        (None, [], "text: no such file of text"),
        (b"\x89PNG\r\n\x1a\n\x00\xff\xd8", [], "text:1: not UTF-8"),
    ],
)
def test_bad_text_is_one_line(
    translator: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    content: bytes | None,
    options: list[str],
    said: str,
) -> None:
    if "cuda" in options and torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device, so this is no mistake here")
    if content is not None:
        (tmp_path / "text").write_bytes(content)
    assert main([str(translator), str(tmp_path / "text"), "-o", str(tmp_path / "out"), *options]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


class Evil:
    def __reduce__(self):
        return os.system, ("touch executed",)


def _edit(name: str, change):
    def edit(folder: Path) -> None:
        path = folder / name
        path.write_text(change(path.read_text("utf-8")), "utf-8")

    return edit


def _config(**changes):
    def edit(text: str) -> str:
        content = yaml.safe_load(text)
        for key, value in changes.items():
            content[key] = {**content[key], **value} if isinstance(value, dict) else value
        return yaml.safe_dump(content)

    return _edit("config.yaml", edit)


def _result(**changes):
    return _edit("result.json", lambda text: json.dumps(with_sums({**json.loads(text), **changes}, [])))


def _weights(make):
    def edit(folder: Path) -> None:
        make(folder / "checkpoints" / "tested.pt")

    return edit


def _saved(content):
    """Save any content as weights, with the seal of this run."""

    def edit(folder: Path) -> None:
        run = json.loads((folder / "result.json").read_text())["hash"]
        save(folder / "checkpoints" / "tested.pt", content, {"run": run, "kind": "tested", "update": 60})

    return edit


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (shutil.rmtree, "not a run's folder, because it has no config.yaml"),
        (lambda f: (f / "config.yaml").unlink(), "not a run's folder"),
        (lambda f: (f / "result.json").unlink(), "this run is not finished"),
        (_result(state="diverged"), "this run diverged at update 60 and has no model to use"),
        (_edit("config.yaml", lambda text: text.replace("beam:", "beams:")), "a run of another version (task"),
        (_edit("config.yaml", lambda text: f"{text}\n  - ["), "config.yaml: damaged"),
        (lambda f: (f / "config.yaml").write_bytes(b"a: " + b"[" * 1500), "config.yaml: damaged"),
        (_config(engine="fairseq"), "trained by fairseq"),
        (_config(model={"dim": 64}), "config.yaml: not of this run, "),
        (_config(model={"heads": 14}), "config.yaml: not of this run, "),
        (_config(skip={"name": ["xskip_ln"]}), "config.yaml: not of this run, "),
        (
            lambda f: shutil.rmtree(f / "inputs"),
            "this run is of an older version, which wrote no inputs/; train it again",
        ),
        (lambda f: (f / "inputs" / "vocabulary.model").unlink(), "vocabulary.model: cannot be read"),
        (lambda f: (f / "inputs" / "vocabulary.model").write_bytes(b"no"), "vocabulary.model: changed since the run"),
        (
            lambda f: shutil.rmtree(f / "checkpoints"),
            "tested.pt: no such checkpoint",
        ),
        (_weights(lambda path: path.write_bytes(b"half")), "damaged"),
        (_weights(lambda path: torch.save({"embedding.weight": Evil()}, path)), "damaged"),
        (_saved({"embedding.weight": Evil()}), "damaged (UnpicklingError)"),
        (_weights(lambda path: path.write_bytes(pickle.dumps(Evil()))), "damaged"),
        (_saved([1, 2]), "its weights are not those of this run's model"),
        (
            _saved({"a": torch.ones(2)}),
            "its weights are not those of this run's model",
        ),
    ],
)
def test_an_unusable_folder_is_one_line(
    translator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, break_it, said: str
) -> None:
    shutil.copytree(translator, tmp_path / "broken")
    monkeypatch.chdir(tmp_path)
    break_it(tmp_path / "broken")
    with pytest.raises(UserError) as error:
        skipln.load_run(tmp_path / "broken")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "executed").exists()


def test_a_translator_does_not_classify_and_a_classifier_does_not_translate(
    run: Run, classifier: Path, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(UserError, match="this run translates; it has no classes"):
        run.predict([])
    (classifier.parent / "text").write_text("a line\n")
    assert main([str(classifier), str(classifier.parent / "text")]) == 2
    assert "this run classifies images; it has no translations" in capsys.readouterr().err
