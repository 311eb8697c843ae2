"""`python -m scripts.bench [NAME …]`: compare ours with named peers and write results/bench/."""

import argparse
import os
import sys

from skipln.system.allocator import keep_freed_memory
from skipln.system.printing import exit_status


def main(arguments: list[str]) -> int:
    allocator = "glibc, keeping freed memory" if keep_freed_memory() else "the system's default allocator"
    if preload := os.environ.get("LD_PRELOAD"):
        allocator = f"LD_PRELOAD={os.path.basename(preload)}"  # noqa: PTH119  # it may be a list of libraries
    from scripts.bench.comparisons import measure, parts

    known = parts()
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench",
        description="Compare ours with named peers, interleaved in one process; write results/bench/NAME.json, a page.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"[all]: {', '.join(known)}")
    parser.add_argument("--n", type=int, default=0, help="pairs [each part's own number]")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads [all cores, or OMP_NUM_THREADS]")
    parser.add_argument("--precision", choices=("bf16", "fp32"), help="of ours, if a part leaves it open [the best]")
    options = parser.parse_args(arguments)
    names = options.names or list(known)
    return exit_status(lambda: measure(names, options.n, options.threads, options.precision, allocator))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
