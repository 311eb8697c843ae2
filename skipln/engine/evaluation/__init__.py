"""Evaluations of finished runs, which train nothing."""

from collections.abc import Sequence
from typing import Any

from lightning_fabric import Fabric

from skipln.configuration.schema import RunConfig, TransferAttack
from skipln.engine.evaluation.inputs import Input, best, compared, read_attacked, read_inputs
from skipln.engine.recording import begin, record
from skipln.runs.folder import RunFolder, State
from skipln.tasks import Task, create_task
from skipln.tasks.transfer_attack import Pair, TransferAttackTask

# What a result says about the training; a search repeats it for the run that it chose.
TRAINED = ("tokens_per_second", "images_per_second", "train_seconds", "seconds_per_update", "kept_bytes", "peak_bytes")


def evaluate(config: RunConfig, fabric: Fabric, folder: RunFolder) -> State:
    """Evaluate the inputs of `config`, which are finished runs, as its task says, and record the result."""
    if isinstance(config.task, TransferAttack):
        return _attack(config, fabric, folder)
    return _test_the_best(config, fabric, folder)


def _test_the_best(config: RunConfig, fabric: Fabric, folder: RunFolder) -> State:
    """Test the input of `config`, a finished run, as its task now says. If it diverged, so has the evaluation.

    Several inputs are a search: the one of the lowest validation loss is tested, and the result repeats how that was
    trained.
    """
    inputs = read_inputs(config)
    source = best(inputs)
    if not fabric.is_global_zero:
        return source.state
    task, tested_there = create_task(config), source.with_its_test_set(config)
    source.check(task if tested_there is config else create_task(tested_there))
    if tested_there is not config:
        source.check_vocabulary(task)
    environment = _begin_all(config, fabric, folder, task, [source])
    model = task.build().to(fabric.device)
    message = f"evaluates {source.name}"
    if source.state == "done":
        source.load(model)
    else:
        message += f", which diverged: {source.message}"
    searched: dict[str, Any] = {}
    if len(inputs) > 1:
        message += f", of {len(inputs)} the best on the validation set"
        searched = {key: value for key in TRAINED if (value := getattr(source.result, key)) is not None}
        searched |= {"chosen": source.name, "compared": compared(inputs)}
    return record(config, fabric, folder, task, model, source.update, source.state, message, environment, searched)


def _attack(config: RunConfig, fabric: Fabric, folder: RunFolder) -> State:
    """Attack one input of `config` and test the other on the result. If one of them diverged, so has the attack."""
    pair = read_attacked(config)
    lost = [one for one in pair if one.state != "done"]
    state = lost[0].state if lost else "done"
    if not fabric.is_global_zero:
        return state
    task = TransferAttackTask(config)
    nets = [task.net_of(one.config).to(fabric.device) for one in pair]
    for one, net in zip(pair, nets, strict=True):
        one.check(task)
        if not lost:
            one.load(net)
    environment = _begin_all(config, fabric, folder, task, pair)
    message = f"attacks {pair[0].name}, shown to {pair[1].name}"
    if lost:
        message += f"; {lost[0].name} diverged: {lost[0].message}"
    size = {"parameters": sum(parameter.numel() for parameter in nets[0].parameters())}
    return record(config, fabric, folder, task, Pair(*nets), pair[0].update, state, message, environment, size)


def _begin_all(
    config: RunConfig, fabric: Fabric, folder: RunFolder, task: Task, inputs: Sequence[Input]
) -> dict[str, Any]:
    """Call `begin`. The environment also lists those in which the inputs were trained, if they differ from it."""
    environment = begin(config, fabric, folder, task, inputs[0].update)
    theirs = [one.result.environment for one in inputs]
    earlier = _others([made for one in theirs for made in (*one.get("earlier", []), one)], environment)
    return {**environment, "earlier": earlier} if earlier else environment


def _others(environments: list[dict[str, Any]], now: dict[str, Any]) -> list[dict[str, Any]]:
    """Return, each once, the environments that differ from `now` in more than the time."""
    passing = ("time", "earlier")
    plain = [{key: value for key, value in one.items() if key not in passing} for one in (*environments, now)]
    return [one for i, one in enumerate(plain[:-1]) if one != plain[-1] and one not in plain[:i]]
