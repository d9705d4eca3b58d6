"""What an entry of `models:` may say."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from fastembed.inference.library.device_traits import DeviceName
from fastembed.inference.library.tasks import Ability, TaskName
from fastembed.pipeline.units import Duration


def _as_tuple(value: object) -> object:
    """Take one name for a list of one. A tuple, since configuration is checked strictly: a list is none there."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _as_strengths(value: object) -> object:
    """Take one adapter, or a list of them, for a map to their full strength."""
    names = _as_tuple(value)
    return dict.fromkeys(names, 1.0) if isinstance(names, tuple) else value


class ModelSpec(BaseModel):
    """One entry of `models:`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    task: TaskName | None = Field(default=None, description="What it does; recognised from its files by default.")
    origin: str = Field(alias="from", description="A folder (relative to this file), or a hub id that was pulled.")
    on: Annotated[tuple[DeviceName, ...], BeforeValidator(_as_tuple)] = Field(
        default=("cpu",), min_length=1, description="Devices, the preferred one first."
    )
    fallback: str | None = Field(default=None, description="The model to use instead when this one cannot serve.")
    aliases: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = Field(
        default=(), description="Other names that clients may use for it."
    )
    draft: str | None = Field(
        default=None, description="A smaller chat model of the same tokenizer, which guesses tokens ahead."
    )
    prompt_lookup: bool = Field(default=False, description="Guess tokens ahead from what the prompt says.")
    lora: Annotated[dict[str, float], BeforeValidator(_as_strengths)] = Field(
        default_factory=dict, description="LoRA adapters (folders or safetensors files), or a map of them to strengths."
    )
    good_at: Annotated[tuple[Ability, ...] | None, BeforeValidator(_as_tuple)] = Field(
        default=None, description="What it can do beyond its task; by default what its files and its name say."
    )
    prompts: dict[Literal["query", "document"], str] | None = Field(
        default=None, description="What an embedding model wants before a question and a text; by default by its files."
    )
    window: int | None = Field(default=None, ge=1, description="Tokens of its context, where its files do not say.")
    size: float | None = Field(default=None, gt=0, description="Billions of parameters; by default told by its files.")

    pin: bool = Field(default=False, description="Once loaded, it stays: it never makes room for another model.")
    keep_alive: Duration | None = Field(
        default=None, description="It is unloaded after so long without use; by default what its device says, or never."
    )

    @model_validator(mode="after")
    def _one_guesser(self) -> ModelSpec:
        if self.draft is not None and self.prompt_lookup:
            raise ValueError("found draft and prompt_lookup, expected one of them")
        return self


AUTO: Final = "auto"
"""The name that stands for the model that suits."""
