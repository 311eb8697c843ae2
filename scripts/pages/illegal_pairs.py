"""Which connections fit which nets: `python -m scripts.pages.illegal_pairs` writes docs/illegal_pairs.md."""

import sys
from pathlib import Path

import yaml

from skipln import skips
from skipln.models.resnet import ResNetShape, refusal
from skipln.seam.place import Place
from skipln.system.files import atomic_write
from skipln.system.places import CONFIGS, ROOT
from skipln.system.printing import exit_status

PAGE = ROOT / "docs" / "illegal_pairs.md"
HEAD = """# Pairs that are refused

Every connection works in the Transformer, and in every ResNet except for the pairs below, which are refused before
training with the reason as the message. `make pages` makes this page from the registry.

| connection | nets | reason |
| --- | --- | --- |
"""


def nets() -> dict[str, ResNetShape]:
    """The zoo's ResNets by name."""
    found = {}
    for path in sorted((CONFIGS / "model").glob("*.yaml")):
        shape = yaml.safe_load(path.read_text("utf-8"))
        if shape.get("kind") == "resnet":
            fields = {key: value for key, value in shape.items() if key in ResNetShape.__dataclass_fields__}
            found[path.stem] = ResNetShape(**fields)
    return found


def page() -> str:
    """The page as Markdown."""
    rows = []
    for name in skips.names():
        site = skips.create(name, 4, layout="nchw", place=Place())
        refused = {net: reason for net, shape in nets().items() if (reason := refusal(site, shape))}
        for reason in dict.fromkeys(refused.values()):
            where = ", ".join(f"`{net}`" for net, why in refused.items() if why == reason)
            rows.append(f"| `{name}` | {where} | {reason} |\n")
    return HEAD + "".join(rows)


def main(target: Path = PAGE) -> None:
    with atomic_write(target, "w") as file:
        file.write(page())


if __name__ == "__main__":
    sys.exit(exit_status(main))
