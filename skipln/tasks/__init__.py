"""Tasks, which define the batches, the loss and the metrics of a run."""

from skipln.configuration.schema import RunConfig
from skipln.tasks.task import Loss, Task, TestResult

__all__ = ["Loss", "Task", "TestResult", "create_task"]


def create_task(config: RunConfig) -> Task:
    """Create the task that `config` describes and prepare its data. Raises UserError if data is missing or damaged."""
    if config.task.name == "classification":
        from skipln.tasks.classification import ClassificationTask

        return ClassificationTask(config)
    if config.task.name == "transfer_attack":
        from skipln.tasks.transfer_attack import TransferAttackTask

        return TransferAttackTask(config)
    from skipln.tasks.translation import TranslationTask

    return TranslationTask(config)
