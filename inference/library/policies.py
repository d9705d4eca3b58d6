"""What the sections `breaker:` and `warmup:` may say."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from fastembed.pipeline.units import Duration


class BreakerPolicy(BaseModel):
    """The section `breaker:`, the same for every model on every device."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    failures: int = Field(default=5, ge=1, description="So many failures, each success taking one back, open it.")
    window: Duration = Field(default=60.0, description="Failures that are older count no more.")
    recovery: Duration = Field(default=30.0, description="How long it stays open before one request may try.")


class WarmupPolicy(BaseModel):
    """The section `warmup:`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(default=True, description="Whether use is remembered by the hour, and models loaded ahead.")
    above: float = Field(default=0.7, gt=0, le=1, description="The probability of use above which a model is loaded.")
