"""POST /v1/models/load and /v1/models/unload {"model": NAME}: a model into memory before it is needed, and out of it.

Loading waits until the model is there; idle ones leave where it needs their room. Unloading refuses a model that is in
use (409) or that `pin: true` keeps; the next request that needs it loads it again.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from fastembed.inference.library.catalog import AUTO, ModelCard
from fastembed.inference.library.tasks import TASKS
from fastembed.inference.serving.models import Models
from fastembed.pipeline.errors import Conflict, ModelNotFound
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.wire.fields import read_fields
from fastembed.server.wire.operation import Operation
from fastembed.server.wire.responses import json_answer
from fastembed.server.wire.schema import an_object, string

_MAX_BODY_BYTES: Final = 2**16
_NAMED: Final = an_object({"model": string("its name")}, required=("model",))
_LOAD: Final = Operation("POST", "/v1/models/load", "Load a model", body=_NAMED)
_UNLOAD: Final = Operation("POST", "/v1/models/unload", "Free a model's memory", body=_NAMED)
OPERATIONS: Final = (_LOAD, _UNLOAD)


def is_loadable(card: ModelCard) -> bool:
    """Whether a model's files are here, and something loads models of its kind."""
    kind = TASKS.get(card.task)
    return card.folder is not None and kind is not None and kind.load is not None


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the routes."""

    async def load(request: Request) -> Response:
        models, card = await _asked(site, request, _LOAD)
        if card.task is None or not is_loadable(card):
            raise Conflict(f"found no files of {card.name}, or nothing that loads them by themselves")
        models.give_back(await models.borrow(card.task, card.name, None))
        return json_answer({"object": "model.load", "model": card.name, "state": "ready"})

    async def unload(request: Request) -> Response:
        models, card = await _asked(site, request, _UNLOAD)
        count = await models.unload(card.name)
        return json_answer({"object": "model.unload", "model": card.name, "count": count})

    return [_LOAD.route(load), _UNLOAD.route(unload)]


async def _asked(site: ServerContext, request: Request, operation: Operation) -> tuple[Models, ModelCard]:
    fields = await read_fields(request.scope, request.receive, max_bytes=_MAX_BODY_BYTES)
    fields.known(operation.fields)
    name = fields.needed("model", "a model's name")
    models = site.resources.get(Models)
    for card in models.cards():
        if name != AUTO and name in (card.name, *card.aliases):
            return models, card
    raise ModelNotFound(f"found no model {name:.80}, expected one of GET /v1/models", param="model")
