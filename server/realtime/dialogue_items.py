"""The items of a session, in order: what was said and typed, answered, called and returned.

An item is kept as the API shows it, but for the sound: what is spoken is kept as text. `as_input` makes of it what the
Responses API takes, so that one reader (`server/wire/chat/items.py`) makes messages of both.
"""

from __future__ import annotations

import base64
import struct
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Final

from fastembed.pipeline.errors import InvalidInput
from fastembed.server.wire.fields import Fields, refuse

DialogueItem = dict[str, Any]

MAX_ITEMS: Final = 1_024
"""Items that a session remembers; then the oldest is forgotten."""
MAX_BYTES: Final = 16 * 2**20
"""What a client's own items may take together: pictures and sounds, mostly."""
_ROLES: Final = ("user", "assistant", "system")
_PARTS: Final = {
    "user": ("input_text", "input_audio", "input_image"),
    "system": ("input_text",),
    "assistant": ("output_text", "output_audio", "text"),
}
_TYPES: Final = ("message", "function_call", "function_call_output")
_WAV: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")
_LONGEST_ID: Final = 128


class DialogueItems:
    """Items by id. Every method that looks one up raises InvalidInput where it is not there."""

    def __init__(self, most: int = MAX_ITEMS) -> None:
        self._items: OrderedDict[str, DialogueItem] = OrderedDict()
        self._bytes: dict[str, int] = {}
        self._most = most

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._items

    def __len__(self) -> int:
        return len(self._items)

    def all(self) -> list[DialogueItem]:
        """Return the items, the first first."""
        return list(self._items.values())

    def add(self, item: DialogueItem, after: str | None = None, *, size: int = 0) -> str | None:
        """Add an item behind `after` ("root": before all; None: at the end); return the id of the one before it.

        size: bytes of a client's own item, which are bounded.
        """
        if item["id"] in self._items:
            refuse(f"found {item['id']!r:.150}, expected an id of its own: this one is taken", "item.id")
        if after not in (None, "root") and after not in self._items:
            raise _unknown(after, "previous_item_id")
        if size and sum(self._bytes.values()) + size > MAX_BYTES:
            refuse(f"found more than {MAX_BYTES:,} bytes in this session's items, expected fewer: delete some", "item")
        self._items[item["id"]] = item
        if size:
            self._bytes[item["id"]] = size
        order = list(self._items)
        if after is not None:
            order = order[:-1]
            place = 0 if after == "root" else order.index(after) + 1
            for later in order[place:]:
                self._items.move_to_end(later)
            order.insert(place, item["id"])
        place = order.index(item["id"])
        if len(self._items) > self._most:
            self.remove(next(iter(self._items)))
        return order[place - 1] if place else None

    def get(self, item_id: object) -> DialogueItem:
        """Return an item."""
        if not isinstance(item_id, str) or item_id not in self._items:
            raise _unknown(item_id, "item_id")
        return self._items[item_id]

    def remove(self, item_id: str) -> None:
        """Forget an item."""
        del self._items[item_id]
        self._bytes.pop(item_id, None)


def _unknown(item_id: object, param: str) -> InvalidInput:
    return InvalidInput(
        f"found {param} {item_id!r:.100}, expected that of an item of this session", param=param, code="item_not_found"
    )


