"""Tell whether two versions of sentencepiece make the same data: a vocabulary, encoded text, and text to score.

    python -m scripts.equal_data 0.2.2 0.2.3 scale=small task=translation data=multi30k data.dir=FOLDER

Each version is installed into a folder of its own, and prepares the text there. If all files are equal, the two
fingerprints belong into experiments/equal_data.yaml.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from skipln.errors import UserError
from skipln.system.files import sha256
from skipln.system.places import ROOT
from skipln.system.printing import exit_status

ABOUT = ("about.json", "sums.json")  # they name the fingerprint
PREPARE = """
import json, sys
from skipln.configuration.composition import compose
from skipln.tasks.translation import prepare_text
made = prepare_text(compose(sys.argv[1:]))
print(json.dumps([made.fingerprint, str(made.folder)]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.equal_data", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("versions", nargs=2, metavar="VERSION", help="versions of sentencepiece")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="the configuration of a run on this text")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        one, other = (made_by(version, given.overrides, Path(folder) / version) for version in given.versions)
    for version, (fingerprint, _) in zip(given.versions, (one, other), strict=True):
        print(f"sentencepiece {version}: fingerprint {fingerprint}")
    if unequal := differing(one[1], other[1]):
        raise UserError(f"they differ in {', '.join(unequal)}")
    print(f"{len(one[1])} files are equal")


def made_by(version: str, overrides: list[str], folder: Path) -> tuple[str, dict[str, str]]:
    """The fingerprint of the text that `version` prepares, and the SHA-256 of each file. Raises UserError."""
    packages = folder / "packages"
    wanted = ["--target", str(packages), "--no-deps", f"sentencepiece=={version}"]
    try:
        subprocess.run([sys.executable, "-m", "uv", "pip", "install", "--quiet", *wanted], check=True)
        found = subprocess.run(
            [sys.executable, "-c", PREPARE, *overrides, f"paths.cache={folder / 'cache'}"],
            env={**os.environ, "PYTHONPATH": f"{packages}{os.pathsep}{ROOT}"}, cwd=ROOT, check=True,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        raise UserError(f"sentencepiece {version}: the command above failed; its own line says why") from error
    fingerprint, prepared = json.loads(found.stdout)
    return fingerprint, sums(Path(prepared))


def sums(prepared: Path) -> dict[str, str]:
    """The SHA-256 of every file of prepared text by its name, but for those that name the fingerprint."""
    return {path.name: sha256(path) for path in sorted(prepared.iterdir()) if path.name not in ABOUT}


def differing(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """The names of files that are not the same in both, or only in one."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


if __name__ == "__main__":
    sys.exit(exit_status(main))
