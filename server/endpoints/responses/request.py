"""The request of `POST /v1/responses`: JSON to a `ChatRequest` and what becomes of its answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NoReturn

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.chat import ChatRequest, Message, TextPart
from fastembed.server.conversations.record import Json, random_id
from fastembed.server.endpoints.responses.history import ConversationHistory, EarlierItems
from fastembed.server.endpoints.through import CHAT_PATH
from fastembed.server.fetching.references import References
from fastembed.server.wire.chat.flat_tools import read_text, read_tools
from fastembed.server.wire.chat.items import MAX_ITEMS, ItemReader
from fastembed.server.wire.chat.sampling import (
    EXTENSIONS,
    MAX_TOKENS,
    SAMPLING,
    read_limit,
    read_model,
    read_preferences,
    read_sampling,
)
from fastembed.server.wire.chat.template import read_template
from fastembed.server.wire.fields import Fields, refuse
from fastembed.server.wire.metadata import MAX_METADATA, read_metadata
from fastembed.server.wire.operation import EVENTS, JSON, Operation
from fastembed.server.wire.schema import an_object, choice, flag, listed, one_of, string, whole

EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
MAX_TOP_LOGPROBS: Final = 20
LOGPROBS: Final = "message.output_text.logprobs"

_NO_EFFECT: Final = "checked, without effect"
_SUMMARIES: Final = ("auto", "concise", "detailed", "none")
_TIERS: Final = ("auto", "default", "flex", "scale", "priority", "fast")
_TEXTS: Final = {"user": 512, "safety_identifier": 512, "prompt_cache_key": 1024}
_OBJECTS: Final = ("prompt_cache_options", "access_programs", "background_options", "client_metadata")
_LOCAL: Final = {name: schema for name, schema in SAMPLING.items() if name not in ("n", "max_tokens")}
"""What local servers take beside OpenAI's fields: `stop`, `seed`, `top_k`, ..."""

CREATE: Final = Operation(
    "POST",
    "/v1/responses",
    "Answer a conversation of items, and keep it",
    body=an_object(
        {
            "input": one_of(string(), listed(an_object()), about="text, or items"),
            "model": string("a name from /v1/models; auto if it is left out"),
            "instructions": string("a system message, of this response only"),
            "previous_response_id": string("the stored response that this one goes on from"),
            "conversation": one_of(string(), an_object({"id": string()}), about="the conversation to go on with"),
            "tools": listed(an_object(), "functions that the model may call", most=128),
            "tool_choice": one_of(string(), an_object(), about="none, auto, required, or the tool to call"),
            "parallel_tool_calls": flag(default=True),
            "text": an_object(about="format: text, json_object or json_schema"),
            "reasoning": an_object(about="effort; summary: whether it comes as a summary instead of as it is"),
            "max_output_tokens": whole(1, MAX_TOKENS),
            "max_tool_calls": whole(1, MAX_TOKENS, _NO_EFFECT),
            "truncation": choice("auto", "disabled", about="auto: what does not fit loses its oldest turns"),
            "include": listed(string(), f"{LOGPROBS} adds probabilities"),
            "top_logprobs": whole(0, MAX_TOP_LOGPROBS),
            "metadata": an_object(about=f"at most {MAX_METADATA} pairs of strings"),
            "store": flag("whether it can be referred to later", default=True),
            "background": flag("answer at once, and go on working"),
            "stream": flag("answer as Server-Sent Events"),
            "stream_options": an_object({"include_obfuscation": flag(_NO_EFFECT)}),
            "service_tier": choice(*_TIERS, about=_NO_EFFECT),
            "prompt_cache_retention": string(_NO_EFFECT),
            "context_management": listed(an_object(), _NO_EFFECT),
            **{name: string(_NO_EFFECT, most=most) for name, most in _TEXTS.items()},
            **{name: an_object(about=_NO_EFFECT) for name in _OBJECTS},
            "chat_template_kwargs": an_object(about="what the model's chat template may look at"),
            **_LOCAL,
            **EXTENSIONS,
        },
        required=("input",),
    ),
    refused={"prompt": "this server has no prompt templates", "moderation": "this server has no moderation model"},
    answer={JSON: an_object(about="a response"), EVENTS: an_object(about="the events of a response")},
    through=CHAT_PATH,
)