def read_item(fields: Fields, new_id: str) -> DialogueItem:
    """Return a client's item, checked. InvalidInput names the field at fault."""
    kind = fields.choice("type", _TYPES) or fields.refuse("type", f"one of {', '.join(_TYPES)}")
    item: DialogueItem = {
        "id": fields.text("id", most=_LONGEST_ID) or new_id,
        "object": "realtime.item",
        "type": kind,
        "status": "completed",
    }
    fields.choice("status", ("completed", "incomplete", "in_progress"))
    fields.text("object")
    if kind == "message":
        fields.known({"id", "object", "type", "status", "role", "content"})
        role = fields.choice("role", _ROLES) or fields.refuse("role", f"one of {', '.join(_ROLES)}")
        parts = fields.each("content", "a list of parts", lambda part: _part(part, role), most=64)
        return {**item, "role": role, "content": parts}
    call_id = (
        fields.needed("call_id", "the id of the call") if kind == "function_call_output" else fields.text("call_id")
    )
    if kind == "function_call_output":
        fields.known({"id", "object", "type", "status", "call_id", "output"})
        return {**item, "call_id": call_id, "output": _text(fields, "output")}
    fields.known({"id", "object", "type", "status", "call_id", "name", "arguments"})
    name = fields.needed("name", "the function's name")
    return {**item, "call_id": call_id or new_id, "name": name, "arguments": _text(fields, "arguments")}


def _text(fields: Fields, name: str) -> str:
    found = fields.text(name)
    return fields.refuse(name, "a string") if found is None else found


def _part(part: Fields, role: str) -> dict[str, Any]:
    kind = part.choice("type", _PARTS[role]) or part.refuse("type", " or ".join(_PARTS[role]))
    if kind == "input_image":
        part.known({"type", "image_url", "detail"})
        url = part.needed("image_url", "a data URI of a picture")
        return {"type": kind, "image_url": url, "detail": part.text("detail") or "auto"}
    part.known({"type", "text", "audio", "transcript"})
    if kind in ("input_text", "output_text", "text"):
        return {"type": "input_text" if role != "assistant" else "output_text", "text": _text(part, "text")}
    found = {"type": kind, "transcript": part.text("transcript")}
    if (audio := part.text("audio")) is not None and kind == "input_audio":
        try:
            base64.b64decode(audio, validate=True)
        except ValueError:
            part.refuse("audio", "base64 of sound in the session's format")
        found["audio"] = audio
    return found


def spoken_item(item_id: str, transcript: str | None = None) -> DialogueItem:
    """Return the item of what was said into the microphone."""
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_audio", "transcript": transcript}],
    }


def shown_item(item: DialogueItem, *, sound: bool = False) -> DialogueItem:
    """Return an item as events show it: without its sound, unless it was retrieved."""
    if sound or item["type"] != "message":
        return {**item}
    parts = [{name: value for name, value in part.items() if name != "audio"} for part in item["content"]]
    return {**item, "content": parts}


def as_input(items: Iterable[DialogueItem], rate_hz: int, codec: str) -> list[dict[str, Any]]:
    """Return items as the Responses API takes them. rate_hz, codec: of sound that clients put into items."""
    found = []
    for item in items:
        if item["type"] != "message":
            found.append({name: value for name, value in item.items() if name not in ("object", "status", "id")})
            continue
        parts = [made for part in item["content"] if (made := _input_part(part, rate_hz, codec)) is not None]
        if parts:
            found.append({"type": "message", "role": item["role"], "content": parts})
    return found


def _input_part(part: dict[str, Any], rate_hz: int, codec: str) -> dict[str, Any] | None:
    kind, transcript = part["type"], part.get("transcript")
    if kind not in ("input_audio", "output_audio"):
        return part
    if transcript or kind == "output_audio":
        text = "input_text" if kind == "input_audio" else "output_text"
        return {"type": text, "text": transcript} if transcript else None
    if "audio" not in part:
        return None  # nobody spoke in it
    data = base64.b64encode(_wav(base64.b64decode(part["audio"]), rate_hz, codec)).decode()
    return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}


def _wav(data: bytes, rate_hz: int, codec: str) -> bytes:
    """Return sound as a WAV file (RFC 2361 has the codecs' numbers)."""
    number, width = {"pcmu": (7, 1), "pcma": (6, 1)}.get(codec, (1, 2))
    sizes = (16, number, 1, rate_hz, rate_hz * width, width, 8 * width)
    return _WAV.pack(b"RIFF", len(data) + 36, b"WAVE", b"fmt ", *sizes, b"data", len(data)) + data
