"""README, docs/ and the pages of results/ as a site: `make docs`. A dead link stops the build.

The source folder is the clone itself, so that links are the same in both.
"""

import shutil
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MENU = """
```{toctree}
:hidden:
:caption: Use it

docs/guide
docs/troubleshooting
docs/costs
docs/cluster
docs/tracking
docs/fairseq
docs/api
docs/configuration
```

```{toctree}
:hidden:
:caption: Results
:glob:

results/README
results/*/*/table
results/*/*/figure
results/bench/README
```

```{toctree}
:hidden:
:caption: How it is made

docs/architecture
docs/gallery
docs/illegal_pairs
docs/parity
docs/performance
docs/reliability
docs/reproduction
CONTRIBUTING
```
"""

project = html_title = "skipln"
author = "the skipln authors"
release = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["README.md", "CONTRIBUTING.md", "docs/*.md", "results/*.md", "results/**/*.md"]
exclude_patterns = [
    ".*",
    "build",
    "data",
    "runs",
    "results/test",
    "skipln",
    "tests",
    "scripts",
    "configs",
    "experiments",
]
html_theme = "furo"
html_show_copyright = False
html_static_path, html_css_files = ["static"], ["site.css"]
myst_heading_anchors = 4
suppress_warnings = ["misc.highlighting_failure", "toc.not_included"]  # the picture of the layers is in no language


def _add_menu(app: Any, name: str, source: list[str]) -> None:
    if name == root_doc:
        source[0] += MENU


def _begin_there(app: Any, error: Exception | None) -> None:
    page = Path(app.outdir) / f"{root_doc}.html"
    if page.is_file():
        shutil.copyfile(page, page.with_name("index.html"))


def setup(app: Any) -> None:
    app.connect("source-read", _add_menu)
    app.connect("build-finished", _begin_there)
