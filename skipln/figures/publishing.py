"""`make publish TABLE=figure1`: replace the published figure with yours, all at once."""

import shutil
from collections.abc import Collection
from pathlib import Path

from skipln.errors import UserError
from skipln.figures.manifest import Manifest
from skipln.figures.numbers import load
from skipln.figures.render import render
from skipln.system.files import locked, recover_folder, replace_folder
from skipln.tables.execution.launching import say
from skipln.tables.runner import YOURS

ALLOWED = ("mixed", "uncommitted")
NUMBERS = ("sites.csv", "nets.csv", "about.json")


def yours(manifest: Manifest, scale: str) -> Path:
    """The folder of your own figure."""
    return YOURS / scale / manifest.name


def publish(manifest: Manifest, scale: str, results: Path, allowed: Collection[str]) -> int:
    """Replace the published figure with yours, and print which files of numbers changed.

    Raises UserError if you have none. Also raises it if the nets differ in their arithmetic or their code was not
    committed, unless `allowed` has that word of ALLOWED. about.json names the nets' code, data and machine.
    """
    if unknown := [word for word in allowed if word not in ALLOWED]:
        raise UserError(f"allow={unknown[0]}: choose from {', '.join(ALLOWED)}")
    mine, folder = yours(manifest, scale), results / scale / manifest.name
    if not (mine / NUMBERS[0]).is_file():
        raise UserError(f"no figure of yours in {mine}: make {manifest.name} SCALE={scale}")
    about = load(mine).about
    found = [("mixed", f"the nets differ in their arithmetic: {', '.join(about.arithmetic)}")] * (
        len(about.arithmetic) > 1
    )
    if dirty := [text for text in about.code if "uncommitted" in text]:
        found.append(("uncommitted", f"nets were made with uncommitted code: {dirty[0]}"))
    if reasons := [f"{text} (ALLOW={word} publishes all the same)" for word, text in found if word not in allowed]:
        raise UserError("; ".join(reasons))
    with locked(YOURS / ".lock"):
        recover_folder(folder)
        before = {name: (folder / name).read_bytes() for name in NUMBERS if (folder / name).is_file()}
        new = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        try:
            new.mkdir(parents=True)
            for name in NUMBERS:
                shutil.copy(mine / name, new)
            render(manifest, scale, new)
            replace_folder(new, folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    for name in NUMBERS:
        same = before.get(name) == (folder / name).read_bytes()
        print(f"{'same' if same else 'replaced' if name in before else 'new':<9} {name}")
    say(f"published in {folder}: read the difference with git, and commit it")
    return 0
