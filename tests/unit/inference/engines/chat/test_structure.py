"""What an answer may hold where JSON is asked for and there are tools."""

from __future__ import annotations

import pytest

from fastembed.inference.engines.chat.calling import STYLES
from fastembed.inference.engines.chat.structure import form_of
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.chat import ChatRequest, Tool


class Fits:
    """A guard that finds nothing wrong."""

    async def problem(self, _):
        return None

    async def takes(self, _):
        return True


@pytest.mark.parametrize("style", STYLES, ids=[style.name for style in STYLES])
async def test_calls_beside_json_need_marks_that_a_grammar_can_write(style):
    form = await form_of(ChatRequest(json="object", tools=(Tool("a"),)), style, Fits())
    assert (form.open, form.calls) == (style.name == "hermes", False)


async def test_tools_that_are_together_too_much_are_refused():
    closed = {"properties": {f"p{i}": {} for i in range(400)}, "additionalProperties": False}
    tools = tuple(Tool(name, parameters=closed) for name in "abc")
    assert (await form_of(ChatRequest(tools=tools[:2], tool_choice="required"), STYLES[0], Fits())).calls
    with pytest.raises(InvalidInput, match="found tools with 1200 properties, expected at most 1000 in all"):
        await form_of(ChatRequest(tools=tools, tool_choice="required"), STYLES[0], Fits())


@pytest.mark.parametrize("style", STYLES, ids=[style.name for style in STYLES])
async def test_free_text_may_hold_calls(style):
    assert (await form_of(ChatRequest(tools=(Tool("a"),)), style, Fits())).open
