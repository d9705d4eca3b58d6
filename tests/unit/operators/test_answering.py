"""Operators that ask models about texts and pictures: what they take, give and refuse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastembed.inference.serving.models import Models
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.operators.classify import Classify
from fastembed.operators.converse import Converse
from fastembed.operators.describe import Describe
from fastembed.operators.extract import Extract
from fastembed.operators.language import Language
from fastembed.operators.to_chat import ToChat
from fastembed.operators.to_embedding import ToEmbedding
from fastembed.pipeline.component import Context, Resources
from fastembed.pipeline.config.expressions import compile_expression
from fastembed.pipeline.errors import ConfigError, InvalidInput, Overloaded, Unprocessable
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.chat import ChatRequest

TEXT = compile_expression("value.text")


@pytest.fixture
async def context(tmp_path: Path) -> AsyncIterator[Context]:
    models = Models.from_sections({"devices": {"cpu": {"properties": {"INFERENCE_PRECISION_HINT": "f32"}}}}, tmp_path)
    speech = SpeechEngines(models)
    yield Context("p", "step", "hash", tmp_path, Resources(models, speech))
    await speech.close()
    await models.close()


def roles_of(request: ChatRequest) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in request.messages]


def test_texts_and_turns_become_requests() -> None:
    step = ToChat(system="Be brief.", model="m", max_tokens=5, temperature=0)
    assert roles_of(step(Item("hi"))) == [("system", "Be brief."), ("user", "hi")]
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    for value in (turns, {"messages": turns}):
        assert roles_of(step(Item(value)))[1:] == [("user", "a"), ("assistant", "b")]
    request = ToChat(compile_expression("value.q"), max_tokens=5)(Item({"q": "x"}))
    assert (request.sampling.max_tokens, request.model) == (5, "auto")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (" ", "empty"),
        ([], "nothing"),
        ({"x": 1}, "nothing"),
        (["hi"], "role None in turn 0"),
        ([{"role": "user", "content": 1}], "int in turn 0"),
        ([{"role": "root", "content": "x"}], "'root'"),
    ],
)
def test_what_is_no_conversation_is_refused(value: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        ToChat()(Item(value))


def test_texts_become_requests_for_vectors() -> None:
    assert ToEmbedding(purpose="query")(Item("a")).inputs == ["a"]
    assert ToEmbedding(dimensions=8)(Item({"texts": ["a", "b"]})).inputs == ["a", "b"]
    for value, words in [({}, "NoneType"), ({"text": []}, "list"), ({"text": ["a", 3]}, "int among")]:
        with pytest.raises(InvalidInput, match=words):
            ToEmbedding()(Item(value))


async def test_a_conversation_is_remembered_by_its_key_and_answered_in_turn(context: Context) -> None:
    step = Converse(model="chat-pocket", remember=4, max_tokens=8, temperature=0, of=TEXT, into="answer")
    await step.open(context)

    async def say(key: str | None, text: str) -> Any:
        return await step(Item({"text": text}, key=key))

    answers = await asyncio.gather(*(say("a", f"Message {n}") for n in range(3)), say("b", "Hello"), say(None, "Hi"))
    assert all(answer["answer"].strip() and answer["text"] for answer in answers)
    memory = step._memories.get("a")
    assert memory is not None
    assert [(turn.role, turn.text) for turn in memory.turns] == [
        *(("user", "Message 1"), ("assistant", answers[1]["answer"])),
        *(("user", "Message 2"), ("assistant", answers[2]["answer"])),
    ]
    memory.waiting = 8
    with pytest.raises(Overloaded):
        await say("a", "one too many")
    with pytest.raises(InvalidInput, match="expected text"):
        await say("b", 7)  # type: ignore[arg-type]


async def test_a_form_is_filled_as_its_schema_says(context: Context) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    (context.base / "form.json").write_text('{"type": "object", "properties": {"ok": {"type": "boolean"}}}')
    for given in (schema | {"additionalProperties": False}, Path("form.json")):
        step = Extract(given, into="form", of=TEXT)
        await step.open(context)
        found = await step(Item({"text": "It is fine."}))
        assert isinstance(found["form"], dict)
    cut = Extract(schema, max_tokens=1)
    await cut.open(context)
    with pytest.raises(Unprocessable, match="max_tokens"):
        await cut(Item("It is fine."))
    with pytest.raises(ConfigError, match="found no JSON Schema in"):
        await Extract(Path("missing.json")).open(context)


async def test_a_text_gets_the_label_that_is_nearest_in_meaning(context: Context) -> None:
    labels = {"refund": "the customer wants the money back", "travel": "when trains and ferries leave"}
    step = Classify(labels, of=TEXT, into="kind")
    await step.open(context)
    found = [await step(Item({"text": text})) for text in ("Please give me my money back", "When does the ferry go?")]
    assert [value["kind"] for value in found] == ["refund", "travel"]
    assert all(0.5 < value["kind_score"] <= 1 for value in found)
    sure = Classify(labels, least=0.999)
    await sure.open(context)
    assert await sure(Item("cheese")) == "other"
    with pytest.raises(ValueError, match="at least two"):
        Classify(("one",))


async def test_the_language_of_a_text_is_told(context: Context) -> None:
    step = Language(among=("de", "en", "fr"))
    await step.open(context)
    texts = ["Der Zug fährt heute nicht", "Where is the station?", "Où est la gare ?", "12345"]
    assert [await step(Item(text)) for text in texts] == ["de", "en", "fr", "und"]
    with pytest.raises(InvalidInput, match="the option `of`"):
        await step(Item({"text": "x"}))
    with pytest.raises(ConfigError, match="klingon"):
        await Language(among=("klingon",)).open(context)


async def test_pictures_are_described_and_what_is_none_is_refused(context: Context) -> None:
    step = Describe(max_tokens=4)
    await step.open(context)
    pixels = np.full((32, 32, 3), 200, np.uint8)
    found = await step(Item({"name": "a.png", "picture": pixels}))
    assert found.keys() == {"name", "text"}
    assert isinstance(await step(Item(pixels)), str)
    for value in (pixels[0], {"name": "x"}, b"junk", {"picture": "ü"}, {"picture": "anVuaw=="}):
        with pytest.raises(InvalidInput):
            await step(Item(value))