@dataclass(frozen=True, slots=True)
class ResponseRequest:
    """A request that was understood. head: the response object before anything of it is answered.

    given: the items of the request, which are stored; context: what goes before them, which is.
    """

    chat: ChatRequest
    head: Json
    given: tuple[Json, ...] = ()
    context: EarlierItems = field(default_factory=EarlierItems)
    stream: bool = False
    store: bool = True
    background: bool = False
    truncate: bool = False
    logprobs: bool = False
    summarize: bool = False

    def shortened(self, turns: int) -> ResponseRequest | None:
        """Return the request without its oldest turns; None: it has no more to lose. The instructions stay."""
        kept = [message for message in self.chat.messages if message.role in ("system", "developer")]
        rest = [message for message in self.chat.messages if message not in kept]
        starts = [place for place, message in enumerate(rest) if message.role == "user" and place]
        if not starts:
            return None
        rest = rest[starts[min(turns, len(starts)) - 1] :]
        return replace(self, chat=replace(self.chat, messages=(*kept, *rest)))


async def decode(fields: Fields, references: References, history: ConversationHistory) -> ResponseRequest:
    """Check a request's JSON. InvalidInput names the field, what was found and what was expected."""
    fields.known(CREATE.fields)
    stream, background = fields.flag("stream"), fields.flag("background")
    store = fields.flag("store", default=True)
    if background and not (store and history.store is not None):
        found = "store: false" if not store else "a server that stores nothing (`serve --conversations-size 0`)"
        refuse(f"found background with {found}, expected the response to be stored: it is read later", "background")
    logprobs = _includes(fields)
    sampling = read_sampling(
        fields,
        max_tokens=read_limit(fields, "max_output_tokens")[1],
        logprobs=logprobs,
        top_logprobs=fields.whole("top_logprobs", 0, MAX_TOP_LOGPROBS) or 0 if logprobs else 0,
    )
    choice, tools = read_tools(fields)
    effort, summary = _reasoning(fields)
    _check_the_rest(fields)
    context = await history.context(fields)
    reader = ItemReader(references, history.referenced)
    for item in context.items:
        await reader.read(fields.inner(item, context.place))
    given = await _items(fields, reader)
    messages = reader.messages()
    if instructions := fields.text("instructions"):
        messages = (Message("system", (TextPart(instructions),)), *messages)
    chat = ChatRequest(
        model=read_model(fields.with_default("model", "auto")),
        sampling=sampling,
        tools=choice[0],
        tool_choice=choice[1],
        named_tool=choice[2],
        parallel_tool_calls=fields.flag("parallel_tool_calls", default=True),
        json=read_text(fields),
        template=read_template(fields),
        whole=not stream and not background,
        continues=False,
        reasoning_effort=effort,
        messages=messages,
        **read_preferences(fields),
    )
    head = _head(fields, chat, tools=tools, context=context, store=store, effort=effort, summary=summary)
    return ResponseRequest(
        chat,
        head,
        tuple(given),
        context,
        stream=stream,
        store=store,
        background=background,
        truncate=head["truncation"] == "auto",
        logprobs=logprobs,
        summarize=summary not in (None, "none"),
    )


def about_input(error: InvalidInput, *, items: str = "input") -> InvalidInput:
    """Return an engine's error about `messages` as one about the items that they came from."""
    if error.param is None or not error.param.startswith("messages"):
        return error
    message = error.message.replace("messages", items, 1)
    return type(error)(message, param=items, code=error.code, retry_after_s=error.retry_after_s)


