"""All pipelines of a configuration: started, supervised, swapped one at a time, drained."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from fastembed.pipeline.component import Resources
from fastembed.pipeline.errors import Unavailable
from fastembed.pipeline.health import Health
from fastembed.pipeline.observe import PipelineStats
from fastembed.pipeline.plan import Configuration, PipelinePlan
from fastembed.pipeline.runner import Pipeline
from fastembed.pipeline.supervisor import Supervisor
from fastembed.pipeline.tasks import Tasks

log = logging.getLogger("fastembed.pipeline")


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reload did, by pipeline name."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()

    def __str__(self) -> str:
        named = {"added": self.added, "changed": self.changed, "removed": self.removed}
        return "; ".join(f"{verb} {', '.join(names)}" for verb, names in named.items() if names) or "nothing changed"


class Engine:
    """Runs the pipelines of a configuration until they end or `stop` is called.

    A pipeline that breaks (an operator's error never breaks one: that is its item's) is logged and built anew, where
    that repeats nothing (`Supervisor`), after a pause that doubles from 0.5 to 30 s. `reload` opens all changed
    pipelines before it swaps any, so that a configuration which cannot run changes nothing; what is on its way in an
    old pipeline ends there. A source with a true `exclusive` (a watched folder) starts when its predecessor has ended.
    """

    def __init__(self, resources: Resources | None = None, *, once: bool = False) -> None:
        self.pipelines: dict[str, Pipeline] = {}
        self._resources = resources or Resources()
        self._once = once
        self._tasks = Tasks(self._crashed)
        self._supervisors: dict[str, Supervisor] = {}
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._reloading = asyncio.Lock()
        self._stopping = False
        self._draining: set[Supervisor] = set()

    def stats(self) -> Iterable[PipelineStats]:
        """Return the counters of all running pipelines."""
        return [pipeline.stats for pipeline in self.pipelines.values()]

    @property
    def drain_s(self) -> float:
        """Return how long `stop` may let items that are on their way take."""
        pipelines = [*self.pipelines.values(), *(supervisor.pipeline for supervisor in self._draining)]
        return max((pipeline.plan.drain_s for pipeline in pipelines), default=0.0)

    async def start(self, configuration: Configuration) -> None:
        """Open every pipeline, then run them. If one cannot open, none runs, and its error is raised."""
        for name, pipeline in (await self._open(configuration.pipelines.values())).items():
            self._launch(name, pipeline)

    async def reload(self, configuration: Configuration) -> Changes:
        """Replace the pipelines whose definition changed. If one cannot open, raise its error, nothing changed."""
        async with self._reloading:
            old, new = self.pipelines, configuration.pipelines
            added = [name for name in new if name not in old]
            changed = [n for n in new if n in old and new[n].definition != old[n].plan.definition]
            removed = [name for name in old if name not in new]
            opened = await self._open(new[name] for name in (*added, *changed))
            for name in (*changed, *removed):
                self._retire(name)
            for name, pipeline in opened.items():
                self._launch(name, pipeline, after=self._runs.get(name) if pipeline.exclusive else None)
            unchanged = [name for name in new if name not in added and name not in changed]
            return Changes(tuple(added), tuple(changed), tuple(removed), tuple(unchanged))

    async def join(self) -> None:
        """Wait until every pipeline has ended by itself: with `once`, when all that was there is processed."""
        await self._tasks.join()

    async def stop(self) -> None:
        """Stop admitting items, drain each pipeline within its `drain` time, then cancel the rest.

        From now on nothing is opened or run again.
        """
        self._stopping = True
        everything = [*self._supervisors.values(), *self._draining]
        for supervisor in everything:
            supervisor.halt()
        pipelines = [supervisor.pipeline for supervisor in everything]
        await asyncio.gather(*(pipeline.drain(pipeline.plan.drain_s) for pipeline in pipelines))
        await self._tasks.close()
        self._supervisors.clear()
        self.pipelines.clear()

    async def _open(self, plans: Iterable[PipelinePlan]) -> dict[str, Pipeline]:
        """Open pipelines side by side (each may load a model); if one fails, all are closed again."""
        pipelines = {plan.name: Pipeline(plan, self._resources, once=self._once) for plan in plans}
        opening = {asyncio.ensure_future(pipeline.open()): pipeline for pipeline in pipelines.values()}
        try:
            if opening:
                await asyncio.wait(opening)
            for task in opening:
                task.result()
            self._refuse_if_stopping()
        except BaseException:  # raised again, cancellation too: all pipelines open, or none stays open
            for task in opening:
                task.cancel()
            await asyncio.gather(*opening, return_exceptions=True)
            for task, pipeline in opening.items():
                if not task.cancelled() and task.exception() is None:
                    await pipeline.close()
            raise
        return pipelines

    def _refuse_if_stopping(self) -> None:
        if self._stopping:
            raise Unavailable("the pipelines are stopping: no pipeline can be opened")

    def _launch(self, name: str, pipeline: Pipeline, after: asyncio.Task[None] | None = None) -> None:
        self.pipelines[name] = pipeline
        report = partial(Health.of(self._resources).report, f"pipeline {name}")
        self._supervisors[name] = supervisor = Supervisor(pipeline, self._replace, report, after=after)
        self._runs[name] = self._tasks.start(self._run(supervisor), name=f"pipeline:{name}")

    def _replace(self, pipeline: Pipeline) -> None:
        self.pipelines[pipeline.name] = pipeline

    def _retire(self, name: str) -> None:
        """Drain a replaced pipeline, without a time limit, while its successor runs."""
        del self.pipelines[name]
        supervisor = self._supervisors.pop(name)
        self._draining.add(supervisor)
        supervisor.halt()

    async def _run(self, supervisor: Supervisor) -> None:
        try:
            await supervisor.run()
        finally:
            self._draining.discard(supervisor)

    def _crashed(self, error: BaseException) -> None:
        log.critical(
            "a pipeline's task ended with an error that its supervisor did not catch: %s", error, exc_info=error
        )
