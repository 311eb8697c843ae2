"""A run's result: what the engine writes and the tables read, accepted or refused by one rule on both sides."""

import logging
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from skipln.runs.sums import KEYS, check_sum
from skipln.system.strict_json import read_json

log = logging.getLogger(__name__)

Count = Annotated[int, Field(ge=0, lt=2**53)]  # exact as a float, which pages and figures count in
Seconds = Annotated[float, Field(ge=0, lt=1e12)]
Ended = Literal["done", "diverged"]
Speed = Annotated[float, Field(ge=0, lt=1e15)]


class Checked(BaseModel):
    """Values of exactly their types, and finite."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class Data(Checked):
    """The data of a run: its name, the fingerprint of its content, the number of test examples."""

    name: str
    fingerprint: str
    test_examples: Count


class Candidate(Checked):
    """A run that a search compared: its validation loss, None where it diverged, and the settings it differs in."""

    hash: str
    state: Literal["done", "diverged"]
    valid_loss: float | None
    settings: dict[str, float | int | str | bool | list[float] | list[int]]


class Result(Checked):
    """result.json: what a finished run gave. Keys beyond these are kept. Speeds are per second of training.

    seconds_per_update: without validations. kept_bytes: what a micro-batch keeps for its backward pass; peak_bytes: the
    most that was allocated on the GPU. chosen: the hash of the run that is tested, of those `compared` the best on the
    validation set; "" and none where nothing was searched.
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
        """What was given, as result.json holds it, without the sums that are made when it is written."""
        return self.model_dump(exclude_unset=True, exclude=set(KEYS))


def read_result(folder: Path, moved: bool = False) -> Result | None:
    """The result of the finished run in `folder`, whose name is its hash unless it was `moved`.

    None without one, or, with a line in the log, when result.json is damaged or another run's: then the run is not
    finished, for the engine as for a table, and the engine makes its result again from its last checkpoint.
    """
    path = folder / "result.json"
    try:
        content = read_json(path)
        check_sum(content)
        result = Result.model_validate(content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("%s: damaged (%s); the run counts as missing, start it again to make it", path, reason(error))
        return None
    if result.hash != folder.name and not moved:
        log.warning("%s: the result of another run, %s; this one counts as missing", path, result.hash)
        return None
    return result


def reason(error: Exception) -> str:
    """Why a file was refused, in a few words."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'its content'}: {first['msg'].lower()}"
    return getattr(error, "strerror", None) or str(error)
