"""Fetch IWSLT15 English-Vietnamese and prepare it for data=iwslt15_en_vi: 133,317 / 1,553 / 1,268 pairs, 35 MB.

After an interruption, the same command continues where it stopped; when everything is done, it does nothing.
"""

import argparse

from scripts.preparing import common_options, prepare_and_report
from skipln.data.text.published import corpora


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.prepare_iwslt15_en_vi",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common_options(parser, merges=8000)
    options = parser.parse_args(arguments)
    return prepare_and_report(corpora.iwslt15_en_vi(options.merges), options)


if __name__ == "__main__":
    raise SystemExit(main())
