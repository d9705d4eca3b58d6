"""A pipeline in a line: what `serve` prints, `check` lists and `/v1/pipelines` shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from inference.catalog import AUTO
from inference.folders import Task
from inference.hub.known import KNOWN
from inference.models import Models
from inference.speech.engines import SpeechEngines
from inference.speech.sphinx import LABEL
from pipeline.component import Resources
from pipeline.config.guarantees import guarantee, operators
from pipeline.errors import ItemError
from pipeline.plan import PipelinePlan, StepPlan

_TASKS: Final[Mapping[str, Task]] = {"generate": "chat", "parse": "document", "rerank": "rerank"}


def line_of(plan: PipelinePlan, resources: Resources) -> str:
    """Return `name  source -> sink  [models]  guarantee`."""
    models = ", ".join(models_of(plan, resources)) or "no model"
    return f"{plan.name:<15} {source_text(plan)} -> {end_text(plan)}  [{models}]  {guarantee(plan)}"


def source_text(plan: PipelinePlan) -> str:
    """Return a source as one reads it: `http POST /v1/embeddings`, `folder inbox`."""
    return _with_primary(plan.source, plan.base)


def end_text(plan: PipelinePlan) -> str:
    """Return a sink as one reads it: `duckdb data/lake.duckdb`."""
    return _with_primary(plan.sink, plan.base)


def models_of(plan: PipelinePlan, resources: Resources) -> list[str]:
    """Return the models that a pipeline's steps use, each once; `auto` as the model that it means now."""
    named = (_model_of(step, resources) for step in operators(plan.steps))
    return list(dict.fromkeys(name for name in named if name))


def stand_ins(plans: Iterable[PipelinePlan], resources: Resources) -> list[str]:
    """Say which tiny models answer for want of real ones, and the command that gets one."""
    used = dict.fromkeys(name for plan in plans for name in models_of(plan, resources))
    tasks: dict[str, Task | None] = {LABEL: "transcription"}
    tasks |= {card.name: card.task for card in resources.get(Models).catalog.cards() if card.pocket}
    lines = []
    for name in used:
        if (task := tasks.get(name)) is not None:
            command = next(model.command for model in KNOWN if model.task == task and model.repository)
            lines.append(f"{name} answers until a real model for {task} is here: {command}")
    return lines


def _model_of(step: StepPlan, resources: Resources) -> str | None:
    parameter = step.component.options.get("model")
    if parameter is None:
        return None
    name = step.options.get("model", parameter.default)
    if not isinstance(name, str):
        return None
    if step.component.name == "parse" and name == AUTO:
        return None  # by rules
    try:
        if step.component.name in ("transcribe", "hear"):
            return resources.get(SpeechEngines).resolve(name).label
        task = _TASKS.get(step.component.name, "embedding")
        return resources.get(Models).catalog.place(name, task).name
    except ItemError:  # not a model of this task, or its files are missing: opening the pipeline will say so
        return name


def _with_primary(end: Any, base: Path) -> str:
    """Return a source's or sink's name and main option; paths as the file has them."""
    component = end.component
    value = end.options.get(component.primary) if component.primary else None
    if isinstance(value, Path) and value.is_absolute() and value.is_relative_to(base.absolute()):
        value = value.relative_to(base.absolute())
    return str(component.name) if value is None else f"{component.name} {value}"
