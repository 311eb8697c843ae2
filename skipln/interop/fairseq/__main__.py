"""`python -m skipln.interop.fairseq`: the path for --user-dir; `convert`; `write-data-bin`, `read-data-bin`."""

import argparse
import sys
from pathlib import Path

from skipln.errors import UserError
from skipln.interop.fairseq import USER_DIR
from skipln.system.printing import exit_status


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m skipln.interop.fairseq", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    convert = commands.add_parser(
        "convert",
        help="convert a fairseq checkpoint for skipln, or a run for fairseq",
        description="If SOURCE is a run's folder (config.yaml), its averaged weights become the fairseq checkpoint "
        "TARGET. If SOURCE is a fairseq checkpoint, TARGET becomes a folder with weights.pt and model.yaml.",
    )
    convert.add_argument("source", type=Path, metavar="SOURCE")
    convert.add_argument("target", type=Path, metavar="TARGET")
    write = commands.add_parser(
        "write-data-bin",
        help="write the text of a configuration as a fairseq data-bin",
        description="Write the prepared text of `python -m skipln.train KEY=VALUE …` as a data-bin.",
    )
    write.add_argument("folder", type=Path, metavar="DATA-BIN")
    write.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    read = commands.add_parser("read-data-bin", help="read a fairseq data-bin as prepared text")
    read.add_argument("folder", type=Path, metavar="DATA-BIN")
    read.add_argument("target", type=Path, metavar="TARGET", help="the folder that TextData.load opens")
    read.add_argument(
        "--vocabulary",
        type=Path,
        help="its sentencepiece model (default: vocabulary.model in DATA-BIN)",
        metavar="FILE",
    )
    given = parser.parse_args(arguments)
    return exit_status(lambda: _run(given))


def _run(given: argparse.Namespace) -> int:
    if given.command is None:
        print(USER_DIR)
    elif given.command == "convert":
        from skipln.interop.fairseq.checkpoint import export_run, import_checkpoint

        if given.target.exists():
            raise UserError(f"{given.target}: exists already: give another name or remove it")
        if given.source.is_dir():
            model = export_run(given.source, given.target)
            own = (
                "fairseq's own transformer"
                if model.own
                else f"skipln_transformer (fairseq needs --user-dir {USER_DIR})"
            )
            print(f"{given.target}: {own}")
        else:
            model = import_checkpoint(given.source, given.target)
            print(f"{given.target}: skip={model.skip['name']} positions={model.shape.positions} start={model.start}")
    elif given.command == "write-data-bin":
        from skipln.configuration.composition import compose
        from skipln.interop.fairseq.databin import write_databin
        from skipln.tasks.translation import prepare_text

        config = compose(given.overrides)
        if config.task.name != "translation":
            raise UserError("a data-bin holds text: set task=translation")
        print(write_databin(prepare_text(config), given.folder))
    else:
        from skipln.interop.fairseq.databin import read_databin

        print(read_databin(given.folder, given.vocabulary or given.folder / "vocabulary.model", given.target).folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
