"""A run's hash: what it covers, what it does not, and that later keys rename no run."""

import subprocess
from pathlib import Path
from typing import get_args

import pytest
import yaml

from skipln.configuration import schema
from skipln.configuration.composition import compose
from skipln.runs.identity import NEUTRAL, NOT_HASHED, OPTIONS, identity, neutral

ROOT = Path(__file__).resolve().parents[2]
CHOICES = [path for group in OPTIONS for path in sorted((ROOT / "configs" / group).glob("*.yaml"))]


def git(*arguments: str) -> str:
    found = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode or (ROOT / ".git" / "shallow").exists():
        pytest.skip("the full git history is not here")
    return found.stdout


def keys(node: type[schema.Node], above: str) -> dict[str, object]:
    """Map the dotted keys of a node that have a default in the schema to that default."""
    found: dict[str, object] = {}
    for name, field in node.model_fields.items():
        kinds = [kind for kind in (field.annotation, *nested(field.annotation)) if isinstance(kind, type)]
        for kind in kinds:
            if issubclass(kind, schema.Node):
                found |= keys(kind, f"{above}{name}.")
        if not field.is_required():
            found[above + name] = field.default
    return found


def nested(annotation: object) -> list[object]:
    return [inner for argument in get_args(annotation) for inner in (argument, *nested(argument))]


def test_a_later_key_has_a_neutral_value():
    """Such a key has a default in the schema. Without a neutral value it would rename all earlier runs."""
    hashed = {key for key in keys(schema.RunConfig, "") if key.partition(".")[0] not in NOT_HASHED}
    assert hashed >= {"engine", "task.start", "training.wall_limit"}  # `keys` finds these
    assert hashed <= set(neutral()), f"append these to {NEUTRAL.name}: {sorted(hashed - set(neutral()))}"


@pytest.mark.parametrize("path", CHOICES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_later_option_has_a_neutral_value(path):
    name = str(path.relative_to(ROOT))
    first = git("log", "--diff-filter=A", "--format=%H", "--", name).split()
    born = yaml.safe_load(git("show", f"{first[-1]}:{name}")) if first else yaml.safe_load(path.read_text())
    for option in set(yaml.safe_load(path.read_text())) - set(born):
        dotted = f"{path.parent.name}.{path.stem}.{option}"
        assert dotted in neutral(), f"append to {NEUTRAL.name} the value of {dotted} at which nothing changes"


def test_neutral_values_are_only_ever_appended():
    name = str(NEUTRAL.relative_to(ROOT))
    gone = [line for line in git("log", "-p", "--format=", "--", name).splitlines() if line.startswith("-")]
    gone += [line for line in git("diff", "HEAD", "--", name).splitlines() if line.startswith("-")]
    assert not [line for line in gone if not line.startswith(("---", "-#"))]


def test_a_new_option_renames_no_run_and_a_changed_default_does():
    before = compose(["skip=rskip_ln"]).model_dump()
    name = identity(before)
    grown = before | {"skip": before["skip"] | {"gate": 1.0}}
    values = neutral() | {"skip.rskip_ln.gate": 1.0}
    assert identity(grown) != name  # without a neutral value the option renames the run
    assert identity(grown, values) == name
    assert identity(grown | {"skip": before["skip"] | {"gate": 0.5}}, values) != name
    other = grown | {"skip": grown["skip"] | {"name": "xskip_ln"}}
    assert identity(other, values) == identity(other)  # the value does not apply to another connection's option


def test_a_later_node_renames_no_run():
    before = compose([]).model_dump()
    values = neutral() | {"head.norm": "none", "inputs": []}
    grown = before | {"head": {"norm": "none"}, "inputs": []}
    assert identity(grown, values) == identity(before)
    assert identity(grown | {"inputs": ["0123456789ab"]}, values) != identity(before)


def test_a_changed_default_is_another_run(monkeypatch):
    """The neutral value stays `paper`, so `fairseq` is part of the hash, whether it is the default or given."""
    paper = compose(["model=transformer_small"]).hash
    fairseq = compose(["model=transformer_small", "model.positions=fairseq"]).hash
    monkeypatch.setattr(schema.TransformerModel.model_fields["positions"], "default", "fairseq")
    schema.TransformerModel.model_rebuild(force=True)
    schema.RunConfig.model_rebuild(force=True)
    try:
        assert compose(["model=transformer_small", "~model.positions"]).hash == fairseq != paper
    finally:
        monkeypatch.undo()
        schema.TransformerModel.model_rebuild(force=True)
        schema.RunConfig.model_rebuild(force=True)


@pytest.mark.parametrize(
    "override", ["compute.threads=3", "compute.compile=true", "paths.runs=x", "tracker=wandb", "launcher=slurm"]
)
def test_the_hash_does_not_cover_where_and_how_a_run_is_executed(override):
    assert compose([override]).hash == compose([]).hash
