"""What the sections beside `pipelines:` may say, and the models that need no declaration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from fastembed.inference.library.capabilities import Ability
from fastembed.inference.library.devices import DeviceName, DevicesSection
from fastembed.inference.library.folders import BUILT_IN, Task
from fastembed.inference.library.hub.known import KNOWN
from fastembed.inference.library.warmup_policy import WarmupPolicy
from fastembed.inference.serving.resilience.breaker import BreakerPolicy
from fastembed.pipeline.errors import ConfigError
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
    good_at: Annotated[tuple[Ability, ...] | None, BeforeValidator(_as_tuple)] = Field(
        default=None, description="What it can do beyond its task; by default what its files and its name say."
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


ModelsSection = dict[str, ModelSpec]
AliasesSection = dict[str, str]
"""Names that clients insist on, to ours or to "auto"."""
SECTIONS: Final[Mapping[str, Any]] = {
    "models": ModelsSection,
    "devices": DevicesSection,
    "aliases": AliasesSection,
    "breaker": BreakerPolicy,
    "warmup": WarmupPolicy,
}
_ADAPTERS: Final[Mapping[str, TypeAdapter[Any]]] = {key: TypeAdapter(kind) for key, kind in SECTIONS.items()}
Problem = tuple[tuple[str | int, ...], str]
"""The keys that lead to it, and what was found and expected."""

AUTO: Final = "auto"
DEFAULT_EMBEDDING: Final = "all-MiniLM-L6-v2"
DEFAULT_SPEECH: Final = "whisper-base"
DEFAULTS: Final[Mapping[str, ModelSpec]] = {
    DEFAULT_EMBEDDING: ModelSpec.model_validate(
        {
            "task": "embedding",
            "from": f"{BUILT_IN}minilm",
            "aliases": ["sentence-transformers/all-MiniLM-L6-v2"],
        }
    ),
    **{
        name: ModelSpec.model_validate({"task": task, "from": f"{BUILT_IN}{name}"})
        for name, task in (
            ("chat-pocket", "chat"),
            ("vision-pocket", "chat"),
            ("code-pocket", "code"),
            ("rerank-pocket", "rerank"),
            ("docling-pocket", "document"),
            (DEFAULT_SPEECH, "transcription"),
            ("whisper-pocket", "transcription"),
        )
    },
}
"""Of two for the same task "auto" means the first."""

LAST: Final = tuple(name for name in DEFAULTS if name != DEFAULT_EMBEDDING)
"""What "auto" means only where there is nothing else: the Whisper that ships, and tiny models."""


def read_sections(sections: Mapping[str, Any]) -> tuple[ModelsSection, DevicesSection]:
    """Check the sections of a configuration. ConfigError lists every problem."""
    problems = section_problems(sections)
    if problems:
        raise ConfigError([f"{'.'.join(map(str, path))}: {text}" for path, text in problems])
    found = {key: kind.validate_python(sections.get(key) or {}) for key, kind in _ADAPTERS.items()}
    return found["models"], found["devices"]


def section_problems(sections: Mapping[str, Any]) -> list[Problem]:
    """Return everything wrong in the sections."""
    problems: list[Problem] = []
    for key, kind in _ADAPTERS.items():
        try:
            kind.validate_python(sections.get(key) or {})
        except ValidationError as error:
            problems += [
                ((key, *found["loc"]), f"found {found['input']!r}, {found['msg']}") for found in error.errors()
            ]
    return problems + wrong_names(sections)


def wrong_names(sections: Mapping[str, Any]) -> list[Problem]:
    """Return the fallbacks and aliases that name nothing, and the aliases that would hide a model."""
    declared, aliases = sections.get("models") or {}, sections.get("aliases") or {}
    if not isinstance(declared, Mapping) or not isinstance(aliases, Mapping):
        return []
    names = {*declared, *DEFAULTS, *(model.name for model in KNOWN)}
    problems: list[Problem] = []
    for name, spec in declared.items():
        found = spec.get("fallback") if isinstance(spec, dict) else getattr(spec, "fallback", None)
        if isinstance(found, str) and found not in names - {name}:
            problems.append((("models", name, "fallback"), _found(found, names - {name})))
    for alias, target in aliases.items():
        if alias in {*names, AUTO}:
            problems.append((("aliases", alias), f"found the alias {alias!r}, which is a model, expected another name"))
        elif isinstance(target, str) and target not in {*names, AUTO}:
            problems.append((("aliases", alias), _found(target, {*names, AUTO})))
    return problems


def _found(name: str, expected: Iterable[str]) -> str:
    return f"found {name!r}, expected one of {', '.join(sorted(expected))}"
