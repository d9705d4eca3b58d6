"""What an `on_error` folder can hold of the items that may fail: text, bytes, JSON, dataclasses, files; no handles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastembed.pipeline.config.adjacency import type_name
from fastembed.pipeline.config.guarantees import operators, sinks
from fastembed.pipeline.config.problems import Problems
from fastembed.pipeline.payload.stored import can_store
from fastembed.pipeline.plan import Configuration, PipelinePlan, Place
from fastembed.sinks.folder import Folder


def check_dead_letters(configuration: Configuration, problems: Problems) -> None:
    """Report steps that are given what the folder cannot hold, where the source does not bring it again."""
    for plan in configuration.pipelines.values():
        keeps = plan.on_error is not None and plan.on_error.component.factory is Folder
        if not keeps or plan.source.component.capabilities.replayable:
            continue
        for taker, kind, place in _takers(plan):
            if not can_store(kind):
                problems.add(
                    place,
                    f"found {taker}, which takes {type_name(kind)}: `on_error: folder` cannot hold one; expected text, "
                    "bytes, JSON, a dataclass, a pydantic model or an array, or an on_error sink of your own",
                )


def _takers(plan: PipelinePlan) -> Iterator[tuple[str, Any, Place]]:
    for step in operators(plan.steps):
        yield step.id, step.component.in_type, step.place
    for sink in sinks(plan):
        yield sink.id, sink.component.in_type, sink.place
