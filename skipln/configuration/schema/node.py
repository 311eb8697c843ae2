"""What every node of the configuration is made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Rate = Annotated[float, Field(ge=0, lt=1)]


class Node(BaseModel):
    """A node of the configuration, with exactly its keys, each of its type. The string below a key is its meaning."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
