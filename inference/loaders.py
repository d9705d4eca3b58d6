"""How a model of each task is loaded. Another task is one more line in `LOADERS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from inference.chat.model import ChatModel
from inference.chat.options import PLAIN, ChatOptions
from inference.devices import Devices
from inference.embedding.model import EmbeddingModel
from inference.folders import Task
from inference.rerank.model import RerankModel
from inference.speech.whisper import WhisperEngine


class LoadedModel(Protocol):
    """What every loaded model is, whatever else it can do. device: OpenVINO's name of where it runs."""

    name: str
    folder: Path
    device: str

    async def close(self) -> None:
        """Serve what was admitted, then free the model."""


@dataclass(frozen=True, slots=True)
class Loading:
    """One model to load on one device."""

    name: str
    task: Task
    folder: Path
    device: str
    devices: Devices
    options: ChatOptions = PLAIN


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
    memory = of.devices.limits(of.device).memory
    return ChatModel(of.name, of.folder, device=of.device, properties=properties, memory=memory, options=of.options)


def _transcription(of: Loading) -> LoadedModel:
    loaded = WhisperEngine(of.folder, name=of.name, devices=[of.device])
    loaded.load()
    return loaded


LOADERS: Final[Mapping[Task, Callable[[Loading], LoadedModel]]] = {
    "embedding": _embedding,
    "rerank": _rerank,
    "chat": _chat,
    "code": _chat,
    "transcription": _transcription,
}
"""Each blocks, for seconds, off the event loop. RuntimeError, as OpenVINO raises it, or Unavailable: not here."""


def process_of(model: LoadedModel) -> int | None:
    """Return the id of the process that holds a model; None: this one."""
    return model.process.pid if isinstance(model, ChatModel) else None