async def _items(fields: Fields, reader: ItemReader) -> list[Json]:
    """Read the field `input`; return its items as they are stored."""
    found = fields.raw("input")
    if isinstance(found, str):
        found = [{"role": "user", "content": found}] if found else fields.refuse("input", "text")
    if type(found) is not list:
        fields.refuse("input", "text or a list of items", "invalid_type")
    if len(found) > MAX_ITEMS:
        refuse(f"found {len(found)} items, expected at most {MAX_ITEMS}", "input", "array_above_max_length")
    read = [await reader.read(fields.inner(entry, f"input[{place}]")) for place, entry in enumerate(found)]
    if not reader.messages():
        _nothing_to_answer()
    return [item for item in read if item is not None]


def _nothing_to_answer() -> NoReturn:
    refuse("found no items, expected at least one", "input", "empty_array")


def _includes(fields: Fields) -> bool:
    """Return whether probabilities are asked for; what else can be included does not exist here, or is always there."""
    if not fields.raw("include"):
        return bool(fields.whole("top_logprobs", 0, MAX_TOP_LOGPROBS))
    found = fields.entries("include", "a list of strings", most=16)
    for place, entry in found:
        if type(entry) is not str:
            refuse("found no string, expected the name of something to include", place, "invalid_type")
    return any(entry == LOGPROBS for _, entry in found)


def _reasoning(fields: Fields) -> tuple[str | None, str | None]:
    """Return how much is to be thought, and whether and how a summary of it is wanted."""
    found = fields.object("reasoning")
    if found is None:
        return None, None
    summary = found.choice("summary", _SUMMARIES) or found.choice("generate_summary", _SUMMARIES)
    return found.choice("effort", EFFORTS), summary


def _check_the_rest(fields: Fields) -> None:
    for name, why in CREATE.refused.items():
        if fields.has(name):
            refuse(f"found {name}, expected none: {why}", name, "unsupported_parameter")
    for name, most in _TEXTS.items():
        fields.text(name, most=most)
    for name in _OBJECTS:
        fields.object(name)
    fields.choice("service_tier", _TIERS)
    fields.text("prompt_cache_retention", most=64)
    fields.whole("max_tool_calls", 1, MAX_TOKENS)
    options = fields.object("stream_options")
    if options is not None:
        options.known({"include_obfuscation"})
        options.flag("include_obfuscation")


def _head(
    fields: Fields,
    chat: ChatRequest,
    *,
    tools: list[Any],
    context: EarlierItems,
    store: bool,
    effort: str | None,
    summary: str | None,
) -> Json:
    """Return the response as it is before anything is answered; what was not asked for has OpenAI's defaults."""
    text: Mapping[str, Any] = fields.raw("text") or {}
    return {
        "id": random_id("resp"),
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "background": fields.flag("background"),
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": fields.text("instructions"),
        "max_output_tokens": chat.sampling.max_tokens,
        "max_tool_calls": fields.whole("max_tool_calls", 1, MAX_TOKENS),
        "model": chat.model,
        "output": [],
        "parallel_tool_calls": chat.parallel_tool_calls,
        "previous_response_id": context.previous,
        "conversation": {"id": context.conversation} if context.conversation else None,
        "prompt_cache_key": fields.text("prompt_cache_key"),
        "reasoning": {"effort": effort, "summary": summary},
        "safety_identifier": fields.text("safety_identifier"),
        "service_tier": "default",
        "store": store,
        "temperature": chat.sampling.temperature,
        "text": {"format": text.get("format") or {"type": "text"}, "verbosity": text.get("verbosity") or "medium"},
        "tool_choice": fields.raw("tool_choice") or "auto",
        "tools": tools,
        "top_logprobs": chat.sampling.top_logprobs,
        "top_p": chat.sampling.top_p,
        "truncation": fields.choice("truncation", ("auto", "disabled")) or "disabled",
        "usage": None,
        "user": fields.text("user", most=512),
        "metadata": dict(read_metadata(fields)),
    }
