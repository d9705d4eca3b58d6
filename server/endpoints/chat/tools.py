"""Tools, the choice among them, and the form of the answer: `tools`, `tool_choice`, `response_format`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import orjson

from fastembed.pipeline.payload.chat import Tool
from fastembed.server.wire.chat.functions import (
    MAX_TOOLS,
    Choice,
    check_names,
    find_tool,
    read_function,
    read_name,
    read_schema,
)
from fastembed.server.wire.fields import Fields, refuse

GUIDES: Final = ("guided_json", "json_schema")
"""A JSON Schema's fields in vLLM and in llama.cpp."""
_CHOICES: Final = ("none", "auto", "required")
_CHOICE_WORDS: Final = 'none, auto, required or {"type": "function", "function": {"name"}}'


def read_tools(body: Fields) -> Choice:
    """Return the tools and the choice among them."""
    for old in ("functions", "function_call"):
        if body.has(old):
            refuse(f"found the deprecated {old}, expected tools and tool_choice", old, "unsupported_parameter")
    tools = tuple(body.each("tools", "a list of tools", _tool, most=MAX_TOOLS)) if body.has("tools") else ()
    check_names(tools, "tools[{}].function.name")
    found = body.raw("tool_choice")
    if found is None:
        return tools, "auto", False
    if isinstance(found, str):
        if found not in _CHOICES:
            body.refuse("tool_choice", _CHOICE_WORDS)
        if found == "required" and not tools:
            body.refuse("tool_choice", "tools when one of them is required")
        return tools, found, False
    if not isinstance(found, dict):
        body.refuse("tool_choice", _CHOICE_WORDS, "invalid_type")
    return _named(body.inner(found, "tool_choice"), tools)


def read_format(body: Fields) -> Literal["object"] | Mapping[str, Any] | None:
    """Return the value of `ChatRequest.json`: a schema, "object", or None for text."""
    found = _response_format(body)
    for name in GUIDES:
        if body.has(name):
            if found is not None:
                refuse(f"found {name} beside another form of the answer, expected one of them", name)
            found = _guide(body, name)
    return found


def _guide(body: Fields, name: str) -> Literal["object"] | Mapping[str, Any]:
    """Return the schema of a field of other local servers; some clients send it as text."""
    found = body.raw(name)
    if isinstance(found, str):
        try:
            found = orjson.loads(found)
        except orjson.JSONDecodeError:
            body.refuse(name, "a JSON Schema")
    if not isinstance(found, dict):
        body.refuse(name, "a JSON Schema", "invalid_type")
    return read_schema(body.inner({name: found}, ""), name, strict=False) or "object"


def _response_format(body: Fields) -> Literal["object"] | Mapping[str, Any] | None:
    form = body.object("response_format")
    if form is None:
        return None
    name = form.choice("type", ("text", "json_object", "json_schema"))
    if name is None:
        form.refuse("type", "one of text, json_object, json_schema")
    if name == "text":
        return None
    if name == "json_object":
        return read_schema(form, "schema", strict=False) or "object"  # the schema: llama.cpp's, together.ai's, ...
    if form.has("schema") and not form.has("json_schema"):  # our short form
        return read_schema(form, "schema", strict=False) or "object"
    wrapper = form.required("json_schema", "an object with name and schema")
    read_name(wrapper)
    wrapper.text("description")
    return read_schema(wrapper, "schema", strict=wrapper.flag("strict")) or "object"


def _tool(fields: Fields) -> Tool:
    if fields.choice("type", ("function",)) is None:
        fields.refuse("type", "function")
    return read_function(fields.required("function", "an object with name, description and parameters"))


def _named(choice: Fields, tools: Sequence[Tool]) -> Choice:
    kind = choice.choice("type", ("function", "allowed_tools"))
    if kind is None:
        choice.refuse("type", "function or allowed_tools")
    if kind == "function":
        named = find_tool(choice.required("function", "an object with the tool's name"), tools)
        return tuple(tools), named.name, True
    allowed = choice.required("allowed_tools", "an object with mode and tools")
    mode = allowed.choice("mode", ("auto", "required")) or allowed.refuse("mode", "auto or required")
    kept = allowed.each(
        "tools", "a list of tools", lambda one: find_tool(one.required("function"), tools), most=MAX_TOOLS
    )
    return tuple(tool for tool in tools if tool in kept), mode, False
