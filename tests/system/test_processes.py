"""A child ends with its parent, even if the parent died before the child asked to be notified."""

import signal
import subprocess
import sys

CODE = """
import os, sys, time
from skipln.system.processes import end_with_parent
end_with_parent(parent=os.getppid() + int(sys.argv[1]))
print("alive")
"""


def _status(other: int) -> tuple[int, str]:
    found = subprocess.run([sys.executable, "-c", CODE, str(other)], capture_output=True, text=True, check=False)
    return found.returncode, found.stdout


def test_a_child_of_a_dead_parent_ends() -> None:
    assert _status(0) == (0, "alive\n")
    assert _status(1) == (-signal.SIGTERM, "")
