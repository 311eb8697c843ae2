"""Fetch WMT14 English-German and prepare it for data=wmt14_en_de: about 2 GB to fetch, 10 GB of disk while it works.

After an interruption, the same command continues where it stopped; when everything is done, it does nothing.
"""

import argparse

from scripts.preparing import common_options, prepare_and_report
from skipln.data.text.published import corpora


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.prepare_wmt14_en_de",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common_options(parser, merges=37_000)
    parser.add_argument(
        "--news-commentary",
        choices=sorted(corpora.NEWS_COMMENTARY, key=lambda version: int(version[1:])),
        default="v9",
        help="v9: WMT14's own; v12, v13: used by later papers [v9]",
    )
    options = parser.parse_args(arguments)
    suffix = "" if options.news_commentary == "v9" else f"_nc_{options.news_commentary}"
    return prepare_and_report(corpora.wmt14_en_de(options.news_commentary, options.merges), options, suffix)


if __name__ == "__main__":
    raise SystemExit(main())
