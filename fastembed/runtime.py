"""The running process: its engine, its HTTP server, and their common start and end."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from starlette.routing import BaseRoute

from fastembed.assembly import close_resources, make_resources, read_configuration
from fastembed.dead_letters import failed_items, failure_folders, replay_items
from fastembed.describing import models_of, named_models, source_text
from fastembed.inference.library.catalog import AUTO
from fastembed.inference.library.devices import Devices
from fastembed.inference.library.folders import kept_home
from fastembed.inference.library.tasks import TASKS
from fastembed.inference.serving.downloads import Downloads
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.resilience.breakers import Breakers
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.inference.serving.warmup.warmup import Warmup
from fastembed.pipeline.collector import freeze_gc, unfreeze_gc
from fastembed.pipeline.component import Resources
from fastembed.pipeline.config.guarantees import guarantee, operators
from fastembed.pipeline.engine import Engine
from fastembed.pipeline.errors import InvalidInput, Unavailable
from fastembed.pipeline.health import Health
from fastembed.pipeline.observe import PipelineCollector
from fastembed.pipeline.payload.audio import SpeechSettings
from fastembed.pipeline.plan import Configuration, PipelinePlan, StepPlan
from fastembed.pipeline.runner import Pipeline
from fastembed.pipeline.tasks import Tasks
from fastembed.pipeline.tracing import export_spans
from fastembed.reembedding import Reembeddings, table_targets
from fastembed.server.app import create_app
from fastembed.server.caching.cached_answers import CachedAnswers, revisions
from fastembed.server.caching.response_cache import ResponseCache
from fastembed.server.conversations.store import ConversationStore
from fastembed.server.endpoints import openapi
from fastembed.server.endpoints.context import PipelineView, ServerContext, log_crash
from fastembed.server.endpoints.registry import own_routes
from fastembed.server.fetching.fetcher import Fetcher
from fastembed.server.fetching.references import References
from fastembed.server.files.expiry import Expiring, keep_clean
from fastembed.server.files.store import FileStore
from fastembed.server.http.lifecycle import Lifecycle
from fastembed.server.http.server import Server, address_of, listen
from fastembed.server.http.stop_signals import stopped_by_signals
from fastembed.server.keys.client_secrets import ClientSecrets
from fastembed.server.keys.usage import UsageLog
from fastembed.server.observability.full_disks import watch_disks
from fastembed.server.observability.http_metrics import HttpMetrics
from fastembed.server.observability.model_metrics import ModelMetrics
from fastembed.server.realtime.described_session import describe_session
from fastembed.server.realtime.responder import AnswerPipelines
from fastembed.server.realtime.session import RealtimeRoute
from fastembed.server.settings import ServerSettings
from fastembed.sinks.lake.database import Lakes
from fastembed.sinks.lake.dead_letters import Replayed
from fastembed.sinks.lake.listing import FailureRow
from fastembed.sinks.lake.reembedding import ReembedStatus
from fastembed.sources.folder import Folder
from fastembed.sources.http import HttpRoutes
from fastembed.watching import contents, follow

_log: Final = logging.getLogger("fastembed.server")
_USAGE_S: Final = 5.0
"""How often what keys have used is written down."""


def distribution_version() -> str:
    """Return the installed version, or 0 where it runs from a folder that was never installed."""
    try:
        return version("fastembed-multimodal")
    except PackageNotFoundError:
        return "0"


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
        )


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


class Process:
    """Everything that `fastembed serve` runs, from one configuration.

    source: the file it is from. read: reads it again, by default just that file. devices: instead of the machine's own.
    """

    def __init__(
        self,
        settings: ServerSettings,
        configuration: Configuration,
        *,
        source: Path | None = None,
        watch: bool = False,
        devices: Devices | None = None,
        read: Callable[[], Configuration] | None = None,
    ) -> None:
        self.settings = settings
        self._watched = source if watch else None
        self.configuration = configuration
        self.resources: Resources = make_resources(configuration, devices, pull=settings.pull)
        self.engine = Engine(self.resources)
        self.running = RunningPipelines(
            self.engine,
            configuration,
            read or partial(read_configuration, source, metrics_path=settings.metrics_path),
            self.resources,
        )
        self._read = contents(self.running.files())
        self.lifecycle = Lifecycle()
        self.stats = HttpMetrics()
        self.metrics = CollectorRegistry()
        models, breakers = self.resources.get(Models), self.resources.get(Breakers)
        for collector in (PipelineCollector(self.engine.stats), self.stats, ModelMetrics(models), breakers):
            self.metrics.register(collector)
        self.files = FileStore(kept_home() / "files", most_bytes=settings.files_bytes)
        stored = kept_home() / "conversations.sqlite"
        self.conversations = ConversationStore(stored, most_bytes=size) if (size := settings.stored_bytes) else None
        self.usage = UsageLog(kept_home() / "key-usage.sqlite")
        self.client_secrets = ClientSecrets(describe_session)
        self.tasks = Tasks(log_crash)
        self.cached_answers = _cached_answers(settings, self.resources)
        if self.cached_answers is not None:
            self.metrics.register(self.cached_answers.cache)
        ProcessCollector(registry=self.metrics)
        PlatformCollector(registry=self.metrics)
        GCCollector(registry=self.metrics)
        self.server: Server | None = None

    async def serve(self, sock: socket.socket | None = None, *, ready: Callable[[str], None] = lambda _: None) -> None:
        """Listen at once, warm the models, call `ready(address)`, serve until stopped; everything is closed then."""
        with stopped_by_signals(self.stop, drain_s=lambda: self.settings.drain_s + self.engine.drain_s):
            await self._serve(sock or listen(self.settings.host, self.settings.port), ready)

    async def _serve(self, sock: socket.socket, ready: Callable[[str], None]) -> None:
        self.server = Server(
            self._app(), lifecycle=self.lifecycle, drain=self.engine.stop, drain_s=self.settings.drain_s
        )
        serving = asyncio.create_task(self.server.serve([sock]), name="server")
        cleaning = asyncio.create_task(keep_clean(*self._expiring()), name="files")
        counting = asyncio.create_task(keep_clean(self.usage, every_s=_USAGE_S), name="usage")
        disks = watch_disks(Health.of(self.resources), Lakes.of(self.resources), [self.files.folder])
        measuring = asyncio.create_task(disks, name="disks")
        watching: asyncio.Task[None] | None = None
        try:
            starting = asyncio.create_task(self._start(), name="start")
            await asyncio.wait((serving, starting), return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():  # stopped before it was ready
                starting.cancel()
                await asyncio.wait([starting])
            elif starting.exception() is None and not serving.done():
                ready(address_of(sock))
                watching = self._watch()
            else:
                self.server.stop()
                await serving
                starting.result()
            await serving
        finally:
            for task in (serving, watching, cleaning, counting, measuring):
                if task is not None and not task.done():
                    task.cancel()
                    await asyncio.wait([task])
            await self.running.cancel_reembed()
            await self.engine.stop()
            await self.tasks.join()  # what they wait for has ended with the pipelines
            if self.conversations is not None:
                await asyncio.to_thread(self.conversations.close)
            with suppress(Unavailable):  # it was logged when it could not be written before
                await asyncio.to_thread(self.usage.sweep)
            await close_resources(self.resources)
            sock.close()

    def _expiring(self) -> list[Expiring]:
        return [self.files] if self.conversations is None else [self.files, self.conversations]

    def stop(self) -> None:
        """Drain and end; called again, end at once. On the event loop's thread."""
        if self.server is not None:
            self.server.stop()

    def _watch(self) -> asyncio.Task[None] | None:
        if self._watched is None:
            return None
        return asyncio.create_task(follow(self.running.files, self.running.reload, self._read), name="watch")

    async def _start(self) -> None:
        if (downloads := self.resources.find(Downloads)) is not None:
            await downloads.fetch_all(named_models(self.configuration.pipelines.values()))
        await self.engine.start(self.configuration)
        self.resources.get(Warmup).start()
        self.lifecycle.serve()

    def _check_speech(self, settings: SpeechSettings) -> None:
        """Refuse what a live session cannot have; a model that can be fetched is on its way from then on."""
        downloads = self.resources.find(Downloads)
        if downloads is not None and settings.model and downloads.begin(settings.model):
            raise Unavailable(f"{settings.model} is being fetched; GET /v1/models says how far it is, try again then")
        self.resources.get(SpeechEngines).check(settings)

    def _app(self) -> Any:  # an ASGI application
        return create_app(
            self.settings,
            routes=self.resources.get(HttpRoutes),
            lifecycle=self.lifecycle,
            stats=self.stats,
            cached_answers=self.cached_answers,
            files=self.files,
            usage=self.usage,
            client_secrets=self.client_secrets,
            endpoints=self.endpoints(),
        )

    def endpoints(self) -> list[BaseRoute]:
        """Return what the server answers itself."""
        site = ServerContext(
            running=self.running,
            resources=self.resources,
            routes=self.resources.get(HttpRoutes),
            lifecycle=self.lifecycle,
            stats=self.stats,
            metrics=lambda: generate_latest(self.metrics),
            version=distribution_version(),
            cached_answers=self.cached_answers,
            files=self.files,
            conversations=self.conversations,
            usage=self.usage,
            client_secrets=self.client_secrets,
            fetcher=Fetcher(self.settings.urls),
            tasks=self.tasks,
            metrics_path=self.settings.metrics_path,
        )
        references = References(site.fetcher, self.files)
        answers = AnswerPipelines.of(self.resources, references, self.running.default_model)
        realtime = RealtimeRoute.of(self.resources, self.lifecycle, self._check_speech, answers)
        return [realtime, *own_routes(site), *openapi.routes(site)]


def _cached_answers(settings: ServerSettings, resources: Resources) -> CachedAnswers | None:
    """Return what gives answers again, where the settings ask for it."""
    if settings.cache is None:
        return None
    return CachedAnswers(ResponseCache(settings.cache), revisions(resources.get(Models).catalog))


def run_process(process: Process, *, ready: Callable[[str], None], sock: socket.socket | None = None) -> None:
    """Run a process to its end; its spans go where OTEL_TRACES_EXPORTER says."""
    export_spans()

    def settled(address: str) -> None:
        freeze_gc()
        ready(address)

    try:
        with new_runner() as runner:
            runner.run(process.serve(sock, ready=settled))
    finally:
        unfreeze_gc()


def new_runner() -> asyncio.Runner:
    """Return a runner on uvloop where there is one."""
    try:
        import uvloop
    except ImportError:  # not on Windows
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)
