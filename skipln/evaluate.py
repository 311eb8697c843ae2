"""`skipln-evaluate RUN [data=…] [data.KEY=…] [task.beam=…]`: test a trained run on its own or another test set.

The record, under RUN/evaluations/, is like a run's own: result.json, the statistics of each example, and for text
translations.tsv.
"""

import sys

from skipln.trained.folder import read_run
from skipln.trained.options import answered, parser_for, use_threads
from skipln.trained.overrides import changed, require_test_set


def main(arguments: list[str] | None = None) -> int:
    parser = parser_for("evaluate", (__doc__ or "").splitlines()[0])
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="overrides of data and task; none: the run's own test"
    )
    given = parser.parse_intermixed_args(arguments)  # words may stand before and after options

    def work() -> None:
        require_test_set(changed(read_run(given.run)[0], given.overrides))  # reports mistakes before torch is loaded
        from skipln.trained.evaluation import evaluate

        use_threads(given.threads)
        folder, result = evaluate(given.run, given.overrides, given.device)
        for name, value in result.metrics.items():
            print(f"{name} {value:.2f}   {result.signatures.get(name, '')}".rstrip())
        print(f"n = {result.data.test_examples:,}   {folder}")

    return answered(work)


if __name__ == "__main__":
    sys.exit(main())
