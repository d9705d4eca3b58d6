"""The models that need no declaration: those that ship, as their kinds name them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from fastembed.inference.library.folders import BUILT_IN
from fastembed.inference.library.specs import ModelSpec
from fastembed.inference.library.tasks import TASKS, ShippedModel, Task, TaskKind

DEFAULT_EMBEDDING: Final = "all-MiniLM-L6-v2"


def shipped() -> Mapping[str, ModelSpec]:
    """Return what `models:` would say of each, by name. Of two for the same task "auto" means the first."""
    return _of(TASKS.all).specs


def stand_ins() -> tuple[str, ...]:
    """Return those that "auto" means only where there is nothing else."""
    return _of(TASKS.all).stand_ins


def is_stand_in_for(task: Task, name: str) -> bool:
    """Whether a name is that of a stand-in for a task, declared otherwise or not."""
    return any(model.name == name and model.stand_in for model in TASKS.of(task).ships)


class _Shipped(NamedTuple):
    specs: Mapping[str, ModelSpec]
    stand_ins: tuple[str, ...]


@lru_cache(maxsize=8)
def _of(kinds: tuple[TaskKind, ...]) -> _Shipped:
    specs = {model.name: _spec(kind.name, model) for kind in kinds for model in kind.ships}
    return _Shipped(specs, tuple(model.name for kind in kinds for model in kind.ships if model.stand_in))


@lru_cache(maxsize=256)
def _spec(task: str, model: ShippedModel) -> ModelSpec:
    origin = f"{BUILT_IN}{model.folder or model.name}"
    return ModelSpec.model_validate({"task": task, "from": origin, "aliases": list(model.aliases)})
