"""Whatever a client sends over any wire: an answer, or an error in the form of that wire; never a 5xx."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from fastembed.server.endpoints import conversations, messages, ollama, responses
from tests.unit.server.asgi import call
from tests.unit.server.chatting import chatting

REQUESTS = 1200
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
OBJECT = {"type": "object"}
RESPONSE = {
    "model": "auto",
    "input": [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "hi"},
                {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"},
            ],
        },
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x", "annotations": []}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "y"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
    ],
    "instructions": "i",
    "tools": [{"type": "function", "name": "f", "description": "d", "parameters": OBJECT, "strict": False}],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": OBJECT, "strict": True}, "verbosity": "low"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "include": ["message.output_text.logprobs"],
    "metadata": {"a": "b"},
    "truncation": "auto",
    "stream": True,
    "store": True,
    "background": False,
    "max_output_tokens": 5,
}
MESSAGE = {
    "model": "auto",
    "max_tokens": 5,
    "system": [{"type": "text", "text": "s"}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                {"type": "document", "source": {"type": "text", "data": "x", "media_type": "text/plain"}},
            ],
        },
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "r"}]},
    ],
    "tools": [{"name": "f", "input_schema": OBJECT}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"format": {"type": "json_schema", "schema": OBJECT}, "effort": "low"},
    "stop_sequences": ["x"],
    "stream": True,
}
CHAT = {
    "model": "auto",
    "messages": [
        {"role": "user", "content": "u", "images": [PNG]},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
        {"role": "tool", "tool_name": "f", "content": "r"},
        {"role": "user", "content": "go on"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": OBJECT}}],
    "format": OBJECT,
    "options": {"temperature": 0, "num_predict": 5, "stop": ["x"], "seed": 1, "num_ctx": 5},
    "stream": True,
    "think": True,
}
CONVERSATION = {"items": [{"type": "message", "role": "user", "content": "x"}], "metadata": {"a": "b"}}
BODIES = [
    ("/v1/responses", RESPONSE),
    ("/v1/messages", MESSAGE),
    ("/api/chat", CHAT),
    ("/v1/conversations", CONVERSATION),
]
VALUES = [
    *(None, True, False, 0, -1, 2**40, 1.5, 1e308, 5e-324, "", "x", "a" * 300, "\x00", "auto"),
    *([], {}, [[]], [{}], {"a": 1}, [1], ["x"], {"type": "x"}, [None]),
    *("data:image/png;base64,AAAA", f"file-{'0' * 32}", "resp_x", "conv_x"),
]
NAMES = ("typ", "maxTokens", "foo", "n", "logit_bias", "previous_response_id", "conversation", "thread", "background")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value within one."""
    if path:
        yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield from places(inner, (*path, key))


def mutated(body: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Return a body with one to three values that are lost, doubled, added or others."""
    body = copy.deepcopy(body)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        if not (paths := list(places(body))):
            break
        path = chance.choice(paths)
        holder: Any = body
        for key in path[:-1]:
            holder = holder[key]
        draw = chance.random()
        if draw < 0.15 and isinstance(holder, dict):
            del holder[path[-1]]
        elif draw < 0.25 and isinstance(holder, list):
            holder.insert(0, copy.deepcopy(holder[path[-1]]))
        elif draw < 0.3 and isinstance(holder, dict):
            holder[chance.choice(NAMES)] = copy.deepcopy(chance.choice(VALUES))
        else:
            holder[path[-1]] = copy.deepcopy(chance.choice(VALUES))
    return body


def is_error_of(path: str, found: Any) -> bool:
    """Whether an error has the form of the wire."""
    if path.startswith("/api/"):
        return set(found) == {"error"} and isinstance(found["error"], str)
    if path == "/v1/messages":
        return found["type"] == "error" and set(found["error"]) >= {"type", "message"}
    return set(found["error"]) == {"message", "type", "param", "code"}


async def test_what_cannot_be_understood_is_refused_in_the_wires_form(tmp_path: Path) -> None:
    chance = random.Random(20261130)
    statuses = set()
    async with chatting(wires=(responses, conversations, messages, ollama), store=tmp_path) as chat:
        for _ in range(REQUESTS):
            path, body = chance.choice(BODIES)
            sent = orjson.dumps(mutated(body, chance))
            found = await call(chat.app, "POST", path, body=sent)
            statuses.add((path, found.status))
            assert found.status < 500, (path, sent, found.body)
            assert found.status == 200 or is_error_of(path, found.json), (path, sent, found.body)
            assert b"internal error" not in found.body, (path, sent, found.body)
    assert statuses >= {(path, status) for path, _ in BODIES for status in (200, 400)}
