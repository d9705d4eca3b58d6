"""Answers from the cache, for requests that determine their answer.

Theory of operation. A request's key is the digest of all that its answer depends on: the route and the definition of
its pipeline, the model's files, every field. Embeddings and rankings always have one, chats and completions only with
temperature 0 or a seed. What the pipeline sends to the caller is recorded on its way, kept if the item was delivered
whole, and replayed event by event, so that a stream is one again. Errors and answers that were cancelled are never
kept. Requests that want the answer in one piece wait for an equal one that is under way, once; those that stream do
not, since the one under way goes as slowly as its reader reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final, TypeAlias

import numpy as np
import orjson

from fastembed.inference.library.catalog import Catalog
from fastembed.inference.library.tasks import Task
from fastembed.pipeline.errors import ModelNotFound
from fastembed.pipeline.item import Outcome
from fastembed.pipeline.payload.chat import ChatFinished, ChatRequest, TextPart
from fastembed.pipeline.payload.embedding import EmbeddingRequest
from fastembed.pipeline.payload.rerank import RerankRequest
from fastembed.server.caching.response_cache import ResponseCache
from fastembed.sources.http import Http, Results

Revision: TypeAlias = Callable[[str, Task], str]
"""From a model's name and task to what changes when the files behind the name do."""
Send: TypeAlias = Callable[[Results[Any]], Awaitable[Results[Any]]]
"""Sends the request through its pipeline; its results go to the given reply."""

_MANY: Final = 256  # texts: hashing as many long ones takes about 1 ms


def revisions(catalog: Catalog) -> Revision:
    """Return a function that identifies the files behind a model's name, so that new files have new answers."""

    def revision(name: str, task: Task) -> str:
        try:
            placed = catalog.place(name, task)
        except ModelNotFound:
            return name  # the pipeline says so itself, and errors are not kept
        changed = placed.folder.stat().st_mtime_ns if placed.folder is not None else 0
        return f"{placed.name} {placed.folder} {changed}"

    return revision


class CachedAnswers:
    """The cache of answers, by request; equal requests that run at the same time are computed once."""

    def __init__(self, cache: ResponseCache, revision: Revision) -> None:
        self.cache = cache
        self._revision = revision
        self._flights: dict[bytes, asyncio.Future[None]] = {}

    async def key(self, value: object, source: Http) -> bytes | None:
        """Return the digest of what determines the answer; None where chance does, or nothing here knows."""
        if isinstance(value, EmbeddingRequest):
            place = self._place(source, value.model, "embedding")
        elif isinstance(value, RerankRequest):
            place = self._place(source, value.model, "rerank")
        elif isinstance(value, ChatRequest) and (value.sampling.temperature == 0 or value.sampling.seed is not None):
            place = self._place(source, value.model, "chat")
            value = replace(value, whole=False)  # how it is sent, not what is in it
        else:
            return None
        return await asyncio.to_thread(digest, place, value) if _is_large(value) else digest(place, value)

    async def results(self, key: bytes, value: object, send: Send, *, whole: bool) -> tuple[Results[Any], bool]:
        """Return the results of a request, and whether they are from the cache. whole: they are read at once."""
        # An equal request that is computed now is waited for once. Afterwards either its answer is in the cache, or it
        # could not be kept (an error, a cancellation, too large) and this request is computed on its own.
        flight = self._flights.get(key) if whole else None
        if flight is not None and self.cache.find(key) is None:
            await asyncio.shield(flight)  # shielded: others wait for it too when this client disconnects
        kept = self.cache.find(key)
        self.cache.count(hit=kept is not None)
        if kept is not None:
            return Results.of(kept), True
        if whole and key not in self._flights:
            self._flights[key] = asyncio.get_running_loop().create_future()
        elif whole:
            whole = False  # another one is computed already: a queue of equal requests would run one after the other

        def ended(values: Sequence[Any] | None) -> None:
            if values is not None and _is_complete(value, values):
                self.cache.keep(key, values)
            if whole and (flight := self._flights.pop(key, None)) is not None:
                flight.set_result(None)

        try:
            return await send(_RecordedResults(ended)), False
        except BaseException:  # raised again, cancellation too: requests that wait for this answer go on without it
            ended(None)
            raise

    def _place(self, source: Http, model: str, task: Task) -> str:
        return f"{source.method} {source.path} {source.definition} {self._revision(model, task)}"


class _RecordedResults(Results[Any]):
    """Results that are recorded while they are read. ended: gets all of them, or None if they are not cacheable."""

    __slots__ = ("_ended", "_values")

    def __init__(self, ended: Callable[[Sequence[Any] | None], None]) -> None:
        super().__init__()
        self._values: list[Any] = []
        self._ended = ended

    def send_nowait(self, value: Any) -> bool:
        """Take one result."""
        taken = super().send_nowait(value)
        if taken:
            self._values.append(value)
        return taken

    def close(self, outcome: Outcome, error: BaseException | None) -> None:
        """End the results."""
        super().close(outcome, error)
        self._ended(tuple(self._values) if outcome is Outcome.DELIVERED else None)


def digest(place: str, value: object) -> bytes:
    """Return 32 bytes that differ where anything in the request does."""
    options = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    return sha256(orjson.dumps([place, value], default=_plain, option=options)).digest()


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.shape, sha256(np.ascontiguousarray(value).data).hexdigest()]
    if isinstance(value, bytes):  # of an attached file
        return sha256(value).hexdigest()
    raise TypeError(f"found {type(value).__name__} in a request, expected what JSON can hold, bytes or an array")


def _is_large(value: EmbeddingRequest | RerankRequest | ChatRequest) -> bool:
    """Whether hashing may take milliseconds: pictures, sound, files, many texts."""
    if isinstance(value, EmbeddingRequest):
        return len(value.inputs) > _MANY
    if isinstance(value, RerankRequest):
        return len(value.documents) > _MANY
    return any(not isinstance(part, TextPart) for message in value.messages for part in message.parts)


def _is_complete(value: object, results: Sequence[Any]) -> bool:
    """Whether every choice has an end, so that nothing half is ever given again."""
    if isinstance(value, ChatRequest):
        return sum(isinstance(result, ChatFinished) for result in results) == value.count
    return len(results) == 1
