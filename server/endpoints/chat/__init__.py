"""POST /v1/chat/completions (OpenAI API 2.3.0): JSON to `ChatRequest`, `ChatEvent`s to JSON or events.

`request` describes and decodes what comes in (`messages`, `tools` and `template` are its parts); `answer` encodes what
goes out in one piece, `chunks` as a stream.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, get_args

from fastembed.inference.library.catalog import AUTO
from fastembed.pipeline.errors import InvalidInput, ModelNotFound
from fastembed.pipeline.payload.chat import ChatEvent, ChatRequest, DocumentPart, Part, TextPart
from fastembed.server.endpoints.chat.answer import ChatAnswer
from fastembed.server.endpoints.chat.chunks import ChatChunks
from fastembed.server.endpoints.chat.request import OPERATION, decode
from fastembed.server.http.scopes import needed_scope, require_scope
from fastembed.server.wire.chat.reply import reply
from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.operation import PipelineEndpoint

PIPELINE: Final = "pipeline:"
"""What begins the name of a model that is a pipeline."""

__all__ = ("ENDPOINT", "OPERATION", "decode")


async def answer_chat(exchange: Exchange) -> None:
    """POST /v1/chat/completions."""
    fields = await exchange.fields()
    with exchange.watched():
        request, delivery = await decode(fields, exchange.references)
        request = _for_pipeline(exchange, request)
        shape = ChatChunks if delivery.stream else ChatAnswer
        try:
            await reply(exchange, [request], shape(request, delivery), stream=delivery.stream)
        except InvalidInput as error:
            raise _with_files(error, request) from error


def _for_pipeline(exchange: Exchange, request: ChatRequest) -> ChatRequest:
    """Send a request for the model `pipeline:NAME` to that pipeline; there, its steps choose the model."""
    if not request.model.startswith(PIPELINE):
        return request
    name = request.model.removeprefix(PIPELINE)
    source = exchange.pipeline(name)
    if source is None:
        raise ModelNotFound(f"found no pipeline {name[:80]!r} that serves a path, expected one", param="model")
    if not _takes_chat(source.takes):
        raise InvalidInput(f"model: the pipeline {name} takes no conversations", param="model")
    require_scope(exchange.scope, needed_scope(source.path, by_pipeline=True), f"the pipeline {name}")
    exchange.send_to(source)
    return replace(request, model=AUTO)


def _takes_chat(takes: Any) -> bool:
    """Whether a pipeline's first step takes conversations; where its type is not known, it is tried."""
    return takes is Any or ChatRequest in (get_args(takes) or (takes,))


def _with_files(error: InvalidInput, request: ChatRequest) -> InvalidInput:
    """Name the files in a prompt that is too long: the request does not show their length."""
    names = [name for message in request.messages for part in message.parts if (name := _file_of(part))]
    if error.code != "context_length_exceeded" or not names:
        return error
    files = ", ".join(names[:8])
    advice = "send shorter ones, or have the step `read` cut them (its option `tokens`)"
    return InvalidInput(
        f"{error.message}; the prompt contains {files:.400}: {advice}", param=error.param, code=error.code
    )


def _file_of(part: Part) -> str:
    """Return the name of the file that a part is read from; "" if it is none."""
    if isinstance(part, DocumentPart):
        return part.name
    return part.file if isinstance(part, TextPart) else ""


ENDPOINT: Final = PipelineEndpoint(OPERATION, answer_chat, ChatRequest, ChatEvent)
