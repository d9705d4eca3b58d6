"""Answers of a model are checked sentence by sentence; what is written by a model here is scripted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from fastembed.operators.answer import Answer
from fastembed.operators.prompt import prompt
from fastembed.pipeline.component import Context, Resources
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.asking import DocumentQuestion, Evidence, Passage, Retrieved
from fastembed.pipeline.payload.chat import ChatDelta, ChatEvent, ChatFinished, ChatStarted
from fastembed.pipeline.payload.grounding import Grounding
from fastembed.pipeline.retrieval import Retriever

LEASE = "The lease begins on 1 April and runs for five years."
RENT = "The rent is 2,450 a month."


class Remembering(Retriever):
    def __init__(self) -> None:
        self.kept: list[tuple[Grounding, Any]] = []

    async def embed(self, texts, model):  # noqa: ARG002 - the vectors do not matter here
        return np.ones((len(texts), 2), np.float32)

    async def record(self, grounding, databases) -> None:
        self.kept.append((grounding, databases))


def found(confidence: float = 0.9) -> Retrieved:
    passages = (
        Passage(7, f"{LEASE} {RENT}", "lease.pdf", pages=(2, 2), database="x.duckdb", warnings=("page 2: doubtful",)),
        Passage(9, "The choir rehearses on Wednesdays.", "choir.md", database="x.duckdb"),
    )
    evidence = (Evidence(0, LEASE, 0.9), Evidence(0, RENT, 0.5), Evidence(1, "The choir rehearses on Wednesdays.", 0.1))
    return Retrieved(DocumentQuestion("When does the lease begin?"), passages, evidence, confidence, 0.5)


async def answered(
    written: str, retrieved: Retrieved, *, state: str = "", **options: Any
) -> tuple[str, Grounding, Any]:
    async def scripted(_: Item[Any]) -> AsyncIterator[ChatEvent]:
        yield ChatStarted("some-model", state=state)
        for start in range(0, len(written), 3):
            yield ChatDelta(text=written[start : start + 3])
        yield ChatFinished(0, "stop", 40, 12)

    memory = Remembering()
    answer = Answer(words="quoted", **options)
    await answer.open(Context("ask", "answer", "", __import__("pathlib").Path(), Resources(memory)))
    answer._quoted, answer._generate = False, scripted
    events = [event async for event in answer(Item(prompt(retrieved)))]
    assert isinstance(events[0], ChatStarted)
    assert isinstance(events[-1], ChatFinished)
    assert events[-1].grounding is not None
    text = "".join(event.text for event in events if isinstance(event, ChatDelta))
    return text, events[-1].grounding, memory.kept


async def test_supported_sentences_stay_with_their_source_and_others_are_left_out() -> None:
    text, grounding, kept = await answered("The lease begins on 1 April. It will rain in Rome. Nice.", found())
    assert text == "The lease begins on 1 April. [1]\n\n[1] lease.pdf, page 2"
    assert [(sentence.text, sentence.quoted) for sentence in grounding.sentences] == [
        ("The lease begins on 1 April.", False)
    ]
    assert grounding.sentences[0].citations[0].quote == LEASE
    assert grounding.left_out == ("It will rain in Rome.", "Nice.")
    assert (grounding.found, grounding.model) == (True, "some-model")
    assert grounding.warnings == ("lease.pdf: page 2: doubtful",)
    assert kept == [(grounding, ["x.duckdb"])]


@pytest.mark.parametrize("written", ["It begins on 3 May 2031.", "Not in your files.", "", "Bananas are yellow. Yes."])
async def test_where_nothing_of_a_model_is_supported_the_document_is_quoted(written: str) -> None:
    text, grounding, _ = await answered(written, found())
    assert text == f"{LEASE} [1]\n\n[1] lease.pdf, page 2"
    assert (grounding.found, grounding.model, grounding.sentences[0].quoted) == (True, "", True)


async def test_a_model_that_ships_for_trying_things_out_is_not_heard() -> None:
    text, grounding, _ = await answered("The lease begins on 1 April.", found(), state="pocket")
    assert text.startswith(f"{LEASE} [1]")
    assert grounding.left_out == ()


async def test_below_the_floor_the_documents_do_not_say() -> None:
    text, grounding, kept = await answered("The lease begins on 1 April.", found(0.4), not_found="Nichts.")
    assert text == "Nichts."
    assert (grounding.found, grounding.sentences, grounding.confidence, grounding.floor) == (False, (), 0.4, 0.5)
    assert kept[0][1] == ["x.duckdb"]


async def test_nothing_is_remembered_where_that_is_switched_off() -> None:
    assert (await answered("", found(), keep=False))[2] == []


def test_the_prompt_numbers_the_best_sentences() -> None:
    request = prompt(found(), instructions="Do it.", sentences=2)
    assert request.messages[0].text == "Do it."
    assert request.messages[1].text == f"[1] {LEASE}\n[2] {RENT}\n\nQuestion: When does the lease begin?"
    assert request.retrieved.passages[0].file == "lease.pdf"
