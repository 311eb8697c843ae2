"""The configuration of one run: composed by Hydra and checked against `skipln.configuration.schema`. No torch."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError as PydanticError

from skipln.configuration.agreement import check_together
from skipln.configuration.schema import ClassFolders, ParallelText, Photographs, RunConfig
from skipln.data.present import require_class_folders, require_photographs
from skipln.data.text.parallel import ParallelFiles
from skipln.errors import UserError
from skipln.runs.weights import weights_file
from skipln.seam.options import check_options
from skipln.seam.renamed import OPTIONS, now
from skipln.system.files import sha256
from skipln.system.places import CONFIGS

# The kinds of data and model that fit a task.
KINDS = {
    "translation": {"data": ("catalogs", "parallel_text"), "model": ("transformer",)},
    "classification": {"data": ("digits", "published_images", "class_folders", "photographs"), "model": ("resnet",)},
    "transfer_attack": {"data": ("digits", "published_images", "class_folders"), "model": ("resnet",)},
}
WHAT = {"skip": "connection", "norm": "norm", "attention": "attention"}  # what a group's choice is called


def compose(overrides: list[str]) -> RunConfig:
    """The checked configuration for Hydra `overrides`, such as ["skip=rskip_ln", "skip.lam=2"].

    Raises UserError, whose one line lists the choices, for an unknown choice or key, a wrong type, or a value out of
    range.
    """
    try:
        return check(_compose(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_one_line(error, overrides)) from error


def _compose(overrides: list[str]) -> DictConfig:
    for text in overrides:
        check_choice(text)
    GlobalHydra.instance().clear()
    with _schemas_of_others_hidden(), initialize_config_dir(str(CONFIGS), version_base="1.3"):
        try:
            return hydra_compose("config", [_with_words(text) for text in overrides])
        except (ValueError, TypeError) as error:  # of keys such as "skip@" that Hydra takes for groups
            raise UserError(f"{' '.join(overrides)}: {error}") from error


def check_choice(override: str) -> None:
    """Raise UserError for a group's choice that is not a name, such as skip=2, to which Hydra has no answer."""
    key, _, value = override.partition("=")
    group = key.lstrip("+")
    if group not in _groups() or value in _groups()[group]:
        return
    found = OverridesParser.create().parse_override(override).value()
    values = found.list if isinstance(found, ChoiceSweep) else [found]  # a sweep has several
    if any(isinstance(one, dict | list | float | int | None) for one in values):
        raise UserError(f"{key}={value}: choose one of {', '.join(_groups()[group])}")


@cache
def _groups() -> dict[str, list[str]]:
    """The choices of every group, by its name."""
    folders = (path for path in sorted(CONFIGS.iterdir()) if path.is_dir() and path.name != "hydra")
    return {folder.name: sorted(path.stem for path in folder.glob("*.yaml")) for folder in folders}


def _with_words(override: str) -> str:
    """Quote hashes of runs: Hydra reads one without letters, or whose only letter is an e, as a number."""
    if not override.startswith("inputs="):
        return override
    return re.sub(r"(?<![\w'\"])[0-9a-f]{12}(?![\w'\"])", r"'\g<0>'", override)


@contextmanager
def _schemas_of_others_hidden() -> Iterator[None]:
    """Hide `config` and `task`, which fairseq adds to Hydra's global store and Hydra would take for our schemas."""
    store = ConfigStore.instance()
    whole = store.repo
    ours = {path.name for path in CONFIGS.iterdir()} - {"hydra"}
    store.repo = {name: node for name, node in whole.items() if name not in ours}
    try:
        yield
    finally:
        store.repo = whole


def check(composed: DictConfig) -> RunConfig:
    """Resolve a composed configuration and check it against the schema. Raises UserError as `compose` does."""
    try:
        content: Any = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UserError(_one_line(error, [])) from error
    for group in WHAT:
        if group not in content:
            raise UserError(f"{group} is missing: every run has one; choose one of {', '.join(_groups()[group])}")
        content[group] = _check_options(group, content[group])
    _check_kinds(content)
    _name_weights(content)
    try:
        config = RunConfig.model_validate(content)
    except PydanticError as error:
        raise UserError(one_line_of(error)) from error
    check_together(config)
    return config


