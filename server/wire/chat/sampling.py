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
UNLIMITED: Final = -1
"""What clients of local servers send as `max_tokens` for no limit."""
NO_LIMIT: Final = f"{UNLIMITED} is no limit but the model's context"
_RANDOM: Final = -1
"""The seed that other local servers take for none."""
_PENALTIES: Final = (0.01, 100)
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
    "seed": whole(-(2**63), 2**63 - 1, "-1 is a random one"),
    "max_tokens": whole(UNLIMITED, MAX_TOKENS, NO_LIMIT),
    "frequency_penalty": number(-2, 2),
    "presence_penalty": number(-2, 2),
    "logit_bias": an_object(about="from token ids to -100 to 100"),
    "top_k": whole(-1, MAX_TOKENS, "choose among so many tokens; 0 or -1: among all"),
    "min_p": number(0, 1, "choose among tokens at least so probable beside the likeliest"),
    "repetition_penalty": number(*_PENALTIES, "above 1, what is there already becomes less likely"),
    "repeat_penalty": number(*_PENALTIES, "another name of repetition_penalty"),
    "ignore_eos": flag("go on to max_tokens"),
}
DELIVERY: Final[Mapping[str, Schema]] = {
    "stream": flag("answer as Server-Sent Events"),
    "stream_options": an_object({name: flag() for name in sorted(_DELIVERY)}),
}

_PENALTY_NAMES: Final = ("repetition_penalty", "repeat_penalty")
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
        seed=None if (seed := body.whole("seed", -(2**63), 2**63 - 1)) == _RANDOM else seed,
        frequency_penalty=body.number("frequency_penalty", -2, 2, default=0.0),
        presence_penalty=body.number("presence_penalty", -2, 2, default=0.0),
        logit_bias=_bias(body),
        logprobs=logprobs,
        top_logprobs=top_logprobs,
        top_k=None if (top_k := body.whole("top_k", -1, MAX_TOKENS)) is None else max(0, top_k),
        min_p=body.number("min_p", 0, 1, default=0.0) if body.has("min_p") else None,
        repetition_penalty=_penalty(body),
        ignore_eos=body.flag("ignore_eos"),
    )


def read_limit(body: Fields, name: str) -> tuple[bool, int | None]:
    """Return whether the field limits the answer, or says that nothing does (-1), and to how many tokens."""
    if not body.has(name):
        return False, None
    if body.raw(name) == UNLIMITED:
        return True, None
    return True, body.whole(name, 1, MAX_TOKENS)


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


def _penalty(body: Fields) -> float | None:
    """Return the penalty of repetitions, which has two names."""
    found = [body.number(name, *_PENALTIES, default=1.0) for name in _PENALTY_NAMES if body.has(name)]
    if len(found) > 1:
        refuse("found repetition_penalty and repeat_penalty, expected one of them", "repeat_penalty")
    return found[0] if found else None


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
    read = {int(token): bias.number(token, -100, 100, default=0.0) for token in found}
    return read if any(read.values()) else {}  # biases of nought change nothing
