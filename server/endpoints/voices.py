"""GET /v1/audio/voices: the voices that are here, without loading a model."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from fastembed.inference.engines.voice.kind import NAME, voices_of
from fastembed.inference.library.catalog import ModelCard
from fastembed.inference.serving.models import Models
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.wire.operation import Operation
from fastembed.server.wire.responses import json_answer

_LIST: Final = Operation("GET", "/v1/audio/voices", "The voices that /v1/audio/speech can use")
OPERATIONS: Final = (_LIST,)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the routes."""

    async def list_voices(_: Request) -> Response:
        cards = [card for card in site.resources.get(Models).cards() if card.task == NAME]
        found = [voice for card in cards for voice in describe(card)]
        return json_answer({"object": "list", "data": found, "voices": [voice["id"] for voice in found]})

    return [_LIST.route(list_voices)]


def describe(card: ModelCard) -> list[dict[str, Any]]:
    """Return the voices of a model: what each is called, and whether it speaks for requests that name none."""
    if card.folder is None:
        return []
    here = voices_of(card.folder)
    return [
        {
            "id": name,
            "object": "voice",
            "name": name,
            "model": card.name,
            "aliases": sorted(alias for alias, target in here.aliases.items() if target == name),
            "default": name == here.default,
        }
        for name in here.names
    ]
