"""Ollama's paths about models: `/api/tags`, `/api/show`, `/api/ps`, `/api/version`, `/api/pull`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from fastembed.inference.library.catalog import ModelCard
from fastembed.inference.library.hub.known import find_known
from fastembed.inference.serving.models import Models
from fastembed.pipeline.errors import ModelNotFound
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.endpoints.ollama.request import NDJSON, model_name
from fastembed.server.wire.fields import Fields, read_fields
from fastembed.server.wire.operation import Operation
from fastembed.server.wire.responses import json_answer
from fastembed.server.wire.schema import an_object, flag, string
from fastembed.sources.http import MAX_BODY_BYTES

_NAMED: Final = {"model": string(), "name": string("another name of model")}
TAGS: Final = Operation("GET", "/api/tags", "The models that are here, as Ollama lists them")
SHOW: Final = Operation("POST", "/api/show", "One model", body=an_object({**_NAMED, "verbose": flag("without effect")}))
PS: Final = Operation("GET", "/api/ps", "The models that are loaded")
VERSION: Final = Operation("GET", "/api/version", "The version of this server")
PULL: Final = Operation(
    "POST",
    "/api/pull",
    "Say that a model is here, or which command gets it",
    body=an_object({**_NAMED, "stream": flag(default=True), "insecure": flag("without effect")}),
)
OF_MODELS: Final = (TAGS, SHOW, PS, VERSION, PULL)

_TASKS: Final = ("chat", "code", "embedding")
_FAMILY: Final = "openvino"
_KEPT: Final = timedelta(minutes=5)


class OllamaLibrary:
    """The handlers."""

    def __init__(self, site: ServerContext) -> None:
        self._site = site

    async def tags(self, _: Request) -> Response:
        """GET /api/tags."""
        cards = [card for card in self._cards() if card.task in _TASKS and card.folder]
        return json_answer({"models": await asyncio.to_thread(lambda: [_entry(card) for card in cards])})

    async def show(self, request: Request) -> Response:
        """POST /api/show."""
        card = self._card(await _read(request, SHOW))
        info = {
            "general.architecture": _FAMILY,
            "general.basename": card.name,
            "general.parameter_count": _parameters(card),
            f"{_FAMILY}.context_length": card.window,
            f"{_FAMILY}.embedding_length": card.dimensions,
        }
        return json_answer(
            {
                "modelfile": f"# served by FastEmbed from OpenVINO files\nFROM {card.name}\n",
                "parameters": "",
                "template": "",
                "license": card.capabilities.licence or "",
                "details": _details(card),
                "model_info": {name: value for name, value in info.items() if value is not None},
                "capabilities": _capabilities(card),
                "modified_at": _modified(card),
            }
        )

    async def loaded(self, _: Request) -> Response:
        """GET /api/ps."""
        models = self._site.resources.get(Models)
        held = {resident.entry.key[0]: resident for resident in models.residents.known.values() if resident.model}
        cards = [card for card in self._cards() if card.name in held and card.task in _TASKS]
        until = (datetime.now(UTC) + _KEPT).isoformat()  # the planner decides; clients only show it
        return json_answer(
            {
                "models": [
                    {**_entry(card), "expires_at": until, "size_vram": 0, "context_length": card.window}
                    for card in cards
                ]
            }
        )

    async def version(self, _: Request) -> Response:
        """GET /api/version."""
        return json_answer({"version": self._site.version})

    async def pull(self, request: Request) -> Response:
        """POST /api/pull: nothing is downloaded over HTTP; the answer to a model that is missing names the command."""
        fields = await _read(request, PULL)
        self._card(fields)
        stream = fields.flag("stream", default=True)
        return Response(
            orjson.dumps({"status": "success"}) + b"\n", media_type=NDJSON if stream else "application/json"
        )

    def _cards(self) -> Iterable[ModelCard]:
        return self._site.resources.get(Models).cards()

    def _card(self, fields: Fields) -> ModelCard:
        name = model_name(fields)
        for card in self._cards():
            if name in (card.name, *card.aliases) and card.folder:
                return card
        known = find_known(name)
        advice = known.command if known else "GET /api/tags lists those that are here"
        raise ModelNotFound(f"found no model {name:.80}: {advice}", param="model")


async def _read(request: Request, operation: Operation) -> Fields:
    fields = await read_fields(request.scope, request.receive, max_bytes=MAX_BODY_BYTES)
    fields.known(operation.fields)
    return fields


def _entry(card: ModelCard) -> dict[str, Any]:
    modified = _modified(card)
    digest = sha256(f"{card.name} {modified}".encode()).hexdigest()
    return {
        "name": card.name,
        "model": card.name,
        "modified_at": modified,
        "size": _size(card.folder),
        "digest": digest,
        "details": _details(card),
    }


def _details(card: ModelCard) -> dict[str, Any]:
    parameters = _parameters(card)
    return {
        "parent_model": "",
        "format": _FAMILY,
        "family": _FAMILY,
        "families": [_FAMILY],
        "parameter_size": _count(parameters) if parameters else "",
        "quantization_level": "",
    }


def _count(parameters: int) -> str:
    return f"{parameters / 1e9:.3g}B" if parameters >= 1e9 else f"{parameters / 1e6:.3g}M"  # noqa: PLR2004 - a billion


def _parameters(card: ModelCard) -> int | None:
    return round(card.capabilities.size * 1e9) or None


def _capabilities(card: ModelCard) -> list[str]:
    if card.task == "embedding":
        return ["embedding"]
    good_at = card.capabilities.good_at
    return ["completion", *(name for name in ("vision", "tools") if name in good_at)]


def _modified(card: ModelCard) -> str:
    seconds = card.folder.stat().st_mtime if card.folder else 0
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _size(folder: Path | None) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder else 0
