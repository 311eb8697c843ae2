"""Readers of files and flags that anybody may have written: any bytes give a value or a `UserError` of one line."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from skipln.configuration.composition import compose
from skipln.data.checksums import remembered_sha256
from skipln.data.folders import SUMS, check_sums
from skipln.data.images import idx
from skipln.data.images.class_folders import load_class_folders
from skipln.data.images.inputs import ImageInputs
from skipln.data.text.bpe import read_codes
from skipln.data.text.published import archives, download
from skipln.data.text.published.steps import Steps
from skipln.data.text.subwords import SubwordVocabulary
from skipln.engine.checkpoint import load
from skipln.engine.evaluation.inputs import Input
from skipln.engine.seal import seal
from skipln.errors import UserError
from skipln.figures import numbers
from skipln.interop.fairseq.checkpoint import export_run, load_imported
from skipln.runs.reading import read_config, read_metrics, read_state
from skipln.tables.manifest import load as load_manifest
from skipln.tables.store import EXAMPLES, read_curves, read_examples, read_records
from skipln.trained.folder import read_run
from tests.tables import fakes

Target = Callable[[bytes, Path], object]


def overrides(content: bytes, _: Path) -> object:
    return compose(["scale=test", *content.decode("utf-8", "replace").split("\n")[:6]])


def manifest(content: bytes, folder: Path) -> object:
    (folder / "table9.yaml").write_bytes(content)
    return load_manifest("table9", folder)


def records(content: bytes, folder: Path) -> object:
    (folder / EXAMPLES).mkdir()
    for name in ("records.jsonl", "curves.jsonl", f"{EXAMPLES}/{'0' * 12}.xz"):
        (folder / name).write_bytes(content)
    return _each(lambda: read_records(folder), lambda: read_curves(folder), lambda: read_examples(folder))


def run_folder(content: bytes, folder: Path) -> object:
    for name in ("metrics.jsonl", "status.json", "result.json", "config.yaml", "ticket.json"):
        (folder / name).write_bytes(content)
    return _each(lambda: read_metrics(folder), lambda: read_state(folder), lambda: read_config(folder))


def configuration(content: bytes, folder: Path) -> object:
    """Of a finished run, for those who use its weights."""
    fakes.finish(folder)
    (folder / "config.yaml").write_bytes(content)
    out = folder / "out.pt"
    return _each(lambda: read_run(folder), lambda: Input.read(folder), lambda: export_run(folder, out))


def small_files(content: bytes, folder: Path) -> object:
    """They say what lies in a cache, beside weights, among downloads, or behind a figure."""
    names = (SUMS, "images.json", "model.yaml", download.LOCK, "steps.json", "memory.json", "about.json", "sites.csv")
    for name in names:
        (folder / name).write_bytes(content)
    remote = download.Remote("x", ())
    return _each(
        lambda: check_sums(folder),
        lambda: ImageInputs.load(folder),
        lambda: load_imported(folder),
        lambda: download.fetch(remote, folder),
        lambda: Steps(folder / "steps.json", {}),
        lambda: remembered_sha256(folder / "steps.json", folder / "memory.json"),
        lambda: numbers.load(folder),
    )


def bpe(content: bytes, folder: Path) -> object:
    for name in ("codes", "vocabulary.txt", "encoding.json"):
        (folder / name).write_bytes(content)
    return _each(
        lambda: SubwordVocabulary.load(folder, "bpe", 10, "de"),
        lambda: read_codes(folder / "codes"),
    )


def tar(content: bytes, folder: Path) -> object:
    path = folder / "a.tar"
    path.write_bytes(content)
    return _each(
        lambda: archives.damage(path),
        lambda: archives.extract(path, {folder / "out": ["a.txt"]}),
        lambda: load_class_folders(path, 8, folder / "cache"),
    )


def idx_files(content: bytes, folder: Path) -> object:
    """The four files, plain and compressed."""
    for suffix in ("", ".gz"):
        (folder / suffix).mkdir(exist_ok=True)
        for name in idx.NAMES:
            (folder / suffix / f"{name}{suffix}").write_bytes(content)
    return _each(lambda: idx.load(folder), lambda: idx.load(folder / ".gz"))


def checkpoint(content: bytes, folder: Path) -> object:
    """Seal the file first, so that torch's reader gets the bytes."""
    path = folder / "x.pt"
    with path.open("w+b") as file:
        file.write(content)
        try:
            seal(file, {})
        except (AssertionError, OSError):  # not a zip file
            return None
    return load(path, {})


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        overrides, manifest, records, run_folder, configuration, small_files, bpe, tar, idx_files, checkpoint,
    )
}  # fmt: skip


def attempt(target: Target, content: bytes) -> None:
    """Give `content` to the target in a new folder; any error but UserError escapes."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            target(content, Path(folder))
        except UserError as error:
            assert "\n" not in str(error), f"not one line: {error}"


def _each(*reads: Callable[[], object]) -> None:
    """Call all of them, even if one refuses."""
    for read in reads:
        try:
            read()
        except UserError as error:
            assert "\n" not in str(error), f"not one line: {error}"
