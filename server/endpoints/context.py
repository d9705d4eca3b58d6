"""What the server's own endpoints are given: the running pipelines and the objects of the process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, time
from typing import Any, Final, Protocol

from fastembed.pipeline.component import Resources
from fastembed.pipeline.tasks import Tasks
from fastembed.server.caching.cached_answers import CachedAnswers
from fastembed.server.caching.response_cache import ResponseCache
from fastembed.server.conversations.store import ConversationStore
from fastembed.server.fetching.fetcher import NOWHERE, Fetcher
from fastembed.server.files.store import FileStore
from fastembed.server.files.uploads import UploadStore
from fastembed.server.http.lifecycle import Lifecycle
from fastembed.server.keys.client_secrets import ClientSecrets
from fastembed.server.keys.usage import UsageLog
from fastembed.server.observability.http_metrics import HttpMetrics
from fastembed.sinks.lake.dead_letters import Replayed
from fastembed.sinks.lake.listing import FailureRow
from fastembed.sinks.lake.reembedding import ReembedStatus
from fastembed.sources.folder import Folder
from fastembed.sources.http import HttpRoutes

_log: Final = logging.getLogger("fastembed.http")


def log_crash(error: BaseException) -> None:
    """Log what a task that nobody waits for did not catch."""
    _log.error("a task failed: %s", error, exc_info=error)


@dataclass(frozen=True, slots=True)
class StageView:
    """A step of a running pipeline. waiting: items before it, oldest_seconds: how long the first of them has waited.

    outcomes: items that ended here. mean_seconds: of one call; None before the first.
    """

    name: str
    items_in: int
    items_out: int
    waiting: int
    oldest_seconds: float
    retries: int
    mean_seconds: float | None
    outcomes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PipelineView:
    """A pipeline as an operator of the server sees it; plain values, JSON as it is.

    source: `http POST /v1/embeddings`. guarantee: `at most once`, `exactly once`, ...
    waiting: items in flight that nothing works on yet. outcomes: items by how they ended. problem: what
    is wrong around it and may pass, "" if nothing is. stages: its steps as they run.
    """

    name: str
    source: str
    sink: str
    guarantee: str
    models: Sequence[str]
    definition: str
    state: str
    admitted: int = 0
    in_flight: int = 0
    waiting: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""
    stages: Sequence[StageView] = ()


class PipelineRuntime(Protocol):
    """The pipelines of this process."""

    def views(self) -> Sequence[PipelineView]:
        """Describe each pipeline."""

    def default_model(self, path: str) -> str:
        """Return what "auto" means to the pipeline that serves POST on this path: its own `model:`, else "auto"."""

    def waiting_for(self) -> Sequence[str]:
        """Say what is not warm yet; empty when all is."""

    def failure_folders(self, pipeline: str | None) -> Sequence[Path]:
        """Return where the pipelines (or one of them) put failed files."""

    def folders(self) -> Mapping[str, Folder]:
        """Return the watched folders by the names of their pipelines, those that run."""

    def forget_missing(self, pipeline: str) -> int:
        """Forget the missing files of a folder pipeline whose rows were retained; return how many."""

    def failed_items(self, pipeline: str | None) -> Sequence[FailureRow]:
        """List the items, of whatever source, that failed and are no files of a folder; blocks."""

    async def replay_items(self, pipeline: str | None, names: Sequence[str] | None) -> Sequence[Replayed]:
        """Resume such items at the step where they failed; wait until they have ended."""

    async def reembed(self, pipeline: str | None) -> Sequence[ReembedStatus]:
        """Start giving the chunks of a pipeline's table (None: of all) new vectors; return how far each is."""

    def reembed_statuses(self) -> Sequence[ReembedStatus]:
        """Return how far each table is that gets new vectors, or got them since the start."""

    async def cancel_reembed(self) -> Sequence[ReembedStatus]:
        """Stop giving chunks new vectors; return how far each table is."""

    async def reload(self) -> Mapping[str, Any]:
        """Read the configuration again; say what changed. ConfigError: nothing did."""


@dataclass(frozen=True, slots=True)
class ServerContext:
    """Everything the endpoints need, handed in once. metrics: the Prometheus text.

    cached_answers: the answers that are kept, if any are. files: what clients uploaded; None: no files are stored.
    conversations: stored responses; None: none are. client_secrets: keys of realtime sessions. usage: what each key has
    used; None: nothing is counted. uploads: files that come in parts; None: none do. fetcher: gets URLs. tasks: owns
    what goes on after a request has been answered. metrics_path: where the metrics are served; None: nowhere.
    """

    running: PipelineRuntime
    resources: Resources
    routes: HttpRoutes
    lifecycle: Lifecycle
    stats: HttpMetrics
    metrics: Callable[[], bytes]
    version: str
    cached_answers: CachedAnswers | None = None
    files: FileStore | None = None
    conversations: ConversationStore | None = None
    usage: UsageLog | None = None
    uploads: UploadStore | None = None
    fetcher: Fetcher = NOWHERE
    client_secrets: ClientSecrets = field(default_factory=ClientSecrets)
    tasks: Tasks = field(default_factory=lambda: Tasks(log_crash))
    metrics_path: str | None = "/metrics"
    started_at: float = field(default_factory=time)
    started_s: float = field(default_factory=monotonic)

    @property
    def cache(self) -> ResponseCache | None:
        """The store behind `cached_answers`."""
        return self.cached_answers.cache if self.cached_answers else None
