"""The models that need no declaration: those that ship, as their kinds name them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from fastembed.inference.library.folders import BUILT_IN
from fastembed.inference.library.specs import ModelSpec
from fastembed.inference.library.tasks import TASKS, ShippedModel, Task, TaskKind

DEFAULT_EMBEDDING: Final = "all-MiniLM-L6-v2"


def shipped() -> Mapping[str, ModelSpec]:
    """Return what `models:` would say of each, by name. Of two for the same task "auto" means the first."""
    return _specs(TASKS.all)


def stand_ins() -> tuple[str, ...]:
    """Return those that "auto" means only where there is nothing else."""
    return tuple(model.name for kind in TASKS.all for model in kind.ships if model.stand_in)


def is_stand_in(name: str, spec: ModelSpec) -> bool:
    """Whether a name is such a model's, and nothing was declared in its place."""
    return name in stand_ins() and shipped()[name] is spec


def is_stand_in_for(task: Task, name: str) -> bool:
    """Whether a name is that of a stand-in for a task, declared otherwise or not."""
    return any(model.name == name and model.stand_in for model in TASKS.of(task).ships)


@lru_cache(maxsize=8)
def _specs(kinds: tuple[TaskKind, ...]) -> Mapping[str, ModelSpec]:
    return {model.name: _spec(kind.name, model) for kind in kinds for model in kind.ships}


@lru_cache(maxsize=256)
def _spec(task: str, model: ShippedModel) -> ModelSpec:
    origin = f"{BUILT_IN}{model.folder or model.name}"
    return ModelSpec.model_validate({"task": task, "from": origin, "aliases": list(model.aliases)})
