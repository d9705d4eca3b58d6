"""GET /v1/catalog lists the models that can be had; POST /v1/models/pull fetches one, where `serve --pull` allows it.

The catalog also names those that are here and can be loaded. How far a download is, `GET /v1/models` says. Only models
of the catalogue and of `models:` are fetched: who may send requests may not choose what else this machine downloads.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from fastembed.inference.library.hub.known import KNOWN, KnownModel, command_for, find_known
from fastembed.inference.serving.downloads import Downloads, source_is_here
from fastembed.inference.serving.models import Models
from fastembed.pipeline.errors import Forbidden, ModelNotFound
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.endpoints.model_memory import is_loadable
from fastembed.server.wire.fields import read_fields
from fastembed.server.wire.operation import Operation
from fastembed.server.wire.responses import json_answer, listing
from fastembed.server.wire.schema import an_object, string

_MAX_BODY_BYTES: Final = 2**16
_NAMED: Final = an_object({"model": string("its name")}, required=("model",))

_CATALOG: Final = Operation("GET", "/v1/catalog", "The models that can be had")
_PULL: Final = Operation("POST", "/v1/models/pull", "Begin to fetch a model", body=_NAMED)
OPERATIONS: Final = (_CATALOG, _PULL)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the routes."""

    async def catalog(_: Request) -> Response:
        cards, pulls = site.resources.get(Models).cards(), site.resources.find(Downloads) is not None
        here = {name for card in cards if card.folder for name in (card.name, *card.aliases)}
        rows = await asyncio.to_thread(lambda: [_entry(known, here, pulls=pulls) for known in KNOWN])
        return listing(rows, loadable=[card.name for card in cards if is_loadable(card)])

    async def pull(request: Request) -> Response:
        fields = await read_fields(request.scope, request.receive, max_bytes=_MAX_BODY_BYTES)
        fields.known(_PULL.fields)
        name = fields.needed("model", "a model's name")
        if find_known(name) is None and site.resources.get(Models).catalog.declared(name) is None:
            raise ModelNotFound(f"found no model {name:.80}, expected one of GET /v1/catalog", param="model")
        downloads = site.resources.find(Downloads)
        if downloads is None:
            raise Forbidden(
                f"this server fetches no models: run `{command_for(name)}`, or start it with serve --pull",
                code="pulling_not_allowed",
            )
        begun = downloads.begin(name)
        message = f"{name} is being fetched" if begun else f"{name} is here, or to be got by hand: {command_for(name)}"
        return json_answer({"object": "model.pull", "model": name, "fetching": begun, "message": message}, 202)

    return [_CATALOG.route(catalog), _PULL.route(pull)]


def _entry(known: KnownModel, here: set[str], *, pulls: bool) -> dict[str, Any]:
    """Describe a model of the catalogue. pullable: POST /v1/models/pull gets it; else `command` does."""
    is_here = known.name in here or not here.isdisjoint(known.other_names) or source_is_here(known)
    return {
        "name": known.name,
        "task": known.task,
        "licence": known.licence,
        "command": known.command,
        "here": is_here,
        "pullable": pulls and not is_here and bool(known.repository or known.packaged),
    }
