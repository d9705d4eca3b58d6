"""The running pipelines, as the server's endpoints see and steer them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from fastembed.dead_letters import failed_items, failure_folders, replay_items
from fastembed.describing import models_of, source_text, stage_views
from fastembed.inference.library.catalog import AUTO
from fastembed.inference.library.tasks import TASKS
from fastembed.pipeline.component import Resources
from fastembed.pipeline.config.guarantees import guarantee, operators
from fastembed.pipeline.engine import Engine
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.health import Health
from fastembed.pipeline.plan import Configuration, PipelinePlan, StepPlan
from fastembed.pipeline.runner import Pipeline
from fastembed.reembedding import Reembeddings, table_targets
from fastembed.server.endpoints.context import PipelineView
from fastembed.sinks.lake.dead_letters import Replayed
from fastembed.sinks.lake.listing import FailureRow
from fastembed.sinks.lake.reembedding import ReembedStatus
from fastembed.sources.folder import Folder
from fastembed.sources.http import Http

_log: Final = logging.getLogger("fastembed.server")


class RunningPipelines:
    """The engine as the server's endpoints see it (`fastembed.server.endpoints.context.Running`).

    read: loads the configuration again, for a reload.
    """

    def __init__(
        self, engine: Engine, configuration: Configuration, read: Callable[[], Configuration], resources: Resources
    ) -> None:
        self._engine = engine
        self._resources = resources
        self._configuration = configuration
        self._read = read
        self._reembeddings = Reembeddings(resources, idle=self._is_idle)

    def views(self) -> Sequence[PipelineView]:
        """Describe each pipeline."""
        return [self._view(plan) for plan in self._configuration.pipelines.values()]

    def default_model(self, path: str) -> str:
        """Return what "auto" means to the pipeline that serves POST on this path: its own `model:`, else "auto"."""
        for plan in self._configuration.pipelines.values():
            if plan.source.options.get("route") == f"POST {path}":
                return next((name for step in operators(plan.steps) if (name := _answers_with(step)) != AUTO), AUTO)
        return AUTO

    def in_flight(self, path: str) -> int:
        """Return how many requests the pipeline that serves POST on this path answers now, those in its queue too."""
        running = self._engine.pipelines.values()
        return sum(found.stats.in_flight for found in running if _serves(found, path))

    def waiting_for(self) -> Sequence[str]:
        """Return the pipelines that have not opened: their models are not warm."""
        return [f"pipeline {name}" for name in self._configuration.pipelines if name not in self._engine.pipelines]

    def files(self) -> Sequence[Path]:
        """Return the files that the configuration was read from, plug-ins included."""
        path = self._configuration.path
        return (*([path] if path else ()), *self._configuration.plugins)

    def failure_folders(self, pipeline: str | None) -> Sequence[Path]:
        """Return where failed files are put."""
        return failure_folders(self._configuration, pipeline)

    def folders(self) -> Mapping[str, Folder]:
        """Return the watched folders by the names of their pipelines, those that run."""
        sources = {name: running.source for name, running in self._engine.pipelines.items()}
        return {name: source for name, source in sources.items() if isinstance(source, Folder)}

    def forget_missing(self, pipeline: str) -> int:
        """Forget the missing files of a folder pipeline whose rows were retained; return how many."""
        running = self._engine.pipelines.get(pipeline)
        if running is None or not isinstance(running.source, Folder):
            raise InvalidInput(
                f"found {pipeline}, expected a running pipeline with a folder as source", param="pipeline"
            )
        return running.source.forget_missing()

    def failed_items(self, pipeline: str | None) -> Sequence[FailureRow]:
        """List the items, of whatever source, that failed and are no files of a folder."""
        return failed_items(self._configuration, pipeline)

    async def replay_items(self, pipeline: str | None, names: Sequence[str] | None) -> Sequence[Replayed]:
        """Resume such items at the step where they failed; wait until they have ended."""
        return await replay_items(self._configuration, self._resources, pipeline, names)

    async def reembed(self, pipeline: str | None) -> Sequence[ReembedStatus]:
        """Start giving the chunks of a pipeline's table (None: of all) new vectors; return how far each is."""
        return await self._reembeddings.start(table_targets(self._configuration, pipeline))

    def reembed_statuses(self) -> Sequence[ReembedStatus]:
        """Return how far each table is that gets new vectors, or got them since the start."""
        return self._reembeddings.statuses()

    async def cancel_reembed(self) -> Sequence[ReembedStatus]:
        """Stop giving chunks new vectors; return how far each table is."""
        return await self._reembeddings.cancel()

    def _is_idle(self) -> bool:
        return not any(running.stats.in_flight for running in self._engine.pipelines.values())

    async def reload(self) -> Mapping[str, Any]:
        """Read the file again and swap what changed; ConfigError, with nothing changed, if it cannot run."""
        found = await asyncio.to_thread(self._read)
        notes = []
        if found.sections != self._configuration.sections:
            notes.append("models, devices and breaker are read at the start only: restart to use the changed sections")
        changes = await self._engine.reload(found)
        self._configuration = found
        _log.info("reloaded: %s", changes)
        return {
            "object": "reload",
            "added": changes.added,
            "changed": changes.changed,
            "removed": changes.removed,
            "unchanged": changes.unchanged,
            "notes": notes,
        }

    def _view(self, plan: PipelinePlan) -> PipelineView:
        running = self._engine.pipelines.get(plan.name)
        return PipelineView(
            name=plan.name,
            source=source_text(plan),
            sink=plan.sink.id,
            guarantee=str(guarantee(plan)),
            models=models_of(plan, self._resources),
            definition=plan.definition,
            state="starting" if running is None else "broken" if running.broken else "running",
            admitted=running.stats.admitted if running else 0,
            in_flight=running.stats.in_flight if running else 0,
            waiting=_waiting(running),
            outcomes={outcome.value: count for outcome, count in running.stats.outcomes.items()} if running else {},
            problem=Health.of(self._resources).problems.get(f"pipeline {plan.name}", ""),
            stages=stage_views(running.stats) if running else (),
        )


def _serves(running: Pipeline, path: str) -> bool:
    source = running.source
    return isinstance(source, Http) and (source.method, source.path) == ("POST", path)


def _waiting(running: Pipeline | None) -> int:
    """Return how many items wait in front of a pipeline: requests in its queue, files that are not read yet."""
    if running is None:
        return 0
    progress = running.progress
    return progress.waiting if progress else int(getattr(running.source, "waiting", 0))


def _answers_with(step: StepPlan) -> str:
    """Return the model of a step that answers; what only prepares (`hear`) has one of its own."""
    kind = TASKS.of_step(step.component.name)
    answers = kind is not None and step.component.name in kind.steps
    return str(step.options.get("model", AUTO)) if answers else AUTO
