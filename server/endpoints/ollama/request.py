"""Requests of Ollama's `/api/chat` and `/api/generate`: JSON to `ChatRequest`.

Ollama's tool messages name no call: a result answers the first open call of its `tool_name`, or simply the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import orjson

from fastembed.pipeline.payload.chat import ChatRequest, ChatRole, Message, Part, Sampling, TextPart, Tool, ToolCall
from fastembed.server.endpoints.through import CHAT_PATH
from fastembed.server.wire.chat.functions import MAX_TOOLS, check_names, read_function, read_schema
from fastembed.server.wire.chat.media import DATA_URL, MAX_MEDIA, picture
from fastembed.server.wire.chat.sampling import MAX_TOKENS
from fastembed.server.wire.fields import Fields, refuse
from fastembed.server.wire.operation import JSON, Operation
from fastembed.server.wire.schema import an_object, flag, listed, one_of, string

NDJSON: Final = "application/x-ndjson"
MAX_MESSAGES: Final = 2048
MAX_CALLS: Final = 128
_MAX_STOPS: Final = 16
_ROLES: Final = ("system", "user", "assistant", "tool")
_HONOURED: Final = frozenset(
    {
        *("temperature", "top_p", "top_k", "min_p", "seed", "num_predict", "stop"),
        *("repeat_penalty", "presence_penalty", "frequency_penalty"),
    }
)
_MACHINE: Final = frozenset(
    {
        *("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "num_keep", "numa", "use_mmap", "use_mlock"),
        *("low_vram", "f16_kv", "logits_all", "vocab_only", "embedding_only", "penalize_newline", "repeat_last_n"),
        *("mirostat", "mirostat_tau", "mirostat_eta", "tfs_z", "typical_p"),
    }
)
"""How llama.cpp is to run; here the model's declaration says that, and nothing needs to be refused for it."""
_SHARED: Final = {
    "model": string("a name from /api/tags, or auto"),
    "format": one_of(string(), an_object(), about='"json", or a JSON Schema'),
    "options": an_object(
        about="temperature, top_p, top_k, min_p, seed, num_predict, stop, penalties; others: no effect"
    ),
    "stream": flag("a line for each piece", default=True),
    "keep_alive": one_of(string(), {"type": "number"}, about="without effect: what stays loaded, the server decides"),
    "think": one_of(flag(), string(), about="where the model's template knows of it"),
    "logprobs": flag(),
    "top_logprobs": {"type": "integer"},
}
_ANSWER: Final = {JSON: an_object(), NDJSON: an_object(about="lines, the last with done: true")}

CHAT: Final = Operation(
    "POST",
    "/api/chat",
    "Answer a conversation, as Ollama does",
    body=an_object({**_SHARED, "messages": listed(an_object()), "tools": listed(an_object())}, required=("model",)),
    answer=_ANSWER,
    through=CHAT_PATH,
)
GENERATE: Final = Operation(
    "POST",
    "/api/generate",
    "Answer a prompt, as Ollama does",
    body=an_object(
        {
            **_SHARED,
            **{name: string() for name in ("prompt", "system")},
            "images": listed(string(), "base64"),
            "raw": flag("continue the prompt as it is"),
            "suffix": string("only an empty one"),
            "template": string("without effect: the model's own is used"),
            "context": listed({"type": "integer"}, "without effect: use /api/chat"),
        },
        required=("model",),
    ),
    answer=_ANSWER,
    through=CHAT_PATH,
)


@dataclass(frozen=True, slots=True)
class OllamaRequest:
    """A request. chat: None, nothing is asked, the model is to be loaded. name: of the model, as it was sent."""

    name: str
    chat: ChatRequest | None
    stream: bool
    whole_chat: bool


def model_name(fields: Fields) -> str:
    """Return the model that is meant: a tag `latest` is one that Ollama's clients add."""
    name = fields.text("model") or fields.text("name") or fields.refuse("model", "a model's name")
    return name.removesuffix(":latest")


async def decode_chat(fields: Fields) -> OllamaRequest:
    """Check a request of /api/chat. InvalidInput names the field."""
    fields.known(CHAT.fields)
    turns = await _Turns().read(fields) if fields.raw("messages") else ()
    return _request(fields, messages=turns, tools=_tools(fields)) if turns else _loading(fields, chat=True)


async def decode_generate(fields: Fields) -> OllamaRequest:
    """Check a request of /api/generate. InvalidInput names the field."""
    fields.known(GENERATE.fields)
    prompt = fields.text("prompt")
    if fields.text("suffix"):
        refuse("found a suffix, expected none: text is continued, not filled in", "suffix", "unsupported_parameter")
    if not prompt and not fields.raw("images"):
        return _loading(fields, chat=False)
    if fields.flag("raw"):
        return _request(fields, prompt=prompt or "")
    text = (TextPart(prompt),) if prompt else ()
    turns: tuple[Message, ...] = (Message("user", (*await _images(fields), *text)),)
    if system := fields.text("system"):
        turns = (Message("system", (TextPart(system),)), *turns)
    return _request(fields, messages=turns)


def _loading(fields: Fields, *, chat: bool) -> OllamaRequest:
    return OllamaRequest(model_name(fields), None, fields.flag("stream", default=True), chat)


