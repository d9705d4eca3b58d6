"""The fields that chat and completions share: how tokens are chosen, how the answer is delivered, our preferences."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastembed.pipeline.payload.chat import Sampling
from fastembed.server.wire.fields import Fields, refuse
from fastembed.server.wire.schema import Schema, an_object, choice, flag, listed, number, one_of, string, whole

MAX_STOPS: Final = 4
MAX_CHOICES: Final = 128
MAX_TOKENS: Final = 2**31 - 1
_MODALITIES: Final = ("auto", "force_multimodal", "force_text")
_PRIORITIES: Final = ("high", "normal", "low")
_DELIVERY: Final = frozenset(("include_usage", "include_obfuscation"))

MODEL: Final = string("a name from /v1/models, or auto")
EXTENSIONS: Final[Mapping[str, Schema]] = {
    "modality_routing": choice(*_MODALITIES, about="whether pictures and sound decide which model answers"),
    "npu_priority": choice(*_PRIORITIES, about="how much an NPU is preferred"),
    "model_fallback": flag("whether another model may answer if the named one cannot"),
}
SAMPLING: Final[Mapping[str, Schema]] = {
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "n": whole(1, MAX_CHOICES, "how many answers"),
    "stop": one_of(string(), listed(string(), most=MAX_STOPS), about="text that ends the answer"),
    "seed": whole(-(2**63), 2**63 - 1),
    "max_tokens": whole(1, MAX_TOKENS),
    "frequency_penalty": number(-2, 2),
    "presence_penalty": number(-2, 2),
    "logit_bias": an_object(about="from token ids to -100 to 100"),
}
DELIVERY: Final[Mapping[str, Schema]] = {
    "stream": flag("answer as Server-Sent Events"),
    "stream_options": an_object({name: flag() for name in sorted(_DELIVERY)}),
}

_TOKEN_ID: Final = re.compile(r"\d{1,9}")


@dataclass(frozen=True, slots=True)
class Delivery:
    """How the answer is delivered. logprobs: include probabilities; padded: stream events of even lengths."""

    stream: bool = False
    usage: bool = False
    padded: bool = False
    logprobs: bool = False


def read_sampling(body: Fields, *, max_tokens: int | None, logprobs: bool, top_logprobs: int) -> Sampling:
    """Return how tokens are chosen."""
    return Sampling(
        temperature=body.number("temperature", 0, 2, default=1.0),
        top_p=body.number("top_p", 0, 1, default=1.0),
        max_tokens=max_tokens,
        stop=_stop(body),
        seed=body.whole("seed", -(2**63), 2**63 - 1),
        frequency_penalty=body.number("frequency_penalty", -2, 2, default=0.0),
        presence_penalty=body.number("presence_penalty", -2, 2, default=0.0),
        logit_bias=_bias(body),
        logprobs=logprobs,
        top_logprobs=top_logprobs,
    )


def read_delivery(body: Fields, *, logprobs: bool) -> Delivery:
    """Return how the answer is delivered."""
    stream = body.flag("stream")
    options = body.object("stream_options")
    if options is None:
        return Delivery(stream, logprobs=logprobs)
    if not stream:
        refuse("found stream_options without stream: true, expected both", "stream_options")
    options.known(_DELIVERY)
    return Delivery(True, options.flag("include_usage"), options.flag("include_obfuscation"), logprobs)


def read_preferences(body: Fields) -> dict[str, Any]:
    """Return what our extensions ask for, as arguments of `ChatRequest`."""
    return {
        "modality_routing": body.choice("modality_routing", _MODALITIES) or "auto",
        "npu_priority": body.choice("npu_priority", _PRIORITIES) or "normal",
        "model_fallback": body.flag("model_fallback") if body.has("model_fallback") else None,
    }


def read_model(body: Fields) -> str:
    """Return the name of the model."""
    return body.needed("model", "a model's name; `auto` lets the server choose")


def _stop(body: Fields) -> tuple[str, ...]:
    found = body.raw("stop")
    if found is None:
        return ()
    if isinstance(found, str):
        found = [found]
    if not isinstance(found, list) or not all(isinstance(entry, str) for entry in found):
        body.refuse("stop", f"a string or up to {MAX_STOPS} strings", "invalid_type")
    if len(found) > MAX_STOPS:
        refuse(f"found {len(found)} strings, expected at most {MAX_STOPS}", "stop", "array_above_max_length")
    if "" in found:
        refuse("found an empty string, expected text that ends the answer", "stop", "invalid_value")
    return tuple(found)


def _bias(body: Fields) -> Mapping[int, float]:
    found = body.mapping("logit_bias")
    if not found:
        return {}
    bias = body.inner(found, "logit_bias")
    for token in found:
        if _TOKEN_ID.fullmatch(token) is None:
            refuse(f"found the key {token!r:.80}, expected token ids", "logit_bias", "invalid_value")
    return {int(token): bias.number(token, -100, 100, default=0.0) for token in found}