def with_values(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """Return `config` with other values, by dotted key, as Hydra would, in a hundredth of its time.

    Raises UserError for an unknown key, and as `compose` does for a value.
    """
    content = config.model_dump()
    for dotted, value in values.items():
        *parents, key = dotted.split(".")
        node = content
        for parent in parents:
            node = node[parent]
        if key not in node:
            raise UserError(f"{'.'.join(parents)} has no key '{key}': its keys are {', '.join(node)}")
        node[key] = value
    try:
        changed = RunConfig.model_validate(content)
    except PydanticError as error:
        raise UserError(one_line_of(error)) from error
    check_together(changed)
    return changed


def require_data(config: RunConfig) -> None:
    """Raise UserError if the folder or files of `config.data` are missing, as their readers would later."""
    data = config.data
    if isinstance(data, ParallelText):
        files = ParallelFiles(Path(data.dir), data.source, data.target, data.train, data.valid, data.test)
        files.check_present()
    elif isinstance(data, ClassFolders):
        require_class_folders(Path(data.dir))
    elif isinstance(data, Photographs):
        require_photographs(Path(data.dir))


def _check_options(group: str, node: dict[str, Any]) -> dict[str, Any]:
    """Check a node of `skip`, `norm` or `attention` against the YAML of its name, which lists its options."""
    name = node.get("name")
    choices = sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))
    if name not in choices:
        raise UserError(f"{group}.name={name}{now(WHAT[group], str(name))}: choose one of {', '.join(choices)}")
    defaults = {key: value for key, value in _yaml(CONFIGS / group / f"{name}.yaml").items() if key != "name"}
    given = {key: value for key, value in node.items() if key != "name"}
    try:
        return {"name": name, **check_options(name, given, defaults)}
    except ValueError as error:
        raise UserError(f"{group}: {error}") from error


@cache
def _yaml(path: Path) -> dict[str, Any]:
    return OmegaConf.to_container(OmegaConf.load(path))  # type: ignore[return-value]


def _name_weights(content: dict[str, Any]) -> None:
    """Put the SHA-256 of the weights of `init_from` into `init_weights`. Raises UserError if another one was given."""
    source, given = content.get("init_from"), content.get("init_weights")
    if not isinstance(source, str) or (given and not Path(source).exists()):  # a run that has begun needs no file
        return
    digest = sha256(weights_file(Path(source)))
    if given not in (None, digest):
        raise UserError(f"init_from={source}: its SHA-256 is {digest}, not init_weights={given}")
    content["init_weights"] = digest


def _check_kinds(content: dict[str, Any]) -> None:
    """Check data and model against the task before the schema complains of a recipe's keys for another kind."""
    task = content.get("task", {}).get("name")
    for group, kinds in KINDS.get(task, {}).items():
        if (kind := content.get(group, {}).get("kind")) not in kinds:
            choices = sorted(p.stem for p in (CONFIGS / group).glob("*.yaml") if _kind(group, p.stem) in kinds)
            name = content[group].get("name")
            given = name if (CONFIGS / group / f"{name}.yaml").is_file() else kind
            raise UserError(f"{group}: {given} is not for task={task}: choose one of {', '.join(choices)}")


def _kind(group: str, name: str) -> str:
    """The kind in the file of a choice, or in the choice that it builds on."""
    content = _yaml(CONFIGS / group / f"{name}.yaml")
    return content["kind"] if "kind" in content else _kind(group, content["defaults"][0])


def _one_line(error: Exception, overrides: list[str]) -> str:
    """Turn a Hydra error into one line that lists the choices."""
    text = str(error)
    if missing := re.search(
        r"Could not find '([^']+)'\s+Available options in '([^']+)':((?:\s+\S+)+?)\s+Config search", text
    ):
        path, group, choices = missing.groups()
        name = path.removeprefix(group + "/")
        if group == "recipe" and not any(override.startswith("recipe=") for override in overrides):
            task, _, scale = name.rpartition("_")
            return f"task={task} has no recipe: give the attacked run's, such as recipe=classification_{scale}"
        return f"{group}={name}{now(WHAT.get(group, ''), name)}: choose one of {', '.join(choices.split())}"
    if unknown := re.search(r"Could not override '([^']+)'", text):
        *parents, key = unknown[1].split(".")
        groups = [o for o in overrides if o.partition("=")[0] in _groups()]
        node: Any = OmegaConf.select(_compose(groups), ".".join(parents)) if parents else _compose(groups)
        where = ".".join(parents) or "the configuration"
        if isinstance(node, DictConfig) and (said := OPTIONS.get((str(node.get("name")), key))):
            return f"{where}={node.name} has no key '{key}': {said}"
        choices = ", ".join(map(str, node)) if isinstance(node, DictConfig) else "none"
        return f"{where} has no key '{key}': its keys are {choices}"
    if missing := re.search(r"Missing mandatory value: \S+\s+full_key: (\S+)", text):
        return f"{missing[1]} has no default: give it as {missing[1]}=…"
    return " ".join(
        line.strip() for line in text.splitlines() if "full_key:" not in line and "object_type=" not in line
    )


def one_line_of(error: PydanticError) -> str:
    """Turn the first of pydantic's complaints into key=value: reason."""
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    if len(where) > 2:  # node, the class that its discriminator chose, key
        del where[1]
    if first["type"] == "missing":
        return f"{'.'.join(where)} is missing"
    if first["type"] in ("model_type", "model_attributes_type"):
        return f"{where[0]}={first['input']}: it is a group of keys; give them as {where[0]}.KEY=VALUE"
    if first["type"] == "extra_forbidden":
        return f"{'.'.join(where)} is not a key of the configuration"
    message = first["msg"].removeprefix("Value error, ")
    return f"{'.'.join(where)}={first['input']!r}: {message[0].lower()}{message[1:]}"
