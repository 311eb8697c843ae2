"""python -m skipln.tables"""

import sys

from skipln.tables.cli import main

if __name__ == "__main__":
    sys.exit(main())
