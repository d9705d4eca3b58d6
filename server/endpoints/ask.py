"""POST /v1/ask: a question about the documents that were read, answered with its sources by the pipeline on this path.

    {"question": "Who signed the lease?", "folder": "papers", "model": "auto", "stream": true}

Every sentence of the answer names the passage, page and file that supports it; `found` is false, and the answer says
so, where the documents do not hold it: `confidence` is below `floor`. With `"stream": true` the answer comes as
Server-Sent Events: `answer.delta` with `text`, at the end `answer.done` with the whole object.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

import orjson

from fastembed.operators.asking.support import place_of
from fastembed.pipeline.errors import StepFailed
from fastembed.pipeline.payload.asking import DocumentQuestion
from fastembed.pipeline.payload.chat import ChatDelta, ChatEvent, ChatFinished, ChatRequest, ChatStarted
from fastembed.pipeline.payload.grounding import Citation, Grounding
from fastembed.server.endpoints.search import SCOPE, read_scope
from fastembed.server.wire.chat.answer import no_event, usage
from fastembed.server.wire.chat.reply import reply
from fastembed.server.wire.event_stream import DONE, event
from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.fields import Fields
from fastembed.server.wire.operation import EVENTS, JSON, Operation, PipelineEndpoint
from fastembed.server.wire.schema import an_object, flag, number, string, whole

MAX_QUESTION_CHARS: Final = 4_000
MAX_PASSAGES: Final = 20

OPERATION: Final = Operation(
    "POST",
    "/v1/ask",
    "Answer a question from the documents that were read",
    body=an_object(
        {
            "question": string("a question", most=MAX_QUESTION_CHARS),
            "model": string("a chat model, or auto"),
            "limit": whole(1, MAX_PASSAGES, "passages to answer from"),
            "floor": number(0, 1, "the least confidence with which the question is answered"),
            "stream": flag("answer as Server-Sent Events"),
            **SCOPE,
        },
        required=("question",),
    ),
    answer={JSON: an_object(about="an answer with its sentences and sources"), EVENTS: an_object()},
)


async def answer_ask(exchange: Exchange) -> None:
    """POST /v1/ask."""
    fields = await exchange.fields()
    question = decode(fields)
    stream = fields.flag("stream")
    with exchange.watched():
        await reply(exchange, [question], AskStream() if stream else AskAnswer(), stream=stream)


def decode(fields: Fields) -> DocumentQuestion:
    """Return the question that a request asks. InvalidInput names the field."""
    fields.known(OPERATION.fields)
    text = fields.needed("question", "a question")
    fields.text("question", most=MAX_QUESTION_CHARS)
    return DocumentQuestion(
        text=text,
        scope=read_scope(fields),
        model=fields.text("model") or "auto",
        limit=fields.whole("limit", 1, MAX_PASSAGES),
        floor=fields.number("floor", 0, 1, default=0.0) if fields.has("floor") else None,
    )


class AskAnswer:
    """Turns the events of one answer into its object, and into events of a stream."""

    def __init__(self) -> None:
        self.started: ChatStarted | None = None
        self._text: list[str] = []
        self._finished: ChatFinished | None = None

    def take(self, found: ChatEvent, prompt: int = 0) -> bytes:  # noqa: ARG002 - there is one question
        """Return what a stream sends for an event."""
        if isinstance(found, ChatStarted):
            self.started = found
            return b""
        if isinstance(found, ChatDelta):
            self._text.append(found.text)
            return event(orjson.dumps({"type": "answer.delta", "text": found.text}))
        if not isinstance(found, ChatFinished):
            raise no_event(found)
        self._finished = found
        return event(orjson.dumps({"type": "answer.done", "answer": self._object()}))

    def end(self) -> bytes:
        """Return the whole answer."""
        return orjson.dumps(self._object())

    def _object(self) -> dict[str, Any]:
        finished = self._finished
        if finished is None or finished.grounding is None:
            cause = RuntimeError("found no sources at the end, expected a pipeline that ends in the step answer")
            raise StepFailed("reply", cause)
        return answer_object(finished.grounding, "".join(self._text), finished)


class AskStream(AskAnswer):
    """As `AskAnswer`, for a stream."""

    def end(self) -> bytes:
        """Return the mark of the end."""
        self._object()
        return DONE


def answer_object(grounding: Grounding, text: str, finished: ChatFinished) -> dict[str, Any]:
    """Return the JSON of an answer. text: as it was written, the list of sources at its end."""
    cited = {found.number: found for sentence in grounding.sentences for found in sentence.citations}
    return {
        "object": "answer",
        "id": grounding.id,
        "question": grounding.question,
        "found": grounding.found,
        "answer": text.partition("\n\n[")[0] if cited else text,
        "confidence": grounding.confidence,
        "doubts": list(grounding.doubts),
        "floor": grounding.floor,
        "sentences": [
            {
                "text": sentence.text,
                "quoted": sentence.quoted,
                "citations": [
                    {
                        "number": found.number,
                        "quote": found.quote,
                        "support": found.support,
                        "passage_id": found.passage_id,
                        "file": found.file,
                        "pages": found.pages,
                    }
                    for found in sentence.citations
                ],
            }
            for sentence in grounding.sentences
        ],
        "sources": [_source(cited[number]) for number in sorted(cited)],
        "left_out": grounding.left_out,
        "warnings": grounding.warnings,
        "model": grounding.model or None,
        "usage": usage([finished]),
    }


def _source(found: Citation) -> dict[str, Any]:
    whole = asdict(found)
    del whole["quote"], whole["support"]
    return {**whole, "place": place_of(found)}


ENDPOINT: Final = PipelineEndpoint(OPERATION, answer_ask, DocumentQuestion | ChatRequest, ChatEvent)
