"""Put the committed table of the demo into the README, between its two marks."""

import argparse
import re
from pathlib import Path

from skipln.errors import UserError
from skipln.system.files import atomic_write

ROOT = Path(__file__).resolve().parents[1]
MARKS = r"(<!-- table2 -->\n).*(<!-- end of table2 -->\n)"


def main() -> None:
    argparse.ArgumentParser(prog="python -m scripts.readme", description=__doc__).parse_args()
    page = (ROOT / "results/demo/table2/table.md").read_text("utf-8")
    body = page.split("\n", 1)[1].strip()  # without its heading
    readme = (ROOT / "README.md").read_text("utf-8")
    found, count = re.subn(MARKS, lambda m: f"{m[1]}\n{body.replace('## ', '### ')}\n\n{m[2]}", readme, flags=re.DOTALL)
    if count != 1:
        raise UserError("README.md has lost its marks <!-- table2 --> and <!-- end of table2 -->: put them back")
    with atomic_write(ROOT / "README.md", "w") as file:
        file.write(found)


if __name__ == "__main__":
    main()
