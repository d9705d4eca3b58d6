"""Answers of a given form: JSON objects, JSON Schemas, tool calls; all checked before they reach the engine.

A schema that xgrammar cannot compile raises inside the engine's step and takes every other request with it. So each
form is tried first on a scratch pipeline, the smallest model that ships, for one token: 1 to 25 ms, and seen ones are
remembered. What would take long there is refused before (`fastembed.inference.engines.chat.schema`).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastembed.inference.engines.chat.calling import CallStyle
from fastembed.inference.engines.chat.grammar import grammar_of
from fastembed.inference.engines.chat.merging import Uncovered
from fastembed.inference.engines.chat.native import reason, tensor
from fastembed.inference.engines.chat.schema import MAX_DEPTH, compiled, dangling, deeper, too_much
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.chat import ChatRequest, Tool

log = logging.getLogger("fastembed.chat")
_REMEMBERED: Final = 512
_LONGEST: Final = 256 * 1024  # characters of one schema
_ANY_OBJECT: Final[Mapping[str, Any]] = {"type": "object"}
_NO_PARAMETERS: Final[Mapping[str, Any]] = {"type": "object", "properties": {}, "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """What a request's answers must look like. calls: they begin with a tool call. open: they may hold one."""

    structure: Any = None
    calls: bool = False
    open: bool = True


class SchemaGuard:
    """Tries forms where they can do no harm. Safe for concurrent use."""

    def __init__(self, load: Callable[[], Any]) -> None:
        """`load` makes the scratch pipeline, when it is first needed."""
        self._load = load
        self._pipeline: Any = None
        self._lock = threading.Lock()
        self._seen: OrderedDict[bytes, str | None] = OrderedDict()

    async def problem(self, schema: str) -> str | None:
        """Return what is wrong with a JSON Schema as a form of answers, or None."""
        return await self._remembered("json_schema", schema)

    async def takes(self, grammar: str) -> bool:
        """Whether a grammar (EBNF) can be a form of answers."""
        problem = await self._remembered("grammar", grammar)
        if problem:
            log.warning("a grammar made of a schema is not taken, xgrammar makes its own: %s", problem)
        return problem is None

    async def _remembered(self, kind: str, text: str) -> str | None:
        key = hashlib.sha256(f"{kind} {text}".encode("utf-8", "replace")).digest()
        if key not in self._seen:
            self._seen[key] = await asyncio.to_thread(self._try, kind, text)
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        self._seen.move_to_end(key)
        return self._seen[key]

    def _try(self, kind: str, text: str) -> str | None:
        import openvino_genai as genai

        with self._lock:
            if self._pipeline is None:
                self._pipeline = self._load()
            config = self._pipeline.get_config()
            config.max_new_tokens = 1
            config.structured_output_config = genai.StructuredOutputConfig(**{kind: text})
            try:
                self._pipeline.generate([tensor([0])], [config])
            except RuntimeError as error:
                if self._pipeline.has_non_finished_requests():
                    self._pipeline = None  # wedged: the next one loads another
                return reason(error)
        return None


async def form_of(request: ChatRequest, style: CallStyle, guard: SchemaGuard) -> AnswerForm:
    """Return the form that a request asks for. InvalidInput says what is wrong with its schema or its tools."""
    tools = _chosen(request)
    if tools and request.tool_choice != "auto":
        return AnswerForm(await _forced(tools, request, style, guard), calls=True)
    if request.json is not None:
        wanted = _ANY_OBJECT if request.json == "object" else request.json
        grammar, schema = await _bounded(wanted, "response_format", guard)
        if tools and style.begin and not style.special:
            return AnswerForm(await _either(_part(grammar, schema), tools, style, guard))
        config = _genai().StructuredOutputConfig
        return AnswerForm(config(grammar=grammar) if grammar else config(json_schema=schema), open=False)
    if tools and not style.special and style.begin and any(tool.strict for tool in tools):
        return AnswerForm(await _triggered(tools, request, style, guard))
    return AnswerForm()


def _chosen(request: ChatRequest) -> tuple[Tool, ...]:
    """Return the tools that may be called. InvalidInput if the choice is not among them."""
    choice = request.tool_choice
    if choice == "none" and not request.named_tool:
        return ()
    if choice in ("auto", "required") and not request.named_tool:
        if choice == "required" and not request.tools:
            raise InvalidInput("found tool_choice required without tools, expected at least one", param="tool_choice")
        return request.tools
    named = tuple(tool for tool in request.tools if tool.name == choice)
    if not named:
        names = ", ".join(tool.name for tool in request.tools) or "none"
        raise InvalidInput(f"found tool_choice {choice!r}, expected one of the tools: {names}", param="tool_choice")
    return named


