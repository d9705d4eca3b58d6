"""What the sections beside `pipelines:` may say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from fastembed.inference.library.device_traits import DEVICE_KINDS, traits_of
from fastembed.inference.library.devices import DevicesSection
from fastembed.inference.library.hub.known import KNOWN
from fastembed.inference.library.policies import BreakerPolicy, WarmupPolicy
from fastembed.inference.library.shipped import shipped
from fastembed.inference.library.specs import AUTO, ModelSpec
from fastembed.pipeline.errors import ConfigError

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
    """Return fallbacks and aliases that name nothing, aliases that would hide a model, properties that do harm."""
    declared, aliases = sections.get("models") or {}, sections.get("aliases") or {}
    if not isinstance(declared, Mapping) or not isinstance(aliases, Mapping):
        return []
    names = {*declared, *shipped(), *(model.name for model in KNOWN)}
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
    return problems + _refused(sections.get("devices") or {})


def _refused(devices: Any) -> list[Problem]:
    """Return the properties with which a device would answer wrongly."""
    problems: list[Problem] = []
    for name, limits in devices.items() if isinstance(devices, Mapping) else ():
        given = limits.get("properties") if isinstance(limits, dict) else getattr(limits, "properties", None)
        refused = traits_of(name).refused if isinstance(given, Mapping) and DEVICE_KINDS.has(str(name)) else {}
        for key, values in refused.items():
            if given is not None and str(given.get(key, "")).lower() in values:
                text = (
                    f"found {given[key]!r}, with which {traits_of(name).noun} answers wrongly, expected another value"
                )
                problems.append((("devices", name, "properties", key), text))
    return problems


def _found(name: str, expected: Iterable[str]) -> str:
    return f"found {name!r}, expected one of {', '.join(sorted(expected))}"
