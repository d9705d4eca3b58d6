"""What the section `warmup:` may say."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class WarmupPolicy(BaseModel):
    """The section `warmup:`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(default=True, description="Whether use is remembered by the hour, and models loaded ahead.")
    above: float = Field(default=0.7, gt=0, le=1, description="The probability of use above which a model is loaded.")
