"""POST /v1/completions (OpenAI API 2.3.0, legacy): continue texts.

`prompt` is a string or several: each goes through the pipeline as a `ChatRequest` of its own, all at once, and their
choices are numbered on. Token ids are refused: the contract of a request is text. `best_of` beyond `n` and `suffix` are
refused too; `user` is checked and has no effect.
"""

from __future__ import annotations

from typing import Any, Final

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.chat import ChatEvent, ChatRequest
from fastembed.server.wire.chat.reply import reply
from fastembed.server.wire.chat.sampling import (
    DELIVERY,
    EXTENSIONS,
    MAX_CHOICES,
    MODEL,
    SAMPLING,
    Delivery,
    read_delivery,
    read_limit,
    read_model,
    read_preferences,
    read_sampling,
)
from fastembed.server.wire.completion import CompletionAnswer, CompletionChunks
from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.fields import Fields, kind, refuse
from fastembed.server.wire.operation import EVENTS, JSON, Operation, PipelineEndpoint
from fastembed.server.wire.schema import an_object, flag, listed, one_of, string, whole

DEFAULT_TOKENS: Final = 16
MAX_LOGPROBS: Final = 5
MAX_BEST_OF: Final = 20
OPERATION: Final = Operation(
    "POST",
    "/v1/completions",
    "Continue texts (legacy)",
    body=an_object(
        {
            "prompt": one_of(string(), listed(string(), most=MAX_CHOICES)),
            "model": MODEL,
            "best_of": whole(1, MAX_BEST_OF, "no more than n"),
            "echo": flag("repeat the prompt before its answer"),
            "logprobs": whole(0, MAX_LOGPROBS),
            "suffix": string("only an empty one: text is continued, not filled in"),
            "user": string("checked, without effect", most=512),
            **SAMPLING,
            **DELIVERY,
            **EXTENSIONS,
        },
        required=("prompt", "model"),
    ),
    answer={JSON: an_object(about="a text_completion"), EVENTS: an_object(about="text_completion objects")},
)


async def answer_completions(exchange: Exchange) -> None:
    """POST /v1/completions."""
    fields = await exchange.fields()
    with exchange.watched():
        requests, delivery = decode(fields)
        shape = CompletionChunks if delivery.stream else CompletionAnswer
        try:
            await reply(exchange, requests, shape(requests, delivery), stream=delivery.stream)
        except InvalidInput as error:
            if error.param == "top_logprobs":  # here the field has another name, and 0 asks for what there is
                refuse(error.message.replace("top_logprobs", "logprobs", 1), "logprobs", error.code)
            raise


def decode(fields: Fields) -> tuple[list[ChatRequest], Delivery]:
    """Check a request's JSON. InvalidInput names the field, what was found and what was expected."""
    fields.known(OPERATION.fields)
    logprobs = fields.whole("logprobs", 0, MAX_LOGPROBS)
    sampling = read_sampling(
        fields,
        max_tokens=_max_tokens(fields),
        logprobs=logprobs is not None,
        top_logprobs=logprobs or 0,
    )
    count = fields.whole("n", 1, MAX_CHOICES) or 1
    _check_the_rest(fields, count)
    delivery = read_delivery(fields, logprobs=logprobs is not None)
    prompts = _prompts(fields)
    if len(prompts) * count > MAX_CHOICES:
        refuse(f"found {len(prompts)} prompts and n {count}, expected at most {MAX_CHOICES} answers in all", "prompt")
    shared: dict[str, Any] = {
        "model": read_model(fields),
        "sampling": sampling,
        "count": count,
        "echo": fields.flag("echo"),
        "whole": not delivery.stream,
        **read_preferences(fields),
    }
    return [ChatRequest(prompt=prompt, **shared) for prompt in prompts], delivery


def _max_tokens(fields: Fields) -> int | None:
    """Return the limit of the answer; None: the model's context is."""
    limited, most = read_limit(fields, "max_tokens")
    return most if limited else DEFAULT_TOKENS


def _check_the_rest(fields: Fields, count: int) -> None:
    best_of = fields.whole("best_of", 1, MAX_BEST_OF)
    if best_of is not None and best_of > count:
        refuse(f"found best_of {best_of} and n {count}, expected no more than n", "best_of", "unsupported_value")
    if fields.text("suffix"):
        refuse("found a suffix, expected none: text is continued, not filled in", "suffix", "unsupported_parameter")
    fields.text("user", most=512)


def _prompts(fields: Fields) -> list[str]:
    expected = "a string or a list of strings"
    found = fields.raw("prompt")
    if isinstance(found, str):
        if not found:
            fields.refuse("prompt", "text to continue")
        return [found]
    prompts: list[str] = []
    for place, entry in fields.entries("prompt", expected, most=MAX_CHOICES):
        if isinstance(entry, (int, list)):
            refuse("found token ids, expected text", place, "unsupported_value")
        if not isinstance(entry, str):
            refuse(f"found {kind(entry)}, expected text", place, "invalid_type")
        if not entry:
            refuse("found an empty string, expected text to continue", place, "invalid_value")
        prompts.append(entry)
    return prompts


ENDPOINT: Final = PipelineEndpoint(OPERATION, answer_completions, ChatRequest, ChatEvent)
