"""A pipeline's definition with what its steps stand for: the document reader, and the models behind their names.

    5e1c0a94d2b7f380.9c41d7a2e6b0      the pipeline and its reader . the model of its vectors

The first part says what the YAML says, without the name of the embedding model; the second is empty where nothing is
embedded. They are apart so that `fastembed reembed`, which makes new vectors of stored texts, can say so: the files it
has been through are those of the new model, and nothing has to be read again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from fastembed.documents.revision import READER
from fastembed.inference.engines.embedding.origin import vector_origin
from fastembed.inference.library.catalog import AUTO, Catalog
from fastembed.inference.library.fingerprint import fingerprint
from fastembed.inference.library.sections import read_sections
from fastembed.pipeline.config.definition import definition_hash
from fastembed.pipeline.config.guarantees import operators
from fastembed.pipeline.errors import ModelNotFound
from fastembed.pipeline.plan import Configuration, ForkPlan, PipelinePlan, RoutePlan, Step, StepPlan

SOURCE: Final = "folder"
"""The source whose files are remembered with the definition that made their rows."""


def catalog_of(configuration: Configuration) -> Catalog:
    """Return the models that a configuration declares, and those that are here. ConfigError."""
    declared, _ = read_sections(configuration.sections)
    base = configuration.path.parent if configuration.path else Path()
    return Catalog(declared, aliases=configuration.sections.get("aliases"), base=base.absolute())


def with_resolved_models(configuration: Configuration) -> Configuration:
    """Return the configuration; the definitions of its folder pipelines say which models and which reader they use."""
    folders = {name: plan for name, plan in configuration.pipelines.items() if plan.source.component.name == SOURCE}
    if not folders:
        return configuration
    catalog = catalog_of(configuration)
    resolved = {name: replace(plan, definition=_definition(plan, catalog)) for name, plan in folders.items()}
    return replace(configuration, pipelines={**configuration.pipelines, **resolved})


def embedding_model(plan: PipelinePlan) -> str | None:
    """Return the name that the pipeline's `embed` step gives; None: it has none."""
    return next((str(step.options["model"]) for step in operators(plan.steps) if step.component.name == "embed"), None)


def _definition(plan: PipelinePlan, catalog: Catalog) -> str:
    bare = replace(plan, steps=map_steps(plan.steps, lambda step: _revised(step, catalog)))
    model = embedding_model(plan)
    return definition_hash(bare) if model is None else f"{definition_hash(bare)}.{_mark(catalog, model)}"


def _revised(step: StepPlan, catalog: Catalog) -> StepPlan:
    """Return a step as it counts: `parse` with its reader, `embed` without the model, which counts apart."""
    match step.component.name:
        case "embed":
            return replace(step, options={key: value for key, value in step.options.items() if key != "model"})
        case "parse":
            revision = READER + _document_model(catalog, str(step.options.get("model", AUTO)))
            return replace(step, component=replace(step.component, revision=revision))
    return step


def _mark(catalog: Catalog, model: str) -> str:
    try:
        origin = vector_origin(catalog, model)
    except (ModelNotFound, OSError):
        return model  # its files are not here: no vector can be made yet
    return origin.mark


def _document_model(catalog: Catalog, model: str) -> str:
    """Return what tells a document model from another; "": none reads."""
    if model == AUTO:
        return ""
    try:
        folder = catalog.place(model, "document").folder
        return f" {fingerprint(folder)}" if folder else ""
    except (ModelNotFound, OSError):
        return ""


def map_steps(steps: tuple[Step, ...], change: Callable[[StepPlan], StepPlan]) -> tuple[Step, ...]:
    """Return the steps with every operator changed, those in branches included."""
    return tuple(_mapped(step, change) for step in steps)


def _mapped(step: Step, change: Callable[[StepPlan], StepPlan]) -> Step:
    if isinstance(step, RoutePlan | ForkPlan):
        branches = tuple(replace(branch, steps=map_steps(branch.steps, change)) for branch in step.branches)
        return replace(step, branches=branches)
    return change(step)
