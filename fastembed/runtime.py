"""The running process: its engine, its HTTP server, and their common start and end."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from starlette.routing import BaseRoute

from fastembed.assembly import close_resources, make_resources, read_configuration
from fastembed.describing import named_models
from fastembed.inference.library.devices import Devices
from fastembed.inference.library.folders import kept_home
from fastembed.inference.serving.downloads import Downloads
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.resilience.breakers import Breakers
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.inference.serving.warmup.warmup import Warmup
from fastembed.pipeline.collector import freeze_gc, unfreeze_gc
from fastembed.pipeline.component import Resources
from fastembed.pipeline.engine import Engine
from fastembed.pipeline.errors import Unavailable
from fastembed.pipeline.health import Health
from fastembed.pipeline.observe import PipelineCollector
from fastembed.pipeline.payload.audio import SpeechSettings
from fastembed.pipeline.plan import Configuration
from fastembed.pipeline.tasks import Tasks
from fastembed.pipeline.tracing import export_spans
from fastembed.running import RunningPipelines
from fastembed.server.app import create_app
from fastembed.server.batches.internal_calls import InternalCalls
from fastembed.server.batches.keeper import BatchKeeper
from fastembed.server.caching.cached_answers import CachedAnswers, revisions
from fastembed.server.caching.response_cache import ResponseCache
from fastembed.server.conversations.store import ConversationStore
from fastembed.server.endpoints import openapi
from fastembed.server.endpoints.context import ServerContext, log_crash
from fastembed.server.endpoints.registry import ANSWERED_THROUGH, own_routes
from fastembed.server.fetching.fetcher import Fetcher
from fastembed.server.fetching.references import References
from fastembed.server.files.expiry import Expiring, keep_clean
from fastembed.server.files.store import FileStore
from fastembed.server.files.uploads import UploadStore
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
from fastembed.server.realtime.wyoming import WyomingServer
from fastembed.server.settings import ServerSettings
from fastembed.sinks.lake.database import Lakes
from fastembed.sources.batching.store import BatchStore
from fastembed.sources.batching.work import BatchWork
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
        self.uploads = UploadStore(kept_home() / "uploads", self.files)
        self.work = BatchWork(BatchStore(kept_home() / "batches.sqlite"), log_crash)
        self.calls = InternalCalls(self.running.in_flight, ANSWERED_THROUGH)
        self.resources.add(self.work)
        self.resources.add(self.calls)
        self.cached_answers = _cached_answers(settings, self.resources)
        if self.cached_answers is not None:
            self.metrics.register(self.cached_answers.cache)
        ProcessCollector(registry=self.metrics)
        PlatformCollector(registry=self.metrics)
        GCCollector(registry=self.metrics)
        self.server: Server | None = None
        self.answers = AnswerPipelines.of(
            self.resources, References(Fetcher(settings.urls), self.files), self.running.default_model
        )
        self.wyoming = WyomingServer.of(self.resources, self.answers)

    async def serve(self, sock: socket.socket | None = None, *, ready: Callable[[str], None] = lambda _: None) -> None:
        """Listen at once, warm the models, call `ready(address)`, serve until stopped; everything is closed then."""
        with stopped_by_signals(self.stop, drain_s=lambda: self.settings.drain_s + self.engine.drain_s):
            await self._serve(sock or listen(self.settings.host, self.settings.port), ready)

    async def _serve(self, sock: socket.socket, ready: Callable[[str], None]) -> None:
        drain_s, tls = self.settings.drain_s, self.settings.tls
        self.server = Server(self._app(), lifecycle=self.lifecycle, drain=self.engine.stop, drain_s=drain_s, tls=tls)
        serving = asyncio.create_task(self.server.serve([sock]), name="server")
        cleaning = asyncio.create_task(keep_clean(*self._expiring()), name="files")
        counting = asyncio.create_task(keep_clean(self.usage, every_s=_USAGE_S), name="usage")
        disks = watch_disks(Health.of(self.resources), Lakes.of(self.resources), [self.files.folder])
        measuring = asyncio.create_task(disks, name="disks")
        batches = asyncio.create_task(BatchKeeper(self.work, self.files).run(), name="batches")
        watching: asyncio.Task[None] | None = None
        try:
            starting = asyncio.create_task(self._start(), name="start")
            await asyncio.wait((serving, starting), return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():  # stopped before it was ready
                starting.cancel()
                await asyncio.wait([starting])
            elif starting.exception() is None and not serving.done():
                ready(address_of(sock, tls))
                watching = self._watch()
            else:
                self.server.stop()
                await serving
                starting.result()
            await serving
        finally:
            for task in (serving, watching, cleaning, counting, measuring, batches):
                if task is not None and not task.done():
                    task.cancel()
                    await asyncio.wait([task])
            await self.running.cancel_reembed()
            await self.wyoming.close()
            await self.engine.stop()
            await self.work.close()
            await self.tasks.join()  # what they wait for has ended with the pipelines
            if self.conversations is not None:
                await asyncio.to_thread(self.conversations.close)
            with suppress(Unavailable):  # it was logged when it could not be written before
                await asyncio.to_thread(self.usage.sweep)
            await close_resources(self.resources)
            sock.close()

    def _expiring(self) -> list[Expiring]:
        stores: list[Expiring] = [self.files, self.uploads]
        return stores if self.conversations is None else [*stores, self.conversations]

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
        if self.settings.wyoming_port is not None:
            await self.wyoming.start(self.settings.host, self.settings.wyoming_port)
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
        self.calls.app = create_app(
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
        return self.calls.app

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
            uploads=self.uploads,
            fetcher=Fetcher(self.settings.urls),
            tasks=self.tasks,
            metrics_path=self.settings.metrics_path,
        )
        realtime = RealtimeRoute.of(self.resources, self.lifecycle, self._check_speech, self.answers)
        return [*own_routes(site), realtime, *openapi.routes(site)]  # realtime takes every other websocket


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
