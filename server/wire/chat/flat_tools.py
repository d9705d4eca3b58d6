"""Tools of the Responses API, whose functions are flat: `{"type": "function", "name", "parameters", "strict"}`.

A `custom` tool takes text instead of JSON; to the model it is a function of one string, `input`. Its grammar, if it has
one, is told in the description: it binds nothing here.

Tools that OpenAI runs itself (web search, code interpreter, ...) are not here. Command lines offer them unasked, so the
model is not told of them, and the response's `x-fastembed-warning` names them; a choice that needs one is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

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

CUSTOM: Final = "custom"
_TEXT_INPUT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}
_CHOICES: Final = ("none", "auto", "required")
_EXPECTED: Final = 'none, auto, required or {"type": "function", "name"}'


def read_tools(body: Fields) -> tuple[Choice, list[Any]]:
    """Return the tools and the choice among them, and the tools as the response repeats them."""
    read = [_tool(entry) for entry in _entries(body)]
    tools, shown = tuple(tool for tool, _ in read), [found for _, found in read]
    check_names(tools, "tools[{}].name")
    choice = body.raw("tool_choice")
    if choice is None:
        return (tools, "auto", False), shown
    if isinstance(choice, str):
        if choice not in _CHOICES or (choice == "required" and not tools):
            body.refuse("tool_choice", _EXPECTED if choice not in _CHOICES else "a function when one is required")
        return (tools, choice, False), shown
    if not isinstance(choice, dict):
        body.refuse("tool_choice", _EXPECTED, "invalid_type")
    return _named(body.inner(choice, "tool_choice"), tools), shown


def read_text(body: Fields) -> Literal["object"] | Mapping[str, Any] | None:
    """Return the value of `ChatRequest.json` of the field `text`: a schema, "object", or None for text."""
    text = body.object("text")
    form = text.object("format") if text is not None else None
    if text is not None:
        text.choice("verbosity", ("low", "medium", "high"))
    if form is None:
        return None
    kind = form.choice("type", ("text", "json_object", "json_schema"))
    if kind is None:
        form.refuse("type", "one of text, json_object, json_schema")
    if kind == "text":
        return None
    if kind == "json_object":
        return read_schema(form, "schema", strict=False) or "object"
    read_name(form)
    form.text("description")
    return read_schema(form, "schema", strict=form.flag("strict")) or "object"


def _entries(body: Fields) -> list[Fields]:
    """Return the functions; other tools are ignored, or refused as unknown fields are."""
    if not body.raw("tools"):
        return []
    kept = []
    for place, entry in body.entries("tools", "a list of tools", most=MAX_TOOLS):
        fields = body.inner(entry, place)
        kind = fields.needed("type", "a tool's type, function")
        if kind in ("function", CUSTOM):
            kept.append(fields)
        else:
            fields.unsupported("type", f"function or custom: this server has no {kind:.40}")
    return kept


def _named(choice: Fields, tools: Sequence[Tool]) -> Choice:
    kind = choice.needed("type", "function, custom or allowed_tools")
    if kind in ("function", CUSTOM):
        return tuple(tools), find_tool(choice, tools).name, True
    if kind != "allowed_tools":
        choice.refuse("type", "function, custom or allowed_tools: this server has no other tools")
    mode = choice.choice("mode", ("auto", "required")) or choice.refuse("mode", "auto or required")
    names = {one.text("name") for one in choice.each("tools", "a list of tools", lambda one: one, most=MAX_TOOLS)}
    kept = tuple(tool for tool in tools if tool.name in names)
    if not kept:
        refuse("found no tool of the request, expected at least one", choice.at("tools"))
    return kept, mode, False


def _tool(fields: Fields) -> tuple[Tool, dict[str, Any]]:
    """Return a tool, and how the response repeats it."""
    if fields.raw("type") == CUSTOM:
        return _custom(fields)
    tool = read_function(fields)
    found = {"type": "function", "name": tool.name, "description": tool.description or None}
    return tool, {**found, "parameters": tool.parameters, "strict": tool.strict}


def _custom(fields: Fields) -> tuple[Tool, dict[str, Any]]:
    name, about = read_name(fields), fields.text("description") or ""
    form = fields.mapping("format") or {"type": "text"}
    grammar = form.get("definition")
    told = f"{about}\n\nThe input follows this grammar:\n{grammar}" if isinstance(grammar, str) else about
    shown = {"type": CUSTOM, "name": name, "description": about or None, "format": form}
    return Tool(name, told, _TEXT_INPUT), shown


def custom_names(tools: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Return the names of the custom tools among those that a response repeats."""
    return frozenset(tool["name"] for tool in tools if tool["type"] == CUSTOM)
