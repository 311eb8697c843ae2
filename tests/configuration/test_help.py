"""--help and docs/configuration.md explain every key, with its default and its values."""

from pathlib import Path

from skipln.configuration.composition import compose
from skipln.configuration.help import _nodes, page, sections, text
from skipln.configuration.schema import RunConfig
from skipln.system.places import CONFIGS

ROOT = Path(__file__).resolve().parents[2]
KEYS = [(section, key) for section in sections() for key in section.keys]


def test_every_key_has_a_meaning() -> None:
    said = {key.name for _, key in KEYS}
    wanted = {
        f"{group}.{name}"
        for group, field in RunConfig.model_fields.items()
        for node in _nodes(field.annotation)
        for name in node.model_fields
        if name not in ("kind", "name")
    }
    assert wanted <= said
    assert {"seed", "engine", "skip.lam", "skip.share_norm", "norm.eps", "data.name"} <= said
    assert all(key.meaning and key.values for _, key in KEYS)


def test_options_of_all_choices_are_listed() -> None:
    """Each choice of these groups is in a heading, not only the defaults."""
    titled = {choice for section, _ in KEYS for choice in section.choices}
    for group in ("data", "model", "optim", "schedule", "task"):
        assert {path.stem for path in (CONFIGS / group).glob("*.yaml")} <= titled
    printed = text()
    assert "optim.momentum=0.9" in printed
    assert "[gnmt | power]" in printed


def test_listed_defaults_are_those_of_a_run() -> None:
    config = compose([]).model_dump()
    shown = {key.name: key.default for section, key in KEYS if not section.title.endswith("images")}
    assert shown["training.updates"] == str(config["training"]["updates"])
    assert shown["compute.workers"] == config["compute"]["workers"]
    assert shown["seed"] == "1"


def test_the_page_is_up_to_date() -> None:
    """After an intended change, run `make pages`."""
    assert (ROOT / "docs" / "configuration.md").read_text("utf-8") == page()
