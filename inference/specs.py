"""What the sections `models:` and `devices:` may say, and the models that are there though nothing declares them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from inference.chat.folder import POCKET
from inference.devices import DeviceName, DevicesSection
from inference.folders import BUILT_IN, Task
from inference.hub.known import KNOWN
from pipeline.errors import ConfigError


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

    task: Task | None = Field(default=None, description="What it does; recognised from its files by default.")
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

    @model_validator(mode="after")
    def _one_guesser(self) -> ModelSpec:
        if self.draft is not None and self.prompt_lookup:
            raise ValueError("found draft and prompt_lookup, expected one of them")
        return self


ModelsSection = dict[str, ModelSpec]
_MODELS: Final = TypeAdapter(ModelsSection)
_DEVICES: Final = TypeAdapter(DevicesSection)

DEFAULT_EMBEDDING: Final = "all-MiniLM-L6-v2"
DEFAULTS: Final[Mapping[str, ModelSpec]] = {
    DEFAULT_EMBEDDING: ModelSpec.model_validate(
        {
            "task": "embedding",
            "from": f"{BUILT_IN}minilm",
            "aliases": ["sentence-transformers/all-MiniLM-L6-v2"],
        }
    ),
    POCKET: ModelSpec.model_validate({"task": "chat", "from": f"{BUILT_IN}{POCKET}"}),
}


def read_sections(sections: Mapping[str, Any]) -> tuple[ModelsSection, DevicesSection]:
    """Check the `models:` and `devices:` sections of a configuration. ConfigError lists every problem."""
    problems = section_problems(sections)
    if problems:
        raise ConfigError([f"{'.'.join(map(str, path))}: {text}" for path, text in problems])
    models: ModelsSection = _MODELS.validate_python(sections.get("models") or {})
    devices: DevicesSection = _DEVICES.validate_python(sections.get("devices") or {})
    return models, devices


def section_problems(sections: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
    """Return (path of keys, what was found and expected) for everything wrong in `models:` and `devices:`."""
    problems: list[tuple[tuple[str | int, ...], str]] = []
    for key, kind in (("models", _MODELS), ("devices", _DEVICES)):
        try:
            kind.validate_python(sections.get(key) or {})
        except ValidationError as error:
            problems += [
                ((key, *found["loc"]), f"found {found['input']!r}, {found['msg']}") for found in error.errors()
            ]
    declared = sections.get("models")
    return problems + (_wrong_fallbacks(declared) if isinstance(declared, Mapping) else [])


def _wrong_fallbacks(declared: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
    fallbacks = {name: spec.get("fallback") for name, spec in declared.items() if isinstance(spec, Mapping)}
    names = {*declared, *DEFAULTS, *(model.name for model in KNOWN if not model.lacks)}
    return [
        (("models", name, "fallback"), f"found {found!r}, expected one of {', '.join(sorted(names - {name}))}")
        for name, found in fallbacks.items()
        if isinstance(found, str) and found not in names - {name}
    ]
