"""`python -m tests.fuzz TARGET CORPUS [libFuzzer's options]` tries coverage-guided bytes until an error escapes."""

import logging
import sys

try:
    import atheris
except ImportError:
    sys.exit("error: atheris is missing; `make fuzz` installs it")

with atheris.instrument_imports(include=["skipln"]):
    from tests.fuzz.targets import TARGETS, attempt

if __name__ == "__main__":
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        sys.exit(f"error: no target {name}: choose one of {', '.join(TARGETS)}")
    logging.disable()  # each damaged file gives a warning, a thousand times a second
    atheris.Setup(sys.argv, lambda content: attempt(TARGETS[name], content))
    atheris.Fuzz()
