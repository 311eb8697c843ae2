"""What every node of the configuration is made of."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

LARGEST = 2**63 - 1  # what 64 bits hold; torch and numpy refuse larger numbers, each in its own words

Rate = Annotated[float, Field(ge=0, lt=1)]


class Node(BaseModel):
    """A node of the configuration, with exactly its keys, each of its type. The string below a key is its meaning."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @field_validator("*")
    @classmethod
    def _not_larger(cls, value: Any) -> Any:
        numbers = value if isinstance(value, list) else [value]
        if any(type(number) is int and abs(number) > LARGEST for number in numbers):
            raise ValueError(f"an integer is at most {LARGEST:,}")
        return value
