"""Warns of documents that are stored without being chunked, and of chunks longer than their model's window."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from fastembed.inference.engines.encoder.folder import read_traits
from fastembed.inference.library.catalog import AUTO, Catalog
from fastembed.operators.chunk import chunk
from fastembed.operators.embed import Embed
from fastembed.pipeline.config.adjacency import members_of
from fastembed.pipeline.config.problems import Problems
from fastembed.pipeline.errors import ItemError
from fastembed.pipeline.payload.document import Document
from fastembed.pipeline.plan import Branch, Configuration, PipelinePlan, SinkPlan, Step, StepPlan
from fastembed.sinks.duckdb import Duckdb

Kinds = frozenset[Any]
_WHOLE: Final[Kinds] = frozenset({Document})


def check_chunks(configuration: Configuration, catalog: Catalog, problems: Problems) -> None:
    """Warn of documents that nothing cuts before they are embedded or stored, and of chunks beyond a model's window."""
    for plan in configuration.pipelines.values():
        walk = _ChunkWalk(catalog, problems)
        walk.pipeline(plan)


class _ChunkWalk:
    """One pipeline's steps in order, with the kinds of values that get to each, and how long its chunks are."""

    def __init__(self, catalog: Catalog, problems: Problems) -> None:
        self._catalog = catalog
        self._problems = problems
        self._tokens: int | None = None
        self._warned = False

    def pipeline(self, plan: PipelinePlan) -> None:
        kinds = self._steps(plan.steps, frozenset(members_of(plan.source.component.out_type)))
        self._sink(plan.sink, kinds)

    def _steps(self, steps: tuple[Step, ...], kinds: Kinds) -> Kinds:
        for step in steps:
            if isinstance(step, StepPlan):
                self._look(step, kinds)
                kinds = _after(step, kinds)
            else:
                kinds = frozenset(kind for branch in step.branches for kind in self._branch(branch, kinds))
        return kinds

    def _branch(self, branch: Branch, kinds: Kinds) -> Kinds:
        kinds = self._steps(branch.steps, kinds)
        if branch.sink is None:
            return kinds
        self._sink(branch.sink, kinds)
        return frozenset()

    def _look(self, step: StepPlan, kinds: Kinds) -> None:
        factory = step.component.factory
        if factory is chunk:
            self._tokens = step.options.get("tokens")
        elif factory is Embed and kinds == _WHOLE:
            self._warned = True
            self._problems.warn(
                step.place,
                f"found {step.id} behind whole documents, which it passes on as they are, expected chunk before it: "
                "nothing would be embedded",
            )
        elif factory is Embed and self._tokens is not None:
            self._window(step, self._tokens)

    def _sink(self, sink: SinkPlan, kinds: Kinds) -> None:
        if sink.component.factory is Duckdb and kinds == _WHOLE and not self._warned:
            self._problems.warn(
                sink.place,
                f"found whole documents before {sink.id}, expected chunk before it: "
                "`fastembed search` looks for chunks and would find nothing",
            )

    def _window(self, step: StepPlan, tokens: int) -> None:
        name = step.options.get("model", AUTO)
        try:
            model = self._catalog.place(name, "embedding")
        except ItemError:  # said elsewhere
            return
        window = read_traits(model.folder).window if model.folder else None
        if window is not None and tokens > window:
            self._problems.warn(
                step.place,
                f"found chunks of up to {tokens} tokens before {step.id}, expected at most {window}, the window of "
                f"{model.name}: what is longer is not in its vectors; write chunk: {{tokens: {window}}}",
            )


def _after(step: StepPlan, kinds: Kinds) -> Kinds:
    """Return the kinds behind a step: what it makes, and of what it also takes only what came."""
    inputs, outputs = members_of(step.component.in_type), members_of(step.component.out_type)
    if isinstance(step.component.out_type, TypeVar) or Any in outputs:
        return kinds if step.component.out_type is step.component.in_type else frozenset({Any})
    behind = {kind for kind in outputs if kind not in inputs or kind in kinds or Any in kinds}
    return frozenset(behind | (kinds if step.condition or step.on_error == "pass" else set()))
