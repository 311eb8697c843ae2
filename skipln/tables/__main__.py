"""python -m skipln.tables"""

import signal
import sys

from skipln.tables.cli import main


def command() -> int:
    """The console script `skipln-tables`."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `… | head` ends it quietly
    return main()


if __name__ == "__main__":
    sys.exit(command())
