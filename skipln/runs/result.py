"""A run's result, which the engine writes and the tables read; both accept or refuse it by the same rule."""

import logging
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from skipln.runs.sums import KEYS, check_sum
from skipln.system.strict_json import read_json

log = logging.getLogger(__name__)

Count = Annotated[int, Field(ge=0, lt=2**53)]  # exact as a float, in which pages and figures count
Seconds = Annotated[float, Field(ge=0, lt=1e12)]
Ended = Literal["done", "diverged"]
Speed = Annotated[float, Field(ge=0, lt=1e15)]


class Checked(BaseModel):
    """A model whose values have exactly their types and are finite."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class Data(Checked):
    """A run's data: its name, the fingerprint of its content, and the number of test examples."""

    name: str
    fingerprint: str
    test_examples: Count


class Candidate(Checked):
    """A run that a search compared: its validation loss (None if it diverged) and the settings in which runs differ."""

    hash: str
    state: Literal["done", "diverged"]
    valid_loss: float | None
    settings: dict[str, float | int | str | bool | list[float] | list[int]]


class Result(Checked):
    """result.json: the result of a finished run. Further keys are kept. Speeds are per second of training.

    seconds_per_update: without validation. kept_bytes: what a micro-batch keeps for its backward pass. peak_bytes: the
    most that was allocated on the GPU. chosen: the hash of the tested run, the best on the validation set of those
    `compared`; without a search "" and none.
    """

    model_config = ConfigDict(extra="allow")

    hash: str
    state: Ended
    update: Count
    metrics: dict[str, float]
    signatures: dict[str, str] = {}
    parameters: Count | None = None
    tokens_per_second: Speed | None = None
    images_per_second: Speed | None = None
    train_seconds: Seconds = 0.0
    test_seconds: Seconds = 0.0
    seconds_per_update: Seconds | None = None
    kept_bytes: Count | None = None
    peak_bytes: Count | None = None
    chosen: str = ""
    compared: list[Candidate] = []
    data: Data
    environment: dict[str, Any]
    message: str = ""

    def content(self) -> dict[str, Any]:
        """Return the given values, as in result.json but without the checksums that are added on writing."""
        return self.model_dump(exclude_unset=True, exclude=set(KEYS))


def read_result(folder: Path, moved: bool = False) -> Result | None:
    """Return the result of the finished run in `folder`, whose name is its hash unless it was `moved`.

    Return None if there is none, or, with a line in the log, if result.json is damaged or another run's. Both the
    engine and the tables then take the run as unfinished, and the engine makes the result again from its last
    checkpoint.
    """
    path = folder / "result.json"
    try:
        content = read_json(path)
        check_sum(content)
        result = Result.model_validate(content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("%s: damaged (%s); the run counts as missing, start it again to finish it", path, reason(error))
        return None
    if result.hash != folder.name and not moved:
        log.warning("%s: the result of another run, %s; this one counts as missing", path, result.hash)
        return None
    return result


def reason(error: Exception) -> str:
    """Say in a few words why a file was refused."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'its content'}: {first['msg'].lower()}"
    return getattr(error, "strerror", None) or str(error)
