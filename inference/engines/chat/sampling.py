"""A request's sampling options, checked, as genai's GenerationConfig."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.chat import ChatRequest, Sampling

_MOST_CHOICES: Final = 128
_RANGES: Final = (
    ("temperature", 0.0, 2.0),
    ("top_p", 0.0, 1.0),
    ("frequency_penalty", -2.0, 2.0),
    ("presence_penalty", -2.0, 2.0),
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
        if not least <= value <= most:  # also catches NaN
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
    if sampling.top_logprobs:
        raise InvalidInput(
            f"found top_logprobs {sampling.top_logprobs}, expected 0: these engines tell the chosen token's only "
            "(logprobs: true)",
            param="top_logprobs",
            code="unsupported_parameter",
        )


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
    """
    config.max_new_tokens = max_tokens
    config.do_sample = sampling.temperature > 0 and sampling.top_p > 0
    if config.do_sample:
        config.temperature = sampling.temperature
        config.top_p = sampling.top_p
        seed = random.getrandbits(32) if sampling.seed is None else sampling.seed
        config.rng_seed = (seed + choice) % 2**32
    config.presence_penalty = sampling.presence_penalty
    config.frequency_penalty = sampling.frequency_penalty
    config.logprobs = int(sampling.logprobs)
    if structure is not None:
        config.structured_output_config = structure
    return config


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
