"""`skipln-translate RUN [FILE]`: translate lines of raw text, by default standard input, with a trained run.

It prints one line for each input line; with --nbest, Moses' format: `line number ||| translation ||| log p / penalty`.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path

from skipln.configuration.schema.task import MOST_BEAM, MOST_PENALTY
from skipln.data.text.lines import decoded
from skipln.errors import UserError
from skipln.system.files import atomic_write
from skipln.trained.folder import read_run
from skipln.trained.options import answered, parser_for, use_threads

BLOCK = 10_000  # lines in memory at a time


def main(arguments: list[str] | None = None) -> int:
    parser = parser_for("translate", (__doc__ or "").splitlines()[0])
    parser.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="raw text, one sentence a line [standard input]"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="written whole or not at all [standard output]"
    )
    parser.add_argument("--beam", type=int, help="hypotheses that beam search keeps [the run's]")
    parser.add_argument("--length-penalty", type=float, metavar="α", help="length penalty; 0: none [the run's]")
    parser.add_argument("--nbest", type=int, default=0, metavar="N", help="print the N best of each line, with scores")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="most source tokens times beam in a batch [16384]")
    parser.add_argument(
        "--precision",
        choices=("fp32", "bf16"),
        help="of the products' factors; bf16 is faster where it is native [the run's]",
    )
    given = parser.parse_intermixed_args(arguments)  # words may stand before and after options
    for name in ("beam", "max_tokens"):
        if (value := getattr(given, name)) is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} {value}: give at least 1")
    if given.beam and given.beam > MOST_BEAM:
        parser.error(f"--beam {given.beam}: give at most {MOST_BEAM:,}")
    if not 0 <= (given.length_penalty or 0) <= MOST_PENALTY:
        parser.error(f"--length-penalty {given.length_penalty}: give 0 to {MOST_PENALTY:g}")
    if given.nbest < 0:
        parser.error("--nbest is at least 0")

    def work() -> None:
        if given.file and (not given.file.exists() or given.file.is_dir()):  # a pipe is read, too
            raise UserError(f"{given.file}: no such file of text")
        if given.output and given.output.is_dir():
            raise UserError(f"{given.output}: a folder; name a file in it")
        read_run(given.run, "translation")  # reports mistakes before torch is loaded
        from skipln.trained.run import load_run

        use_threads(given.threads)
        run = load_run(given.run, given.device)
        options = {key: getattr(given, key) for key in ("beam", "length_penalty", "max_tokens", "precision")}
        name = str(given.file or "standard input")
        done = 0
        with (
            given.file.open("rb") if given.file else nullcontext(sys.stdin.buffer) as source,
            _output(given.output) as out,
        ):
            for lines in _blocks(decoded(source, name), 1 if sys.stdin.isatty() and not given.file else BLOCK):
                label = "translate" if sys.stderr.isatty() and (given.file or given.output) else ""
                try:
                    found = run.candidates(lines, count=given.nbest or 1, first=done + 1, progress=label, **options)
                except UserError as error:
                    raise UserError(f"{name}: {error}") from error
                for number, of in enumerate(found, done):
                    if given.nbest:
                        out.writelines(f"{number} ||| {text} ||| {score:.4f}\n" for text, score in of)
                    else:
                        out.write(f"{of[0][0]}\n")
                out.flush()
                done += len(lines)

    return answered(work)


def _output(path: Path | None):  # type: ignore[no-untyped-def]  # a context of a text file
    if path:
        return atomic_write(path, "w")
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8")
    return nullcontext(sys.stdout)


def _blocks(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    lines = iter(lines)
    while block := list(islice(lines, size)):
        yield block


if __name__ == "__main__":
    sys.exit(main())
