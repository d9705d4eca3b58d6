"""What a response goes on from: the responses before it, or a conversation; and where its items go."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastembed.pipeline.errors import NotFound
from fastembed.server.conversations.record import Json, StoredItem, StoredRecord
from fastembed.server.conversations.store import TTL_S, ConversationStore
from fastembed.server.wire.fields import Fields, refuse


@dataclass(frozen=True, slots=True)
class EarlierItems:
    """The items before those of a request. place: the field that named them."""

    items: tuple[Json, ...] = ()
    place: str = ""
    previous: str | None = None
    conversation: str | None = None
    position: int = 0


class ConversationHistory:
    """The stored conversations of one owner, as requests refer to them. store: None, nothing is stored."""

    def __init__(self, store: ConversationStore | None, owner: str) -> None:
        self.store = store
        self.owner = owner

    async def context(self, fields: Fields) -> EarlierItems:
        """Return what the request goes on from. NotFound names the field."""
        previous = fields.text("previous_response_id", most=128)
        conversation = _conversation(fields)
        if previous and conversation:
            refuse("found previous_response_id and conversation, expected one of them", "conversation")
        if not previous and not conversation:
            return EarlierItems()
        store = self._opened("previous_response_id" if previous else "conversation")
        if previous:
            found = await asyncio.to_thread(store.chain, self.owner, previous, param="previous_response_id")
            return EarlierItems(tuple(item.body for item in found), "previous_response_id", previous=previous)
        await asyncio.to_thread(store.find, self.owner, conversation, "conversation", param="conversation")
        found = await asyncio.to_thread(store.items, self.owner, conversation)
        end = found[-1].position + 1 if found else 0
        return EarlierItems(tuple(item.body for item in found), "conversation", conversation=conversation, position=end)

    async def referenced(self, id_: str, place: str) -> Json:
        """Return the item that an `item_reference` stands for. NotFound names its place."""
        store = self._opened(place)
        return (await asyncio.to_thread(store.item, self.owner, id_, param=place)).body

    async def keep(
        self, response: Mapping[str, Any], given: tuple[Json, ...], *, trace: list[Any], position: int = 0
    ) -> None:
        """Store a response with its items, and add them to its conversation. position: see `EarlierItems`."""
        store = self._opened("store")
        created_at = float(response["created_at"])
        body = {"response": response, "trace": trace, "position": position}
        record = StoredRecord(response["id"], self.owner, "response", created_at, body, created_at + TTL_S)
        answered = [StoredItem(item, "output") for item in response["output"]]
        items = [*(StoredItem(item) for item in given), *answered]
        await asyncio.to_thread(store.save, record, items)
        conversation = response.get("conversation")
        if conversation and response["status"] in ("completed", "incomplete"):
            await asyncio.to_thread(store.add, self.owner, conversation["id"], items)

    def _opened(self, place: str) -> ConversationStore:
        if self.store is None:
            raise NotFound("this server stores no conversations (`serve --conversations-size 0`)", param=place)
        return self.store


def _conversation(fields: Fields) -> str:
    """Return the id in the field `conversation`; "": there is none."""
    found = fields.raw("conversation")
    if isinstance(found, dict):
        return fields.required("conversation").needed("id", "the id of a conversation")
    return fields.text("conversation", most=128) or ""