def _request(
    fields: Fields,
    *,
    messages: tuple[Message, ...] = (),
    prompt: str | None = None,
    tools: tuple[Tool, ...] = (),
) -> OllamaRequest:
    stream = fields.flag("stream", default=True)
    template, effort = _thinking(fields)
    chat = ChatRequest(
        messages=messages,
        prompt=prompt,
        model=model_name(fields),
        sampling=_sampling(fields),
        tools=tools,
        json=_form(fields),
        template=template,
        reasoning_effort=effort,
        whole=not stream,
    )
    return OllamaRequest(chat.model, chat, stream, fields.has("messages"))


class _Turns:
    """Reads messages one after the other."""

    def __init__(self) -> None:
        self._open: list[ToolCall] = []
        self._count = 0

    async def read(self, body: Fields) -> tuple[Message, ...]:
        places = body.entries("messages", "a list of messages", most=MAX_MESSAGES)
        return tuple([await self._message(body.inner(entry, place)) for place, entry in places])

    async def _message(self, fields: Fields) -> Message:
        role = fields.choice("role", _ROLES) or fields.refuse("role", f"one of {', '.join(_ROLES)}")
        text = fields.text("content")
        parts: tuple[Part, ...] = (TextPart(text),) if text else ()
        if role == "tool":
            return Message("tool", parts, tool_call_id=self._answered(fields))
        calls: tuple[ToolCall, ...] = ()
        if role == "assistant" and fields.raw("tool_calls"):
            calls = tuple(fields.each("tool_calls", "a list of calls", self._call, most=MAX_CALLS))
        self._open = list(calls)
        images = await _images(fields) if role == "user" else ()
        return Message(cast("ChatRole", role), (*images, *parts), tool_calls=calls)

    def _call(self, fields: Fields) -> ToolCall:
        function = fields.required("function", "an object with name and arguments")
        self._count += 1
        arguments = orjson.dumps(function.mapping("arguments") or {}).decode()
        id_ = fields.text("id") or f"call_{self._count}"
        return ToolCall(id_, function.needed("name", "the name of the function"), arguments)

    def _answered(self, fields: Fields) -> str:
        """Return the id of the call that a tool's message answers."""
        name, id_ = fields.text("tool_name"), fields.text("tool_call_id")
        found = next((call for call in self._open if id_ == call.id), None)
        found = found or next((call for call in self._open if name == call.name), None)
        found = found or next(iter(self._open), None)
        if found is None:
            refuse("found a result, expected a call of the assistant's message before it", fields.place)
        self._open.remove(found)
        return found.id


async def _images(fields: Fields) -> tuple[Part, ...]:
    if not fields.raw("images"):
        return ()
    found = fields.entries("images", "a list of base64", most=MAX_MEDIA)
    return tuple([await _image(place, entry) for place, entry in found])


async def _image(place: str, encoded: Any) -> Part:
    if type(encoded) is not str:
        refuse("found no string, expected base64 of a picture", place, "invalid_type")
    match = DATA_URL.match(encoded)
    return await picture(encoded[match.end() :] if match else encoded, place)


def _tools(fields: Fields) -> tuple[Tool, ...]:
    if not fields.raw("tools"):
        return ()
    tools = tuple(
        fields.each("tools", "a list of tools", lambda tool: read_function(tool.required("function")), most=MAX_TOOLS)
    )
    check_names(tools, "tools[{}].function.name")
    return tools


def _form(fields: Fields) -> Literal["object"] | Mapping[str, Any] | None:
    found = fields.raw("format")
    if found in (None, ""):
        return None
    if isinstance(found, str):
        return "object" if found == "json" else fields.refuse("format", '"json" or a JSON Schema')
    return read_schema(fields, "format", strict=False) or "object"


def _thinking(fields: Fields) -> tuple[Mapping[str, Any], str | None]:
    """Return what the chat template is told, and the effort."""
    found = fields.raw("think")
    if found is None:
        return {}, None
    if isinstance(found, str):
        return {"enable_thinking": True}, fields.choice("think", ("low", "medium", "high"))
    return {"enable_thinking": fields.flag("think")}, None


def _sampling(fields: Fields) -> Sampling:
    """Return how tokens are chosen; what is not said is as in Ollama."""
    options = fields.object("options") or fields.inner({}, "options")
    options.known(_HONOURED | _MACHINE)
    most = options.whole("num_predict", -2, MAX_TOKENS)
    seed = options.whole("seed", -(2**63), 2**63 - 1)
    return Sampling(
        temperature=options.number("temperature", 0, 2, default=0.8),
        top_p=options.number("top_p", 0, 1, default=0.9),
        top_k=40 if (top_k := options.whole("top_k", 0, MAX_TOKENS)) is None else top_k,
        min_p=options.number("min_p", 0, 1, default=0.0) if options.has("min_p") else None,
        max_tokens=most if most is not None and most > 0 else None,
        stop=_stops(options),
        seed=None if seed in (None, -1, 0) else seed,
        presence_penalty=options.number("presence_penalty", -2, 2, default=0.0),
        frequency_penalty=options.number("frequency_penalty", -2, 2, default=0.0),
        repetition_penalty=options.number("repeat_penalty", 0.01, 100, default=1.0)
        if options.has("repeat_penalty")
        else None,
        logprobs=fields.flag("logprobs"),
        top_logprobs=fields.whole("top_logprobs", 0, 20) or 0,
    )


def _stops(options: Fields) -> tuple[str, ...]:
    found = options.raw("stop")
    if isinstance(found, str):
        return (found,) if found else ()
    if not found:
        return ()
    entries = options.entries("stop", "a list of strings", most=_MAX_STOPS)
    if not all(type(entry) is str and entry for _, entry in entries):
        options.refuse("stop", "strings that end the answer", "invalid_type")
    return tuple(entry for _, entry in entries)
