"""Functions that a model may call, as every wire describes them: a name and a JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from fastembed.inference.engines.chat.schema import MAX_DEPTH, deeper, loose
from fastembed.pipeline.payload.chat import Tool
from fastembed.server.wire.fields import Fields, refuse

MAX_TOOLS: Final = 128
Choice = tuple[tuple[Tool, ...], str, bool]
"""The tools that may be called, `tool_choice` as `ChatRequest` has it, and whether it is a tool's name."""

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME_WORDS: Final = "1 to 64 of a-z, A-Z, 0-9, underscore and dash"


def read_name(fields: Fields) -> str:
    """Return the field `name` of a function, or of a schema."""
    name = fields.needed("name", "a name")
    if _NAME.fullmatch(name) is None:
        fields.refuse("name", _NAME_WORDS)
    return name


def read_schema(fields: Fields, name: str, *, strict: bool) -> dict[str, Any]:
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


def read_function(fields: Fields, schema: str = "parameters") -> Tool:
    """Return a function. schema: the field of its parameters."""
    strict = fields.flag("strict")
    parameters = read_schema(fields, schema, strict=strict)
    return Tool(read_name(fields), fields.text("description") or "", parameters, strict)


def check_names(tools: Sequence[Tool], place: str) -> None:
    """Refuse a second tool of one name. place: with `{}` for the tool's index."""
    names = [tool.name for tool in tools]
    for index, name in enumerate(names):
        if name in names[:index]:
            refuse(f"found a second tool {name!r}, expected each name once", place.format(index))


def find_tool(function: Fields, tools: Sequence[Tool]) -> Tool:
    """Return the tool that the field `name` names."""
    name = function.needed("name", "the name of a tool")
    for tool in tools:
        if tool.name == name:
            return tool
    names = ", ".join(tool.name for tool in tools) or "a tool, but there are none"
    return function.refuse("name", f"one of the tools: {names}")
