"""Gives the stored chunks of tables new vectors, in idle time, and puts them in place all at once.

One `Reembedding` moves one table to the model that its pipelines embed with now. It reads texts in batches, embeds them
behind everybody else, and stores what it has in the table's shadow (`fastembed.sinks.lake.reembedding`); it may end at
any point, and the next one goes on where the last stored batch ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from fastembed.definitions import embedding_model
from fastembed.inference.engines.embedding.origin import vector_origin
from fastembed.inference.engines.embedding.shape import normalized
from fastembed.inference.serving.models import Models
from fastembed.pipeline.component import Resources
from fastembed.pipeline.config.guarantees import sinks
from fastembed.pipeline.errors import FastEmbedError, InvalidInput, Overloaded
from fastembed.pipeline.payload.document import embedding_text
from fastembed.pipeline.payload.embedding import VectorOrigin
from fastembed.pipeline.plan import Configuration
from fastembed.sinks.lake import reembedding as rows
from fastembed.sinks.lake.database import Lake, Lakes
from fastembed.sinks.lake.reembedding import ReembedStatus, StoredText

_log: Final = logging.getLogger("fastembed.reembed")
_BATCH: Final = 16
"""Chunks that are embedded and stored together: what a stop loses, and for how long an urgent text may wait."""
_LAST: Final = -8
"""The priority: behind everybody else."""
_LOOK_S: Final = 0.05
_PATIENCE_LOOKS: Final = 40
"""How often a batch looks for idle time, then it goes on: a server that is never idle must come to an end, too."""


@dataclass(frozen=True, slots=True)
class TableTarget:
    """A table and the model that its pipelines embed with."""

    database: Path
    table: str
    model: str


def table_targets(configuration: Configuration, pipeline: str | None) -> list[TableTarget]:
    """Return the tables of a pipeline (None: of all) whose chunks are embedded, each with its model.

    InvalidInput: the pipeline embeds nothing into a table, or pipelines of one table name different models.
    """
    models: dict[tuple[Path, str], dict[str, str]] = {}
    wanted: set[tuple[Path, str]] = set()
    for plan in configuration.pipelines.values():
        model = embedding_model(plan)
        for sink in sinks(plan) if model is not None else ():
            if sink.component.name == "duckdb" and model is not None:
                path = Path(str(sink.options["path"])).expanduser()
                place = ((plan.base / path).resolve(), str(sink.options["table"]))
                models.setdefault(place, {})[plan.name] = model
                wanted |= {place} if pipeline in (None, plan.name) else set()
    if pipeline is not None and not wanted:
        raise InvalidInput(
            f"found the pipeline {pipeline}, expected one with embed and the sink duckdb", param="pipeline"
        )
    return [_target(*place, models[place]) for place in sorted(wanted)]


def _target(database: Path, table: str, models: dict[str, str]) -> TableTarget:
    if len(set(models.values())) > 1:
        named = ", ".join(f"{pipeline}: {model}" for pipeline, model in models.items())
        raise InvalidInput(f"found one table, {table} in {database}, with several models ({named}), expected one model")
    return TableTarget(database, table, next(iter(models.values())))


class Reembedding:
    """One table on its way to another model. status: how far it is, for whoever asks meanwhile."""

    def __init__(self, lake: Lake, target: TableTarget, models: Models, *, idle: Callable[[], bool]) -> None:
        """Prepare; `run` does it. idle: whether nothing more urgent is under way."""
        self._lake = lake
        self._target = target
        self._models = models
        self._idle = idle
        self.status = ReembedStatus(str(target.database), target.table, target.model, "running", 0, 0)

    async def run(self) -> None:
        """Embed what is missing, then switch. Errors end in the status; cancelled, it keeps what is stored."""
        try:
            origin = vector_origin(self._models.catalog, self._target.model)
            self.status = replace(self.status, model=origin.model)
            await self._fill_and_switch(origin)
        except asyncio.CancelledError:
            self.status = replace(self.status, state="cancelled")
            raise
        except Exception as error:  # noqa: BLE001 - an engine's boundary; who waits for the status must be told
            self.status = replace(self.status, state="failed", detail=str(error) or type(error).__name__)
            known = isinstance(error, FastEmbedError)
            _log.warning("%s: no new vectors of %s", self._target.database, error, exc_info=None if known else error)

    async def _fill_and_switch(self, origin: VectorOrigin) -> None:
        table = self._target.table
        async with self._models.lend(origin.model, "embedding", priority=_LAST) as model:
            length = model.dimensions
        await self._lake.write(rows.begin, table, origin, length)
        ready = await self._lake.read(rows.collected, table)
        waiting = await self._lake.read(rows.count_waiting, table, origin)
        self.status = replace(self.status, done=ready, total=ready + waiting)
        while True:
            await self._fill(origin)
            if await self._lake.write(rows.switch, table, origin):
                break
        self.status = replace(self.status, state="done", total=self.status.done)
        if self.status.done:
            _log.info(
                "%s: %d chunks of %s have vectors of %s", self._target.database, self.status.done, table, origin.model
            )

    async def _fill(self, origin: VectorOrigin) -> None:
        table, after = self._target.table, -1
        while texts := await self._lake.read(rows.missing, table, origin, after, _BATCH):
            await self._await_idleness()
            try:
                await self._embed(texts, origin)
            except Overloaded as error:
                await asyncio.sleep(error.retry_after_s or 1.0)
                continue
            after = texts[-1].chunk_id
            done = self.status.done + len(texts)
            self.status = replace(self.status, done=done, total=max(done, self.status.total))

    async def _embed(self, texts: Sequence[StoredText], origin: VectorOrigin) -> None:
        async with self._models.lend(origin.model, "embedding", priority=_LAST) as model:
            prompted = [model.prompts.before(embedding_text(text.headings, text.text), "document") for text in texts]
            tokens = await model.tokenize(prompted, most_tokens=0)
            vectors, _ = await model.embed(tokens, priority=_LAST)
        ids = [text.chunk_id for text in texts]
        await self._lake.write(rows.store, self._target.table, origin, ids, normalized(vectors))

    async def _await_idleness(self) -> None:
        for _ in range(_PATIENCE_LOOKS):
            if self._idle():
                return
            await asyncio.sleep(_LOOK_S)


class Reembeddings:
    """Those of a server, one a table at a time. Call it on one event loop."""

    def __init__(self, resources: Resources, *, idle: Callable[[], bool]) -> None:
        """Start with none."""
        self._resources = resources
        self._idle = idle
        self._jobs: dict[tuple[Path, str], tuple[asyncio.Task[None], Reembedding]] = {}

    async def start(self, targets: Sequence[TableTarget]) -> list[ReembedStatus]:
        """Start what is not under way; return how far each is."""
        for target in targets:
            key = (target.database, target.table)
            if key not in self._jobs or self._jobs[key][0].done():
                lake = await Lakes.of(self._resources).acquire(target.database)
                job = Reembedding(lake, target, self._resources.get(Models), idle=self._idle)
                task = asyncio.create_task(self._run(lake, job), name=f"reembed {target.table}")
                self._jobs[key] = (task, job)
        keys = {(target.database, target.table) for target in targets}
        return [job.status for key, (_, job) in self._jobs.items() if key in keys]

    def statuses(self) -> list[ReembedStatus]:
        """Return how far each is, the ended ones of this process too."""
        return [job.status for _, job in self._jobs.values()]

    async def cancel(self) -> list[ReembedStatus]:
        """Stop those under way; what they have stored stays for the next time."""
        running = [task for task, _ in self._jobs.values() if not task.done()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        return self.statuses()

    async def _run(self, lake: Lake, job: Reembedding) -> None:
        try:
            await job.run()
        finally:
            await Lakes.of(self._resources).release(lake)
