"""`skipln-export RUN --to FORMAT [-o FOLDER]`: write a trained run as a folder that other programs can read.

ctranslate2: a translation model in post-LN or pre-LN form, for CTranslate2. safetensors: the weights of any run, which
`skipln-translate`, `skipln-classify`, `skipln-evaluate` and `skipln.load_run` take like the run itself. onnx: a
classifier, from uint8 pixels to probabilities. Each folder has a README.md with the data, the score and how to use it.
"""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from skipln.errors import UserError
from skipln.export.folder import require_free
from skipln.trained.folder import read_run
from skipln.trained.options import answered, parser_for

FORMATS = {"ctranslate2": ("ctranslate2",), "safetensors": (), "onnx": ("onnx", "onnxscript")}  # with needed packages


def main(arguments: list[str] | None = None) -> int:
    parser = parser_for("export", "Write a trained run as a folder that other programs can read.", computes=False)
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, (__doc__ or "").partition("\n\n")[2]
    parser.add_argument("--to", choices=FORMATS, required=True, help="the format")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="[NAME-FORMAT here, with the run's NAME]")
    given = parser.parse_args(arguments)

    def work() -> None:
        folder = given.output or Path(f"{given.run.resolve().name}-{given.to}")
        require_free(folder, given.run)
        missing = [name for name in FORMATS[given.to] if find_spec(name) is None]
        if missing:
            raise UserError(f"--to {given.to} needs {' and '.join(missing)}: pip install {' '.join(missing)}")
        read_run(given.run)  # reports mistakes before torch is loaded
        from skipln.export.formats import export
        from skipln.trained.run import load_run

        export(load_run(given.run, "cpu"), given.to, folder)
        print(folder)

    return answered(work)


if __name__ == "__main__":
    sys.exit(main())
