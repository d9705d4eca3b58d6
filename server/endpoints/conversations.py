"""/v1/conversations (OpenAI API 2.3.0): items that responses go on from and add to; they stay until deleted."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from fastembed.server.conversations.record import Json, StoredItem, StoredRecord, random_id
from fastembed.server.conversations.store import ConversationStore
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.endpoints.responses.stored import MAX_PAGE, item_page
from fastembed.server.endpoints.through import references_of
from fastembed.server.wire.chat.items import MAX_ITEMS, ItemReader
from fastembed.server.wire.fields import Fields, read_fields, refuse
from fastembed.server.wire.metadata import MAX_METADATA, read_metadata
from fastembed.server.wire.operation import Operation
from fastembed.server.wire.responses import json_answer, listing
from fastembed.server.wire.schema import Schema, an_object, choice, listed, string, whole
from fastembed.sources.http import MAX_BODY_BYTES

_METADATA: Final[Schema] = an_object(about=f"at most {MAX_METADATA} pairs of strings")
_ITEMS: Final[Schema] = listed(an_object(), "items as /v1/responses takes them", most=MAX_ITEMS)
_CREATE: Final = Operation(
    "POST", "/v1/conversations", "Begin a conversation", body=an_object({"items": _ITEMS, "metadata": _METADATA})
)
_SHOW: Final = Operation("GET", "/v1/conversations/{id}", "A conversation")
_UPDATE: Final = Operation(
    "POST",
    "/v1/conversations/{id}",
    "Change a conversation's metadata",
    body=an_object({"metadata": _METADATA}, required=("metadata",)),
)
_DELETE: Final = Operation("DELETE", "/v1/conversations/{id}", "Delete a conversation and its items")
_ADD: Final = Operation(
    "POST", "/v1/conversations/{id}/items", "Add items", body=an_object({"items": _ITEMS}, required=("items",))
)
_LIST: Final = Operation(
    "GET",
    "/v1/conversations/{id}/items",
    "The items of a conversation",
    query={"after": string("an item's id"), "limit": whole(1, MAX_PAGE), "order": choice("asc", "desc")},
)
_ITEM: Final = Operation("GET", "/v1/conversations/{id}/items/{item_id}", "One item")
_REMOVE: Final = Operation("DELETE", "/v1/conversations/{id}/items/{item_id}", "Remove an item")
OPERATIONS: Final = (_CREATE, _SHOW, _UPDATE, _DELETE, _ADD, _LIST, _ITEM, _REMOVE)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the routes; none where nothing is stored."""
    if site.conversations is None:
        return []
    own = _Conversations(site, site.conversations)
    return [
        _CREATE.route(own.create),
        _SHOW.route(own.show),
        _UPDATE.route(own.update),
        _DELETE.route(own.delete),
        _ADD.route(own.add),
        _LIST.route(own.items),
        _ITEM.route(own.item),
        _REMOVE.route(own.remove),
    ]


class _Conversations:
    """The handlers."""

    def __init__(self, site: ServerContext, store: ConversationStore) -> None:
        self._site = site
        self._store = store

    async def create(self, request: Request) -> Response:
        fields = await _read(request, _CREATE)
        items = await self._items(request, fields) if fields.raw("items") else []
        body = {"metadata": dict(read_metadata(fields))}
        record = StoredRecord(random_id("conv"), _owner(request), "conversation", int(time.time()), body)
        await asyncio.to_thread(self._store.save, record, [StoredItem(item) for item in items])
        return json_answer(_describe(record))

    async def show(self, request: Request) -> Response:
        return json_answer(_describe(await self._find(request)))

    async def update(self, request: Request) -> Response:
        found = await self._find(request)
        fields = await _read(request, _UPDATE)
        body = {"metadata": dict(read_metadata(fields))}
        changed = StoredRecord(found.id, found.owner, "conversation", found.created_at, body)
        await asyncio.to_thread(self._store.save, changed)
        return json_answer(_describe(changed))

    async def delete(self, request: Request) -> Response:
        id_ = request.path_params["id"]
        await asyncio.to_thread(self._store.delete, _owner(request), id_, "conversation")
        return json_answer({"id": id_, "object": "conversation.deleted", "deleted": True})

    async def add(self, request: Request) -> Response:
        found = await self._find(request)
        items = await self._items(request, await _read(request, _ADD))
        await asyncio.to_thread(self._store.add, found.owner, found.id, [StoredItem(item) for item in items])
        ends = {"first_id": items[0]["id"], "last_id": items[-1]["id"]} if items else {}
        return listing(items, has_more=False, **ends)

    async def items(self, request: Request) -> Response:
        found = await self._find(request)
        items = await asyncio.to_thread(self._store.items, found.owner, found.id)
        return item_page(request, [item.body for item in items])

    async def item(self, request: Request) -> Response:
        found = await self._find(request)
        id_ = request.path_params["item_id"]
        item = await asyncio.to_thread(self._store.item, found.owner, id_, param="item_id", holder=found.id)
        return json_answer(item.body)

    async def remove(self, request: Request) -> Response:
        found = await self._find(request)
        await asyncio.to_thread(self._store.remove_item, found.owner, found.id, request.path_params["item_id"])
        return json_answer(_describe(found))

    async def _find(self, request: Request) -> StoredRecord:
        return await asyncio.to_thread(
            self._store.find, _owner(request), request.path_params["id"], "conversation", param="conversation_id"
        )

    async def _items(self, request: Request, fields: Fields) -> list[Json]:
        """Read the field `items`; what they refer to is looked at now, so that no response fails over it later."""
        reader = ItemReader(references_of(self._site, request.scope), _no_reference, lenient=True)
        found = fields.entries("items", "a list of items", most=MAX_ITEMS)
        read = [await reader.read(fields.inner(entry, place)) for place, entry in found]
        return [item for item in read if item is not None]


async def _read(request: Request, operation: Operation) -> Fields:
    fields = await read_fields(request.scope, request.receive, max_bytes=MAX_BODY_BYTES)
    fields.known(operation.fields)
    return fields


async def _no_reference(id_: str, place: str) -> Json:
    """Refuse a reference: what is in a conversation must be there when the response that had it is gone."""
    refuse(f"found a reference to {id_!r:.80}, expected the item itself", place)


def _owner(request: Request) -> str:
    owner: str = request.scope["owner"]
    return owner


def _describe(found: StoredRecord) -> dict[str, Any]:
    return {
        "id": found.id,
        "object": "conversation",
        "created_at": int(found.created_at),
        "metadata": found.body["metadata"],
    }
