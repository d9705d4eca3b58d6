"""Models that are fetched when somebody first asks for them; the resource exists only where the user allowed it.

Only names of `models:` and known names are fetched, never whatever repository a request names: who may send requests
may not choose what this machine downloads. Requests for the same model share one download. They wait for it up to
`PATIENCE_S`, then get 503 with the time that is left; what came is kept, and the download goes on without them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from fastembed.inference.library.catalog import AUTO
from fastembed.inference.library.hub.checks import amount
from fastembed.inference.library.hub.fetch import fetch
from fastembed.inference.library.hub.known import KnownModel, command_for, find_known
from fastembed.inference.library.hub.listing import RemoteFile
from fastembed.inference.library.hub.origin import ToExport, packaged, where
from fastembed.inference.library.hub.reference import Reference
from fastembed.inference.library.tasks import TASKS, Task
from fastembed.inference.serving.models import Models
from fastembed.pipeline.errors import FastEmbedError, Unavailable
from fastembed.pipeline.payload.audio import SpeechFile
from fastembed.pipeline.payload.chat import ChatRequest
from fastembed.pipeline.payload.document import DocumentRequest
from fastembed.pipeline.payload.embedding import EmbeddingRequest
from fastembed.pipeline.payload.rerank import RerankRequest

log: Final = logging.getLogger("fastembed.models")
PATIENCE_S: Final = 300.0
"""Less than the read timeout of the usual clients (600 s for OpenAI's), which then come back after the 503."""
_RETRY_S: Final = 60.0
"""How long a failed download stands before it is tried again."""
_LOG_EVERY_S: Final = 10.0


_TASKS: Final[Mapping[type, Task]] = {
    ChatRequest: "chat",
    DocumentRequest: "document",
    EmbeddingRequest: "embedding",
    RerankRequest: "rerank",
    SpeechFile: "transcription",
}


class _Stopped(Exception):
    """The process ends: leave the download where it is."""


@dataclass(slots=True)
class Download:
    """One model on its way. total: bytes, 0 until it is known. failed: `error` says why. absent: nobody has it."""

    name: str
    state: Literal["fetching", "failed", "absent"] = "fetching"
    have: int = 0
    total: int = 0
    error: str = ""
    began_s: float = field(default_factory=time.monotonic)
    ended_s: float = 0.0
    stopping: bool = False
    _files: dict[str, int] = field(default_factory=dict)
    _first: int = 0
    _told_s: float = 0.0

    def planned(self, title: str, files: Sequence[RemoteFile], have: int) -> None:
        """Note what will be downloaded (called in the download's thread, as `has` is)."""
        self.total = sum(file.size for file in files)
        self._first = self.have = have
        log.info("fetching %s: %s, %d files, %s", self.name, title, len(files), amount(self.total))
        self._told_s = time.monotonic()

    def has(self, file: RemoteFile, size: int) -> None:
        """Note the bytes of a file that are here now."""
        if self.stopping:
            raise _Stopped
        self._files[file.path] = size
        self.have = max(self.have, sum(self._files.values()))
        if time.monotonic() - self._told_s > _LOG_EVERY_S:
            self._told_s = time.monotonic()
            log.info("fetching %s: %s", self.name, self.progress)

    def pause(self, seconds: float) -> None:
        """Wait until a lost connection is tried again."""
        log.warning("fetching %s: the connection was lost, going on in %.0f s", self.name, seconds)
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            if self.stopping:
                raise _Stopped
            time.sleep(min(0.2, seconds))

    @property
    def eta_s(self) -> float | None:
        """Seconds until it is here, by its mean speed; None: that is not known yet."""
        elapsed_s, new = time.monotonic() - self.began_s, self.have - self._first
        return None if new <= 0 else elapsed_s / new * (self.total - self.have)

    @property
    def progress(self) -> str:
        """Return how far it is, for people."""
        if not self.total:
            return "asking where its files are"
        eta = f", about {self.eta_s:.0f} s left" if self.eta_s is not None else ""
        return f"{amount(self.have)} of {amount(self.total)} ({100 * self.have // self.total} %){eta}"


class Downloads:
    """The downloads of this process. arrived: called when a model's files are here. Call it on one event loop."""

    def __init__(self, models: Models, arrived: Callable[[], None] = lambda: None) -> None:
        """Fetch nothing yet."""
        self._models = models
        self._arrived = arrived
        self._running: dict[str, asyncio.Task[None]] = {}
        self._known: dict[str, Download] = {}
        self._closed = False

    def states(self) -> Mapping[str, Download]:
        """Return the downloads that run, or failed less than a minute ago, by the model's name."""
        now_s = time.monotonic()
        return {
            name: found
            for name, found in self._known.items()
            if found.state == "fetching" or now_s - found.ended_s < _RETRY_S
        }

    def begin(self, name: str) -> bool:
        """Start fetching a model unless it is here or cannot be had; return whether it is on its way. Never waits."""
        return self._begun(name) is not None

    async def prepare(self, value: object) -> None:
        """Get the model that a request's value names before it is submitted to its pipeline; waits as `ready` does.

        Where another model may answer (`model_fallback`, or "auto"), it does, while the named one is fetched; not for
        embeddings: vectors of the model that answers meanwhile could not be compared with those to come.
        """
        task = _TASKS.get(type(value))
        if task is None:
            return
        named: str = getattr(getattr(value, "settings", value), "model", None) or AUTO
        name: str | None = self._models.catalog.aliases.get(named, named)
        if name == AUTO:
            name = self._first(task)
            waits = TASKS.of(task).choice == "only"
        else:
            waits = not getattr(value, "model_fallback", None)
        if name is None:
            return
        if waits:
            await self.ready(name)
        else:
            self.begin(name)

    async def ready(self, name: str, *, patience_s: float | None = None) -> None:
        """Return when a model's files are here, or at once if nothing can fetch them: who asked is then told why.

        Unavailable: it is still on its way after `patience_s`, or could not be fetched just now.
        """
        download = self._begun(name)
        if download is None:
            return
        if (task := self._running.get(download.name)) is not None:
            await asyncio.wait([task], timeout=PATIENCE_S if patience_s is None else patience_s)
        if download.state == "failed":
            # No time to come back: clients that keep to it would be silent for a minute, twice, before they say why.
            raise Unavailable(
                f"{download.name} could not be fetched: {download.error}; by hand: {command_for(download.name)}",
                code="model_unavailable",
            )
        if download.name in self._running:
            raise Unavailable(
                f"{download.name} is being fetched: {download.progress}; ask again then, or allow another model "
                "meanwhile with model_fallback true",
                code="model_loading",
                retry_after_s=min(60.0, max(1.0, download.eta_s or 10.0)),
            )

    async def fetch_all(self, names: Iterable[str]) -> None:
        """Return when all these models are here that can be fetched. Unavailable: one could not be."""
        for name in names:
            await self.ready(name, patience_s=float("inf"))

    async def close(self) -> None:
        """Leave the downloads where they are."""
        self._closed = True
        for download in self._known.values():
            download.stopping = True
        if self._running:
            await asyncio.wait(self._running.values())

    def _first(self, task: Task) -> str | None:
        """Return what "auto" would mean if it were here: the first model that `models:` declares for a task."""
        catalog = self._models.catalog
        for model in catalog.placed():
            if not catalog.declares(model.name):
                return None
            known = find_known(model.spec.origin) or find_known(model.name)
            if task == (model.task or (known.task if known else None)):
                return model.name
        return None

    def _begun(self, name: str) -> Download | None:
        """Return the download of a model, a new one if need be; None: it is here, or cannot be had."""
        catalog = self._models.catalog
        name = catalog.aliases.get(name, name)
        model = None if name == AUTO else catalog.declared(name)
        known = find_known(name) if model is None else None
        if (model is None and known is None) or (model is not None and model.folder is not None) or self._closed:
            return None
        title = model.name if model else known.name if known else name
        if title in self.states():
            return self._known[title]
        try:
            source, wheels = where(name, catalog), packaged(name, catalog)
        except FastEmbedError:  # it has to be exported, or is a folder that is not there: the request's error says so
            return None
        if not isinstance(source, Reference | KnownModel) or source_is_here(source):
            return None
        self._known[title] = download = Download(title)
        self._running[title] = asyncio.create_task(self._fetch(download, source, wheels), name=f"fetch {title}")
        return download

    async def _fetch(self, download: Download, source: Reference | KnownModel, wheels: KnownModel | None) -> None:
        try:
            pulled = await asyncio.to_thread(fetch, source, wheels, download, os.environ, pause=download.pause)
        except _Stopped:
            log.info("fetching %s: stopped at %s", download.name, download.progress)
            self._known.pop(download.name, None)
        except ToExport as error:
            download.state, download.error, download.ended_s = "absent", str(error), time.monotonic()
            log.warning("%s", error)
        except (FastEmbedError, OSError) as error:
            download.state, download.error, download.ended_s = "failed", str(error), time.monotonic()
            log.error("%s could not be fetched: %s", download.name, error)  # noqa: TRY400 - the cause is in the message
        else:
            log.info("%s is here after %.0f s: %s", download.name, time.monotonic() - download.began_s, pulled.folder)
            self._known.pop(download.name, None)
            self._models.catalog.look_again()
            self._arrived()
        finally:
            self._running.pop(download.name, None)


def source_is_here(source: Reference | KnownModel) -> bool:
    """Whether the files of a source are on this machine."""
    return source.folder.is_dir() and any(source.folder.iterdir())
