"""Applies `FastEmbedServer(models=..., hardware=...)` to a configuration as if its file had these settings.

    models={"text": "gemma-3n-4b", "documents": "granite-docling-258m", "embeddings": "bge-small-en-v1.5"}
    hardware={"npu_memory_limit": "12GB", "fallback_to_cpu": True, "max_concurrent_requests": 10}

A named model is declared before those of the file, so that "auto" means it where its files are; where they are not,
what `fastembed serve` would use answers. Models are quantised when they are pulled or exported, never while a server
runs: `enable_model_quantization` is understood, and changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from fastembed.definitions import map_steps, with_resolved_models
from fastembed.inference.library.device_traits import DEVICE_KINDS, DeviceName
from fastembed.inference.library.devices import DeviceLimits
from fastembed.inference.library.folders import locate
from fastembed.inference.library.hub.known import KNOWN, command_for, find_known
from fastembed.inference.library.shipped import shipped
from fastembed.inference.library.specs import AUTO, ModelSpec
from fastembed.inference.library.tasks import TASKS, Task
from fastembed.pipeline.config.definition import definition_hash
from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.names import did_you_mean
from fastembed.pipeline.plan import Configuration, PipelinePlan, StepPlan
from fastembed.pipeline.units import parse_size

log: Final = logging.getLogger("fastembed.server")

_FLAGS: Final = ("enable_model_quantization", "fallback_to_cpu")
_MOST: Final = "max_concurrent_requests"


@dataclass(frozen=True, slots=True)
class Tuning:
    """models: roles to models. memory: bytes a device. most: chats answered at once, the others wait; None: as said."""

    models: Mapping[str, str]
    memory: Mapping[DeviceName, int]
    on: tuple[DeviceName, ...] = field(default_factory=DEVICE_KINDS.families)
    most: int | None = None

    @classmethod
    def of(cls, models: Mapping[str, Any], hardware: Mapping[str, Any]) -> Tuning:
        """Check the two parameters. ConfigError lists everything that is wrong with them."""
        problems = [*_wrong_models(models), *_wrong_hardware(hardware)]
        if problems:
            raise ConfigError(problems)
        host = hardware.get("fallback_to_cpu", True)
        on = tuple(kind.family for kind in DEVICE_KINDS.all if host or not kind.host)
        memory = {device: parse_size(hardware[key]) for key, device in _memory_keys().items() if key in hardware}
        return cls(dict(models), memory, on, hardware.get(_MOST))

    def over(self, configuration: Configuration) -> Configuration:
        """Return the configuration with this laid over it."""
        if not (self.models or self.memory or self.most):
            return configuration
        sections = dict(configuration.sections)
        declared = sections.get("models") or {}
        named = {name: declared.get(name) or _spec(name, self.on) for name in self.models.values()}
        sections["models"] = {**named, **declared}
        devices = dict(sections.get("devices") or {})
        for device, limit in self.memory.items():
            devices[device] = devices.get(device, DeviceLimits()).model_copy(update={"memory": limit})
        sections["devices"] = devices
        base = configuration.path.parent if configuration.path else Path()
        missing = _missing(self.models, sections["models"], base.absolute())
        reader = self.models.get("documents") if "documents" not in missing else None
        pipelines = {name: self._tuned(plan, reader) for name, plan in configuration.pipelines.items()}
        return with_resolved_models(replace(configuration, sections=sections, pipelines=pipelines))

    def _tuned(self, plan: PipelinePlan, reader: str | None) -> PipelinePlan:
        def tuned(step: StepPlan) -> StepPlan:
            if step.component.name == "generate" and self.most is not None:
                return replace(step, workers=self.most)
            if step.component.name == "parse" and reader is not None and step.options["model"] == AUTO:
                return replace(step, options={**step.options, "model": reader})
            return step

        changed = replace(plan, steps=map_steps(plan.steps, tuned))
        return replace(changed, definition=definition_hash(changed))


def _missing(models: Mapping[str, str], declared: Mapping[str, ModelSpec], base: Path) -> set[str]:
    """Return the roles whose models' files are not here, after a warning that says what answers until they are."""
    missing = set()
    for role, name in models.items():
        origin = declared[name].origin
        known = find_known(origin)
        if name in shipped() or locate(origin, base) or (known and locate(known.origin, base)):
            continue
        missing.add(role)
        until = "documents are read by rules" if role == "documents" else f"other models answer for {role!r}"
        log.warning("%s until %s is here: %s%s", until, name, command_for(name, origin), _near(name, declared))
    return missing


def _near(name: str, declared: Mapping[str, ModelSpec]) -> str:
    """Return the known name that a misspelt one may mean; nothing for a known one or a repository's id."""
    if "/" in name or find_known(name):
        return ""
    return did_you_mean(name, {*(one.name for one in KNOWN), *shipped(), *declared} - {name})


def _spec(name: str, on: tuple[DeviceName, ...]) -> ModelSpec:
    """Return what `models:` would say of a model."""
    if name in shipped():
        return shipped()[name]
    known = find_known(name)
    found: dict[str, Any] = {"from": name, "on": on}
    if known is not None:
        found |= {"task": known.task, "fallback": known.fallback}
    return ModelSpec.model_validate(found)


def _memory_keys() -> dict[str, DeviceName]:
    """Return the families of devices by the keys that limit their memory."""
    return {f"{family}_memory_limit": family for family in DEVICE_KINDS.families()}


def _roles() -> dict[str, list[Task]]:
    """Return the tasks that a model of each role may have."""
    roles: dict[str, list[Task]] = {}
    for kind in TASKS.all:
        for role in kind.roles:
            roles.setdefault(role, []).append(kind.name)
    return roles


def _wrong_models(models: Mapping[str, Any]) -> list[str]:
    roles = _roles()
    problems = [f"models: found {role!r}, expected one of {', '.join(roles)}" for role in models if role not in roles]
    for role, tasks in roles.items():
        name = models.get(role)
        if role in models and (not isinstance(name, str) or not name):
            problems.append(f"models: found {name!r} for {role}, expected a model's name")
            continue
        if name is None:
            continue
        known = find_known(name)
        task = known.task if known else shipped()[name].task if name in shipped() else None
        if task is not None and task not in tasks:
            problems.append(f"models: found {name}, a model for {task}, expected one for {role}")
    return problems


def _wrong_hardware(hardware: Mapping[str, Any]) -> list[str]:
    known = (*_memory_keys(), *_FLAGS, _MOST)
    problems = [f"hardware: found {key!r}, expected one of {', '.join(known)}" for key in hardware if key not in known]
    for key in _memory_keys():
        if key in hardware:
            try:
                parse_size(hardware[key])
            except ValueError as error:
                problems.append(f"hardware: {key}: {error}")
    problems += [
        f"hardware: found {hardware[key]!r} for {key}, expected True or False"
        for key in _FLAGS
        if not isinstance(hardware.get(key, True), bool)
    ]
    most = hardware.get(_MOST, 1)
    if type(most) is not int or most < 1:
        problems.append(f"hardware: found {most!r} for {_MOST}, expected a whole number from 1")
    return problems
