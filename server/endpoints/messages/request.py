"""The request of `POST /v1/messages`: JSON to `ChatRequest`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from fastembed.pipeline.payload.chat import ChatRequest, Sampling, Tool
from fastembed.server.endpoints.messages.turns import MAX_MESSAGES, TurnReader
from fastembed.server.endpoints.through import CHAT_PATH
from fastembed.server.fetching.references import References
from fastembed.server.http.error_dialects import THREADS
from fastembed.server.wire.chat.functions import MAX_TOOLS, Choice, check_names, find_tool, read_function, read_schema
from fastembed.server.wire.chat.sampling import EXTENSIONS, MAX_TOKENS, MODEL, read_model, read_preferences
from fastembed.server.wire.fields import Fields, refuse
from fastembed.server.wire.operation import EVENTS, JSON, Operation
from fastembed.server.wire.schema import an_object, choice, flag, listed, number, one_of, string, whole

MAX_STOPS: Final = 16
_EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
_NO_EFFECT: Final = "checked, without effect"
_OBJECTS: Final = ("metadata", "context_management", "diagnostics", "cache_control")
_IGNORED: Final = ("inference_geo", "service_tier", "speed", "user_profile_id", "workspace_id", "container")
_FIELDS: Final = {
    "messages": listed(an_object(), "roles user and assistant", most=MAX_MESSAGES),
    "model": MODEL,
    "system": one_of(string(), listed(an_object())),
    "tools": listed(an_object(), "functions that the model may call", most=MAX_TOOLS),
    "tool_choice": an_object({"type": choice("auto", "any", "tool", "none"), "name": string()}),
    "thinking": an_object(about="enabled, adaptive or disabled, where the model's template knows of it"),
    "output_config": an_object(about="format: a JSON Schema of the answer; effort"),
    "output_format": an_object(about="output_config.format, as it was called before"),
    "thread": an_object(about="refused in the way that makes clients send whole conversations"),
    **{name: an_object(about=_NO_EFFECT) for name in _OBJECTS},
    **{name: string(_NO_EFFECT) for name in _IGNORED},
    **EXTENSIONS,
}

CREATE: Final = Operation(
    "POST",
    "/v1/messages",
    "Answer a conversation, as Anthropic's API does",
    body=an_object(
        {
            **_FIELDS,
            "max_tokens": whole(1, MAX_TOKENS, "no more than the model's context holds"),
            "stop_sequences": listed(string(), most=MAX_STOPS),
            "stream": flag("answer as Server-Sent Events"),
            "temperature": number(0, 2),
            "top_p": number(0, 1),
            "top_k": whole(0, MAX_TOKENS),
        },
        required=("messages", "model", "max_tokens"),
    ),
    refused={"mcp_servers": "this server is no client of MCP servers"},
    answer={JSON: an_object(about="a message"), EVENTS: an_object(about="message_start to message_stop")},
    through=CHAT_PATH,
)
COUNT: Final = Operation(
    "POST",
    "/v1/messages/count_tokens",
    "How many tokens a conversation has",
    body=an_object(_FIELDS, required=("messages", "model")),
    through=CHAT_PATH,
)


async def decode(fields: Fields, references: References, operation: Operation = CREATE) -> tuple[ChatRequest, bool]:
    """Check a request's JSON; return it, and whether it wants a stream. InvalidInput names the field."""
    fields.known(operation.fields)
    _check_the_rest(fields)
    stream = fields.flag("stream")
    tools, tool_choice, named, parallel = _tools(fields)
    form, effort = _form(fields)
    request = ChatRequest(
        messages=await TurnReader(references).read(fields),
        model=read_model(fields),
        sampling=_sampling(fields, limited=operation is CREATE),
        tools=tools,
        tool_choice=tool_choice,
        named_tool=named,
        parallel_tool_calls=parallel,
        json=form,
        template=_thinking(fields),
        reasoning_effort=effort,
        whole=not stream,
        **read_preferences(fields),
    )
    return request, stream


def _sampling(fields: Fields, *, limited: bool) -> Sampling:
    most = fields.whole("max_tokens", 1, MAX_TOKENS)
    if most is None and limited:
        fields.refuse("max_tokens", "the most tokens that the answer may have")
    stops: Sequence[str] = ()
    if fields.raw("stop_sequences"):
        found = fields.entries("stop_sequences", "a list of strings", most=MAX_STOPS)
        for place, entry in found:
            if type(entry) is not str or not entry:
                refuse("found no text, expected text that ends the answer", place, "invalid_value")
        stops = [entry for _, entry in found]
    return Sampling(
        temperature=fields.number("temperature", 0, 2, default=1.0),
        top_p=fields.number("top_p", 0, 1, default=1.0),
        top_k=fields.whole("top_k", 0, MAX_TOKENS),
        max_tokens=most,
        stop=tuple(stops),
    )


def _tools(fields: Fields) -> tuple[tuple[Tool, ...], str, bool, bool]:
    """Return the tools, the choice among them, whether that is a name, and whether there may be several calls."""
    tools = _functions(fields)
    asked = fields.object("tool_choice")
    if asked is None:
        return tools, "auto", False, True
    kind = asked.choice("type", ("auto", "any", "tool", "none")) or asked.refuse("type", "auto, any, tool or none")
    parallel = not asked.flag("disable_parallel_tool_use")
    chosen: Choice = (tools, {"any": "required"}.get(kind, kind), False)
    if kind == "any" and not tools:
        fields.refuse("tool_choice", "tools when one of them is required")
    if kind == "tool":
        chosen = (tools, find_tool(asked, tools).name, True)
    return (*chosen, parallel)


def _functions(fields: Fields) -> tuple[Tool, ...]:
    """Return the functions; tools that Anthropic itself defines are ignored, or refused, as unknown fields are."""
    tools = []
    for place, entry in fields.entries("tools", "a list of tools", most=MAX_TOOLS) if fields.raw("tools") else ():
        tool = fields.inner(entry, place)
        if tool.raw("type") in (None, "custom"):
            tools.append(read_function(tool, "input_schema"))
        else:
            tool.unsupported("type", "custom: this server has no others")
    check_names(tools, "tools[{}].name")
    return tuple(tools)


def _form(fields: Fields) -> tuple[Literal["object"] | Mapping[str, Any] | None, str | None]:
    """Return the schema of the answer, if there is one, and the effort."""
    config = fields.object("output_config")
    effort = config.choice("effort", _EFFORTS) if config is not None else None
    form = config.object("format") if config is not None and config.has("format") else fields.object("output_format")
    if form is None:
        return None, effort
    if form.choice("type", ("json_schema",)) is None:
        form.refuse("type", "json_schema")
    return read_schema(form, "schema", strict=False) or "object", effort


def _thinking(fields: Fields) -> Mapping[str, Any]:
    """Return what the chat template is told; a model whose template knows nothing of it does as it always does."""
    found = fields.object("thinking")
    if found is None:
        return {}
    return {"enable_thinking": found.needed("type", "enabled, adaptive or disabled") != "disabled"}


def _check_the_rest(fields: Fields) -> None:
    if fields.has("thread"):
        refuse("found thread, expected whole conversations: this server keeps none", "thread", THREADS)
    for name, why in CREATE.refused.items():
        if fields.raw(name):
            refuse(f"found {name}, expected none: {why}", name, "unsupported_parameter")
    for name in _OBJECTS:
        fields.object(name)
