"""Parse command lines whose last words, such as overrides, may stand before and after options.

argparse closes the last words at the first option. Its own remedy, `parse_intermixed_args`, refuses subcommands.
"""

import argparse
from collections.abc import Sequence


def parse_subcommand(parser: argparse.ArgumentParser, given: Sequence[str]) -> argparse.Namespace:
    """Parse `given`; words that argparse leaves over join the subcommand's `overrides` or `words`, if it has them."""
    options, rest = parser.parse_known_args(given)
    words = getattr(options, "overrides", getattr(options, "words", None))
    for word in rest:
        if words is None or word.startswith("-"):
            parser.error(f"{word} is not an option of this command; --help lists them")
        words.append(word)
    return options