async def _forced(tools: tuple[Tool, ...], request: ChatRequest, style: CallStyle, guard: SchemaGuard) -> Any:
    """Return the form of one call, or several where the request and the choice allow them."""
    genai = _genai()
    alone = request.tool_choice != "required" or not request.parallel_tool_calls or not style.begin
    tags = await _tags(tools, style, guard)
    config = genai.StructuredOutputConfig
    form = config.TagsWithSeparator(tags, separator="\n", at_least_one=True, stop_after_first=alone)
    return config(structural_tags_config=form)


async def _either(answer: Any, tools: tuple[Tool, ...], style: CallStyle, guard: SchemaGuard) -> Any:
    """Return the form of an answer that is JSON of the schema, or calls one tool: xgrammar's choices must all end."""
    config = _genai().StructuredOutputConfig
    tags = await _tags(tools, style, guard)
    return config(structural_tags_config=config.Union(answer, *tags))


async def _triggered(tools: tuple[Tool, ...], request: ChatRequest, style: CallStyle, guard: SchemaGuard) -> Any:
    """Return the form of free text in which every call obeys its tool's schema."""
    config = _genai().StructuredOutputConfig
    tags = await _tags(tools, style, guard)
    form = config.TriggeredTags(
        triggers=[style.begin], tags=tags, at_least_one=False, stop_after_first=not request.parallel_tool_calls
    )
    return config(structural_tags_config=form)


async def _tags(tools: tuple[Tool, ...], style: CallStyle, guard: SchemaGuard) -> list[Any]:
    """Return the forms of calls of these tools. InvalidInput if together they are too much for one grammar."""
    shallow = [dict(tool.parameters) for tool in tools if not deeper(tool.parameters)]  # the others are refused below
    if much := too_much({"anyOf": shallow}):
        raise InvalidInput(f"found tools with {much} in all", param="tools", code="invalid_json_schema")
    return [await _tag(tool, place, style, guard) for place, tool in enumerate(tools)]


async def _tag(tool: Tool, place: int, style: CallStyle, guard: SchemaGuard) -> Any:
    """Return the form of a call of one tool; a schema that cannot be enforced is an error only where it must be."""
    config = _genai().StructuredOutputConfig
    wanted: Mapping[str, Any] = tool.parameters or _NO_PARAMETERS
    param = f"tools[{place}].function.parameters"
    text = _text(wanted, param)
    try:
        grammar, schema = await _held(wanted, text, param, guard)
    except InvalidInput:
        if tool.strict:
            raise
        grammar, schema = await _bounded(_ANY_OBJECT, param, guard)
    return config.Tag(style.opening(tool.name), _part(grammar, schema), style.closing)


async def _bounded(schema: Mapping[str, Any], param: str, guard: SchemaGuard) -> tuple[str | None, str]:
    """Return the grammar of a schema whose answers end (None: only xgrammar's own will do), and the schema's text.

    InvalidInput: no grammar holds answers to it.
    """
    return await _held(schema, _text(schema, param), param, guard)


async def _held(schema: Mapping[str, Any], text: str, param: str, guard: SchemaGuard) -> tuple[str | None, str]:
    try:
        grammar = grammar_of(schema)
    except Uncovered as error:
        raise _refused(str(error), param) from error
    if await guard.takes(grammar):
        return grammar, text
    if problem := await guard.problem(text):
        raise _refused(problem, param)
    return None, text


def _part(grammar: str | None, schema: str) -> Any:
    config = _genai().StructuredOutputConfig
    return config.EBNF(grammar) if grammar else config.JSONSchema(schema)


def _refused(problem: str, param: str) -> InvalidInput:
    return _unfit(f"that answers cannot be held to: {problem}; expected one without it", param)


def _unfit(found: str, param: str) -> InvalidInput:
    return InvalidInput(f"found a JSON Schema {found}", param=param, code="invalid_json_schema")


def _text(schema: Mapping[str, Any], param: str) -> str:
    """Return the schema's text. InvalidInput for one that is no JSON, too large, or points to nowhere."""
    if deeper(schema):
        raise _unfit(f"nested deeper than {MAX_DEPTH}, expected less", param)
    if much := too_much(schema):
        raise _unfit(f"with {much}", param)
    if name := dangling(schema):
        raise _unfit(f"whose $ref {name!r:.80} leads to no other part of it, expected one that does", param)
    try:
        text = json.dumps(compiled(schema), default=dict, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise _unfit(f"that is no JSON: {error}", param) from error
    if len(text) > _LONGEST:
        raise _unfit(f"of {len(text)} characters, expected at most {_LONGEST}", param)
    return text


def _genai() -> Any:
    import openvino_genai

    return openvino_genai
