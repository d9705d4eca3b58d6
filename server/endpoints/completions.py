"""POST /v1/completions (OpenAI API 2.3.0, legacy): continue texts.

`prompt` is a string or several: each goes through the pipeline as a `ChatRequest` of its own, all at once, and their
choices are numbered on. Token ids are refused: the contract of a request is text. `best_of` beyond `n` and `suffix` are
refused too; `user` is checked and has no effect.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.chat import ChatDelta, ChatEvent, ChatFinished, ChatRequest, ChatStarted, TokenLogprob
from fastembed.server.wire.chat.answer import LEAST_LOGPROB, check_finished, fingerprint, new_id, no_event, usage
from fastembed.server.wire.chat.chunk_frame import ChunkFrame
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
from fastembed.server.wire.event_stream import DONE
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


class _CompletionState:
    """How far the answers to the prompts of one call are: choice `prompt * n + index` of the response."""

    def __init__(self, requests: Sequence[ChatRequest], delivery: Delivery) -> None:
        self.started: ChatStarted | None = None
        self.delivery = delivery
        self.per_prompt = requests[0].count
        self.count = len(requests) * self.per_prompt
        self.finished: dict[int, ChatFinished] = {}
        self.lengths = [0] * self.count  # characters shown so far: a token's text_offset

    def head(self) -> dict[str, Any]:
        """Return the fields that every object begins with."""
        started = check_finished(self.started, {}, 0)
        return {
            "id": new_id("cmpl"),
            "object": "text_completion",
            "created": int(time.time()),
            "model": started.model,
            "system_fingerprint": fingerprint(started.model, started.device),
        }

    def usage(self) -> dict[str, Any]:
        """Return the tokens of all prompts together."""
        total: dict[str, Any] = {}
        for place in range(0, self.count, self.per_prompt):
            _add(total, usage([self.finished[place + index] for index in range(self.per_prompt)]))
        return total

    def logprobs(self, choice: int, delta: ChatDelta) -> dict[str, Any]:
        """Return the legacy form of a delta's probabilities; its tokens begin at the end of what was shown."""
        tokens = delta.logprobs
        return {
            "tokens": [one.token for one in tokens],
            "token_logprobs": [max(one.logprob, LEAST_LOGPROB) for one in tokens],
            "top_logprobs": [{token: max(value, LEAST_LOGPROB) for token, value in _top(one)} for one in tokens],
            "text_offset": list(_offsets(self.lengths[choice], tokens)),
        }


class CompletionAnswer:
    """Puts the events of one call together to a `text_completion`."""

    def __init__(self, requests: Sequence[ChatRequest], delivery: Delivery) -> None:
        self._progress = _CompletionState(requests, delivery)
        self._texts: list[list[str]] = [[] for _ in range(self._progress.count)]
        empty = self._progress.logprobs(0, ChatDelta())
        self._logprobs: list[dict[str, list[Any]]] = [{key: [] for key in empty} for _ in self._texts]

    @property
    def started(self) -> ChatStarted | None:
        """Which model answers."""
        return self._progress.started

    def take(self, event: ChatEvent, prompt: int = 0) -> bytes:
        """Add an event."""
        progress = self._progress
        first = prompt * progress.per_prompt
        if isinstance(event, ChatDelta):
            choice = first + event.index
            if event.logprobs:
                for key, values in progress.logprobs(choice, event).items():
                    self._logprobs[choice][key].extend(values)
            self._texts[choice].append(event.text)
            progress.lengths[choice] += len(event.text)
        elif isinstance(event, ChatFinished):
            progress.finished[first + event.index] = event
        elif isinstance(event, ChatStarted):
            progress.started = event
        else:
            raise no_event(event)
        return b""

    def end(self) -> bytes:
        """Return the response's JSON."""
        progress = self._progress
        check_finished(progress.started, progress.finished, progress.count)
        choices = [
            {
                "text": "".join(text),
                "index": index,
                "logprobs": self._logprobs[index] if progress.delivery.logprobs else None,
                "finish_reason": progress.finished[index].reason,
            }
            for index, text in enumerate(self._texts)
        ]
        return orjson.dumps({**progress.head(), "choices": choices, "usage": progress.usage()})


class CompletionChunks:
    """Turns the events of one call into events of a stream."""

    def __init__(self, requests: Sequence[ChatRequest], delivery: Delivery) -> None:
        self._progress = _CompletionState(requests, delivery)
        self._frame: ChunkFrame | None = None

    @property
    def started(self) -> ChatStarted | None:
        """Which model answers."""
        return self._progress.started

    def take(self, event: ChatEvent, prompt: int = 0) -> bytes:
        """Return the stream's events for one of the answer."""
        progress, frame = self._progress, self._frame
        if isinstance(event, ChatStarted):
            progress.started = progress.started or event
            self._frame = frame or ChunkFrame(progress.head(), progress.delivery)
            return b""
        if frame is None:
            raise no_event(event)
        choice = prompt * progress.per_prompt + event.index
        if isinstance(event, ChatFinished):
            progress.finished[choice] = event
            body = b',"text":"","logprobs":null,"finish_reason":"%b"' % event.reason.encode()
            return frame.choice(choice, body)
        if not isinstance(event, ChatDelta):
            raise no_event(event)
        return self._delta(frame, choice, event)

    def end(self) -> bytes:
        """Return the usage, if it was asked for, and the mark of the end."""
        progress = self._progress
        check_finished(progress.started, progress.finished, progress.count)
        if progress.delivery.usage and self._frame is not None:
            return self._frame.usage(progress.usage()) + DONE
        return DONE

    def _delta(self, frame: ChunkFrame, choice: int, delta: ChatDelta) -> bytes:
        if not delta.text and not delta.logprobs:
            return b""
        probable = orjson.dumps(self._progress.logprobs(choice, delta)) if delta.logprobs else b"null"
        self._progress.lengths[choice] += len(delta.text)
        body = b',"text":%b,"logprobs":%b,"finish_reason":null' % (orjson.dumps(delta.text), probable)
        return frame.choice(choice, body)


def _top(token: TokenLogprob) -> Sequence[tuple[str, float]]:
    """Return the likeliest tokens; the chosen one is always among them."""
    return [*token.top, (token.token, token.logprob)]


def _offsets(start: int, tokens: Sequence[TokenLogprob]) -> Iterator[int]:
    for token in tokens:
        yield start
        start += len(token.token)


def _add(total: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict):
            _add(total.setdefault(key, {}), value)
        else:
            total[key] = total.get(key, 0) + value


ENDPOINT: Final = PipelineEndpoint(OPERATION, answer_completions, ChatRequest, ChatEvent)
