"""What every section of the settings is: strict about its keys, never changed after start."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Bytes = Annotated[int, Field(gt=0)]


class Section(BaseModel):
    """A section of the settings: strict about its keys, never changed after start."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
