"""Tools, the choice among them, and the form of the answer: `tools`, `tool_choice`, `response_format`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import orjson

from fastembed.inference.engines.chat.schema import MAX_DEPTH, deeper, loose
from fastembed.pipeline.payload.chat import Tool
from fastembed.server.wire.fields import Fields, refuse

MAX_TOOLS: Final = 128
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME_WORDS: Final = "1 to 64 of a-z, A-Z, 0-9, underscore and dash"
GUIDES: Final = ("guided_json", "json_schema")
"""A JSON Schema's fields in vLLM and in llama.cpp."""
_CHOICES: Final = ("none", "auto", "required")
_CHOICE_WORDS: Final = 'none, auto, required or {"type": "function", "function": {"name"}}'

Choice = tuple[tuple[Tool, ...], str, bool]
"""The tools that may be called, `tool_choice` as `ChatRequest` has it, and whether it is a tool's name."""


def read_tools(body: Fields) -> Choice:
    """Return the tools and the choice among them."""
    for old in ("functions", "function_call"):
        if body.has(old):
            refuse(f"found the deprecated {old}, expected tools and tool_choice", old, "unsupported_parameter")
    tools = tuple(body.each("tools", "a list of tools", _tool, most=MAX_TOOLS)) if body.has("tools") else ()
    names = [tool.name for tool in tools]
    for index, name in enumerate(names):
        if name in names[:index]:
            refuse(f"found a second tool {name!r}, expected each name once", f"tools[{index}].function.name")
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
    return _schema(body.inner({name: found}, ""), name, strict=False) or "object"


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
        return _schema(form, "schema", strict=False) or "object"  # the schema: llama.cpp's, together.ai's, ...
    if form.has("schema") and not form.has("json_schema"):  # our short form
        return _schema(form, "schema", strict=False) or "object"
    wrapper = form.required("json_schema", "an object with name and schema")
    _named_as(wrapper)
    wrapper.text("description")
    return _schema(wrapper, "schema", strict=wrapper.flag("strict")) or "object"


def _tool(fields: Fields) -> Tool:
    if fields.choice("type", ("function",)) is None:
        fields.refuse("type", "function")
    function = fields.required("function", "an object with name, description and parameters")
    strict = function.flag("strict")
    parameters = _schema(function, "parameters", strict=strict)
    return Tool(_named_as(function), function.text("description") or "", parameters, strict)


def _schema(fields: Fields, name: str, *, strict: bool) -> dict[str, Any]:
    """Return a JSON Schema; {} if there is none. A strict one that answers may break is refused, as by the real API."""
    schema = fields.mapping(name) or {}
    if deeper(schema):  # before anything walks through it: every walk has its depth
        refuse(
            f"found a JSON Schema nested deeper than {MAX_DEPTH}, expected less", fields.at(name), "invalid_json_schema"
        )
    if strict and (keyword := loose(schema)):
        refuse(
            f"found a strict schema with {keyword!r}, which cannot be enforced: leave it out, or set strict: false",
            fields.at(name),
            "invalid_json_schema",
        )
    return schema


def _named_as(fields: Fields) -> str:
    name = fields.needed("name", "a name")
    if _NAME.fullmatch(name) is None:
        fields.refuse("name", _NAME_WORDS)
    return name


def _named(choice: Fields, tools: Sequence[Tool]) -> Choice:
    kind = choice.choice("type", ("function", "allowed_tools"))
    if kind is None:
        choice.refuse("type", "function or allowed_tools")
    if kind == "function":
        named = _among(choice.required("function", "an object with the tool's name"), tools)
        return tuple(tools), named.name, True
    allowed = choice.required("allowed_tools", "an object with mode and tools")
    mode = allowed.choice("mode", ("auto", "required")) or allowed.refuse("mode", "auto or required")
    kept = allowed.each("tools", "a list of tools", lambda one: _among(one.required("function"), tools), most=MAX_TOOLS)
    return tuple(tool for tool in tools if tool in kept), mode, False


def _among(function: Fields, tools: Sequence[Tool]) -> Tool:
    name = function.needed("name", "the name of a tool")
    for tool in tools:
        if tool.name == name:
            return tool
    names = ", ".join(tool.name for tool in tools) or "a tool, but there are none"
    return function.refuse("name", f"one of the tools: {names}")
