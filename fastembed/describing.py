"""A pipeline in a line: what `serve` prints, `check` lists and `/v1/pipelines` shows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from fastembed.inference.library.catalog import AUTO
from fastembed.inference.library.hub.known import KNOWN
from fastembed.inference.library.tasks import TASKS, Task
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.routing.router import Router
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.pipeline.component import Resources
from fastembed.pipeline.config.guarantees import guarantee, operators
from fastembed.pipeline.errors import ItemError
from fastembed.pipeline.observe import PipelineStats, StageStats
from fastembed.pipeline.payload.chat import ChatRequest
from fastembed.pipeline.plan import PipelinePlan, StepPlan
from fastembed.server.endpoints.context import StageView


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
    """Return a line for each tiny model that stands in for a real one, with the command that gets one."""
    used = dict.fromkeys(name for plan in plans for name in models_of(plan, resources))
    tasks = {card.name: card.task for card in resources.get(Models).catalog.cards() if card.pocket}
    lines = []
    for name in used:
        if (task := tasks.get(name)) is not None:
            real = _real(task)
            lines.append(f"{name} answers until a real model for {task} is here" + (f": {real}" if real else ""))
    return lines


def stage_views(stats: PipelineStats) -> list[StageView]:
    """Describe the steps of a pipeline, in their order."""
    return [_view(stage) for stage in stats.stages]


def _real(task: Task) -> str | None:
    """Return the command that gets a real model for a task, rather one to pull than one to export; None: none known."""
    suited = [model for model in KNOWN if task == model.task or task in model.good_at]
    return next((model.command for model in sorted(suited, key=lambda model: model.repository is None)), None)


_OPEN_WITHOUT: Final = frozenset({"speak"})
"""Steps that open with "auto" though no model is here: requests are told the command that gets one."""


def absent(plan: PipelinePlan, resources: Resources) -> list[str]:
    """Return why a pipeline cannot open: no such model, none for this step, or its files are missing."""
    problems = []
    for step in operators(plan.steps):
        name = _named(step)
        if name == AUTO and step.component.name in _OPEN_WITHOUT:
            continue
        if name is not None:
            try:
                _resolved(step, name, resources)
            except ItemError as error:
                problems.append(f"{step.place}: {error.message}")
    return problems


def named_models(plans: Iterable[PipelinePlan]) -> list[str]:
    """Return the models that pipelines cannot open without: those that their steps name, "auto" left out."""
    named = (_named(step) for plan in plans for step in operators(plan.steps))
    return list(dict.fromkeys(name for name in named if name and name != AUTO))


def _model_of(step: StepPlan, resources: Resources) -> str | None:
    name = _named(step)
    try:
        return None if name is None else _resolved(step, name, resources)
    except ItemError:  # not a model of this task, or its files are missing: opening the pipeline will say so
        return name


def _named(step: StepPlan) -> str | None:
    """Return the model that a step uses, by the name that the file has for it."""
    parameter = step.component.options.get("model")
    kind = TASKS.of_step(step.component.name)
    if parameter is None or kind is None:
        return None  # what a plug-in calls a model, it alone knows
    name = step.options.get("model", parameter.default)
    if not isinstance(name, str) or (kind.without_model and name == AUTO):
        return None
    return name


def _resolved(step: StepPlan, name: str, resources: Resources) -> str:
    """Return the model that a name means to a step. ItemError if none."""
    if step.component.name in ("transcribe", "hear"):
        return resources.get(SpeechEngines).resolve(name).label
    catalog = resources.get(Models).catalog
    if step.component.name == "generate" and name != AUTO:
        first = resources.get(Router).decide(ChatRequest(), default=name).candidates[0].model
        catalog.options(catalog.place(first, "chat"))  # its adapters and its draft model are there
        return first
    kind = TASKS.of_step(step.component.name)
    return catalog.place(name, kind.name).name if kind else name


def _with_primary(end: Any, base: Path) -> str:
    """Return a source's or sink's name and main option; paths as the file has them."""
    component = end.component
    value = end.options.get(component.primary) if component.primary else None
    if isinstance(value, Path) and value.is_absolute() and value.is_relative_to(base.absolute()):
        value = value.relative_to(base.absolute())
    return str(component.name) if value is None else f"{component.name} {value}"


def _view(stage: StageStats) -> StageView:
    calls = stage.latency.count
    return StageView(
        name=stage.name,
        items_in=stage.items_in,
        items_out=stage.items_out,
        waiting=stage.waiting(),
        oldest_seconds=round(stage.oldest_s(), 3),
        retries=stage.retries,
        mean_seconds=round(stage.latency.sum_s / calls, 6) if calls else None,
        outcomes={outcome.value: count for outcome, count in stage.outcomes.items()},
    )
