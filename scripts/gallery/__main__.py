"""`make gallery` measures every connection again and writes the pages; --pages uses the kept measurements."""

import argparse
import sys

from scripts.gallery.measuring import measured, read, write
from scripts.gallery.page import entries
from scripts.gallery.page import write as write_pages
from skipln import skips
from skipln.system.printing import exit_status


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.gallery", description=__doc__)
    parser.add_argument("--pages", action="store_true", help="measure nothing")
    options = parser.parse_args(arguments)
    gallery = read()
    if not options.pages:
        gallery = measured(skips.names())
        write(gallery)
    write_pages(entries(skips.names(), gallery), gallery)
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
