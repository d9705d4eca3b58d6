"""The objects that answers of every chat model have: id, fingerprint, usage, and the check that they are whole."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from fastembed.pipeline.errors import StepFailed
from fastembed.pipeline.payload.chat import ChatFinished, ChatStarted

LEAST_LOGPROB: Final = -9999.0
"""What OpenAI sends for a probability of nought, of which JSON has no logarithm."""


def new_id(prefix: str) -> str:
    """Return an id for an answer."""
    return f"{prefix}-{secrets.token_hex(16)}"


@lru_cache(maxsize=256)
def fingerprint(model: str, device: str) -> str:
    """Return what stays the same while the same model answers on the same device."""
    return f"fp_{hashlib.blake2s(f'{model} on {device}'.encode(), digest_size=5).hexdigest()}"


def check_finished(started: ChatStarted | None, finished: Mapping[int, ChatFinished], count: int) -> ChatStarted:
    """Return what began the answer. StepFailed if the pipeline did not answer every choice."""
    if started is None or len(finished) < count:
        cause = RuntimeError(f"found {len(finished)} finished choices, expected {count}, and what started them")
        raise StepFailed("reply", cause)
    return started


def no_event(found: object) -> StepFailed:
    """Return the error for a pipeline that answers with something else."""
    cause = TypeError(f"found a result of {type(found).__name__}, expected events of a chat")
    return StepFailed("reply", cause)


def usage(finished: Iterable[ChatFinished]) -> dict[str, Any]:
    """Return the tokens of one request; its latest event has the counts of all its choices."""
    events = list(finished)
    prompt = max(event.prompt_tokens for event in events)
    completion = max(event.completion_tokens for event in events)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": max(event.cached_tokens for event in events), "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": max(event.reasoning_tokens for event in events),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
