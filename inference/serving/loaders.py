"""How a model of each task is loaded, and what of memory it takes. Another task is one more line in `LOADERS`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from fastembed.inference.engines.chat.folder import cache_range, with_draft
from fastembed.inference.engines.chat.folder import read_traits as read_chat
from fastembed.inference.engines.chat.model import ChatModel
from fastembed.inference.engines.chat.options import PLAIN, ChatOptions
from fastembed.inference.engines.docling.folder import read_traits as read_document
from fastembed.inference.engines.docling.model import PAGES_AT_ONCE, DoclingModel
from fastembed.inference.engines.embedding.model import EmbeddingModel
from fastembed.inference.engines.rerank.model import RerankModel
from fastembed.inference.engines.speech.whisper import WhisperEngine
from fastembed.inference.library.devices import Devices, family
from fastembed.inference.library.folders import Task

_DOCUMENT_THREADS: Final = 2


class LoadedModel(Protocol):
    """What every loaded model is, whatever else it can do. device: OpenVINO's name of where it runs."""

    name: str
    folder: Path
    device: str

    async def close(self) -> None:
        """Serve what was admitted, then free the model."""


@dataclass(frozen=True, slots=True)
class Loading:
    """One model to load on one device.

    extra: bytes that it may work with beside what it takes itself, None: as many as it can use.
    """

    name: str
    task: Task
    folder: Path
    device: str
    devices: Devices
    options: ChatOptions = PLAIN
    extra: int | None = None


def extra_range(of: Loading) -> tuple[int, int]:
    """Return the bytes beside the model itself that it needs, and those that it can use: contexts, pages, speakers.

    Blocks for a look at the disk. ModelNotFound names what its folder lacks.
    """
    if of.task in ("chat", "code") and family(of.device) != "npu":
        return cache_range(with_draft(read_chat(of.folder), of.options.draft))
    if of.task == "document":
        page = read_document(of.folder).page_bytes
        return page, PAGES_AT_ONCE * page
    return 0, 0


async def load(of: Loading) -> LoadedModel:
    """Load a model, in a thread or a process of its own. RuntimeError (OpenVINO's), Unavailable, ModelNotFound."""
    return await asyncio.to_thread(LOADERS[of.task], of)


def processes_of(model: LoadedModel) -> list[int] | None:
    """Return the ids of the processes that hold a model; None: this one does."""
    if isinstance(model, ChatModel):
        return [model.process.pid]
    if isinstance(model, DoclingModel):
        return [model.pid] if model.pid is not None else []
    return None


def yet_to_take(model: LoadedModel) -> int:
    """Return the bytes that a model, which was just loaded, may come to take beside what it takes now."""
    if isinstance(model, ChatModel):
        return model.process.cache_bytes
    if isinstance(model, DoclingModel):
        return model.pages * read_document(model.folder).page_bytes
    return 0


def _embedding(of: Loading) -> LoadedModel:
    loaded = EmbeddingModel(of.name, of.folder, of.devices, of.device)
    loaded.warm()
    return loaded


def _rerank(of: Loading) -> LoadedModel:
    loaded = RerankModel(of.name, of.folder, of.devices, of.device)
    loaded.warm()
    return loaded


def _chat(of: Loading) -> LoadedModel:
    properties = of.devices.generation_properties(of.device)
    return ChatModel(of.name, of.folder, device=of.device, properties=properties, cache=of.extra, options=of.options)


def _document(of: Loading) -> LoadedModel:
    threads = {"INFERENCE_NUM_THREADS": _DOCUMENT_THREADS} if family(of.device) == "cpu" else {}
    pages = PAGES_AT_ONCE if of.extra is None else of.extra // read_document(of.folder).page_bytes
    return DoclingModel(
        of.name,
        of.folder,
        device=of.device,
        properties=threads | of.devices.generation_properties(of.device),
        pages=max(1, min(PAGES_AT_ONCE, pages)),
    )


def _transcription(of: Loading) -> LoadedModel:
    loaded = WhisperEngine(of.folder, name=of.name, devices=[of.device])
    loaded.load()
    loaded.try_out()
    return loaded


LOADERS: Final[Mapping[Task, Callable[[Loading], LoadedModel]]] = {
    "embedding": _embedding,
    "rerank": _rerank,
    "chat": _chat,
    "code": _chat,
    "transcription": _transcription,
    "document": _document,
}
"""Each blocks, for seconds, off the event loop. RuntimeError, as OpenVINO raises it, or Unavailable: not here."""
