"""Overrides that a manifest, or somebody else's record, may give a run."""

import re
from typing import Annotated

from pydantic import AfterValidator

USERS_OWN = ("launcher", "tracker", "hydra")  # groups that no manifest chooses


def checked_override(text: str) -> str:
    """`text` if it is an override. Raises ValueError if it is none, if only the table may set its key, or if it is not
    `harmless`."""
    key, equals, _ = text.partition("=")
    if not (key and equals):
        raise ValueError("an override is KEY=VALUE")
    if key in ("seed", "scale"):
        raise ValueError(f"only the table sets a run's {key}")
    return harmless(text)


def harmless(text: str) -> str:
    """`text`, an override that somebody else may have written.

    Raises ValueError if it would put something of this machine, such as a password, into a record, if it could bring
    shell commands (`launcher.setup`) or an option such as `--config-dir`, or if it chooses where results are sent.
    """
    if text.startswith("-"):
        raise ValueError("it is an option of the command line, not KEY=VALUE")
    if "${" in text:
        raise ValueError("it is not resolved: write out what ${…} stands for")
    if (group := re.split(r"[.@=/]", text.lstrip("+~"))[0]) in USERS_OWN:
        raise ValueError(f"only the user chooses a {group}: leave it out")
    return text


Override = Annotated[str, AfterValidator(checked_override)]
