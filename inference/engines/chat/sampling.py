"""A request's sampling options, checked, as genai's GenerationConfig."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final

from fastembed.inference.engines.chat.native import reason
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.chat import ChatRequest, Sampling

_MOST_CHOICES: Final = 128
_LEAST: Final = 1e-5
"""A temperature, or a top_p, below it chooses as 0 does. Engines compute in float32, where 5e-324 is 0, which they
refuse, and where logits divided by a denormal number are infinite."""
_MOST_TOP_K: Final = 2**31 - 1
_RANGES: Final = (
    ("temperature", 0.0, 2.0),
    ("top_p", 0.0, 1.0),
    ("frequency_penalty", -2.0, 2.0),
    ("presence_penalty", -2.0, 2.0),
    ("min_p", 0.0, 1.0),
    ("repetition_penalty", 0.01, 100.0),
    ("top_k", 0, _MOST_TOP_K),
)


def check_sampling(sampling: Sampling, count: int, *, tells_logprobs: bool = True) -> None:
    """Raise InvalidInput for what is out of range or cannot be had from these engines."""
    if sampling.logprobs and not tells_logprobs:
        raise InvalidInput(
            "found logprobs, which the engine of this device cannot tell, expected none; on: [cpu] can",
            param="logprobs",
            code="unsupported_parameter",
        )
    for name, least, most in _RANGES:
        value = getattr(sampling, name)
        if value is not None and not least <= value <= most:  # also catches NaN
            raise InvalidInput(f"found {name} {value:g}, expected {least:g} to {most:g}", param=name)
    if sampling.max_tokens is not None and sampling.max_tokens < 1:
        raise InvalidInput(f"found max_tokens {sampling.max_tokens}, expected at least 1", param="max_tokens")
    if not 1 <= count <= _MOST_CHOICES:
        raise InvalidInput(f"found n {count}, expected 1 to {_MOST_CHOICES}", param="n")
    if sampling.logit_bias:
        raise InvalidInput(
            "found logit_bias, which these engines cannot apply, expected none; a JSON schema restricts an answer",
            param="logit_bias",
            code="unsupported_parameter",
        )
    if sampling.top_logprobs > 1 or (sampling.top_logprobs and _samples(sampling)):
        raise _unlikely(f"found top_logprobs {sampling.top_logprobs}")


def room_for_answer(prompt: Sequence[int], request: ChatRequest, room: int, longest_prompt: int, model: str) -> int:
    """Return how many tokens the answer may take. InvalidInput (with counts) when the prompt leaves none."""
    if len(prompt) > longest_prompt:
        raise InvalidInput(
            f"found {len(prompt)} tokens in the prompt, expected at most {longest_prompt} for {model}"
            f" (its context of {room} tokens holds the answer too)",
            param="prompt" if request.prompt is not None else "messages",
            code="context_length_exceeded",
        )
    most = room - len(prompt)
    wanted = request.sampling.max_tokens
    return most if wanted is None else min(wanted, most)


def configure(config: Any, sampling: Sampling, max_tokens: int, choice: int, structure: Any = None) -> Any:
    """Fill in a fresh GenerationConfig; temperature 0 (or top_p 0) is greedy; each choice has a seed of its own.

    Stop strings are not passed on: the engine's text is cut where they are seen, so that nothing of them ever shows.
    InvalidInput where genai refuses the options: raised by the engine itself, that would count as its failure.
    """
    try:
        _fill(config, sampling, max_tokens, choice)
        config.validate()
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:  # what genai and its binding raise
        raise InvalidInput(f"the engine refuses these options of sampling: {reason(error)}") from error
    if structure is not None:
        config.structured_output_config = structure
    return config


def _fill(config: Any, sampling: Sampling, max_tokens: int, choice: int) -> None:
    """Set the options on a GenerationConfig."""
    config.max_new_tokens = max_tokens
    config.do_sample = _samples(sampling)
    if config.do_sample:
        config.temperature = sampling.temperature
        config.top_p = sampling.top_p
        seed = random.getrandbits(32) if sampling.seed is None else sampling.seed
        config.rng_seed = (seed + choice) % 2**32
        if sampling.top_k is not None:
            config.top_k = sampling.top_k or _MOST_TOP_K
        if sampling.min_p is not None:
            config.min_p = sampling.min_p
    config.presence_penalty = sampling.presence_penalty
    config.frequency_penalty = sampling.frequency_penalty
    if sampling.repetition_penalty is not None:
        config.repetition_penalty = sampling.repetition_penalty
    if sampling.ignore_eos:
        config.ignore_eos = True
        config.eos_token_id, config.stop_token_ids = -1, set()
    config.logprobs = int(sampling.logprobs)


def _samples(sampling: Sampling) -> bool:
    """Whether there is more than one token to choose from; else the likeliest one is taken."""
    wide = sampling.min_p is None or sampling.min_p < 1 - _LEAST
    return sampling.temperature >= _LEAST and sampling.top_p >= _LEAST and wide and sampling.top_k != 1


def check_likeliest(config: Any) -> None:
    """Refuse `top_logprobs` where the chosen token need not be the likeliest one: under a grammar, with penalties."""
    penalised = config.repetition_penalty != 1 or config.presence_penalty or config.frequency_penalty
    if penalised or config.structured_output_config is not None:
        raise _unlikely("found top_logprobs with " + ("penalties" if penalised else "a form for the answer"))


def _unlikely(found: str) -> InvalidInput:
    return InvalidInput(
        f"{found}, expected 0, or 1 with temperature 0, no penalties and text: these engines tell the probability of "
        "the chosen token only (logprobs: true), which is the likeliest one then",
        param="top_logprobs",
        code="unsupported_parameter",
    )


class SamplingDefaults:
    """What a model's folder says of generating, otherwise than genai does; outlives a pipeline that is loaded anew."""

    def __init__(self, config: Any) -> None:
        """Take them from a pipeline's GenerationConfig."""
        self._make = type(config)
        plain = self._make()
        names = [name for name in dir(config) if not name.startswith("_") and not callable(getattr(config, name))]
        self._values = {name: getattr(config, name) for name in names if getattr(config, name) != getattr(plain, name)}
        self.stop_ids = frozenset({*config.stop_token_ids, config.eos_token_id})

    def fresh(self) -> Any:
        """Return a GenerationConfig of one's own."""
        config = self._make()
        for name, value in self._values.items():
            setattr(config, name, value)
        return config
