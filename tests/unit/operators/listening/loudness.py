"""A judge of speech that needs no model, and the sounds it is asked about."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from fastembed.operators.listening.segmenter import Segmenter, SegmenterLimits
from fastembed.pipeline.payload.audio import SpeechSettings, TurnDetection

RATE_HZ = 16_000


class Loudness:
    """Loud is speech: the frame's mean amplitude is the probability."""

    def probability(self, frame: np.ndarray) -> float:
        return float(np.abs(frame).mean())

    def reset(self) -> None:
        return


def sound(*parts: tuple[float, float]) -> np.ndarray:
    """Return samples of (seconds, loudness) after each other."""
    return np.concatenate([np.full(round(seconds * RATE_HZ), level, np.float32) for seconds, level in parts])


def numbered() -> Callable[[], str]:
    count = itertools.count(1)
    return lambda: f"u{next(count)}"


def listening(settings: SpeechSettings | None = None, limits: SegmenterLimits | None = None) -> Segmenter:
    turns = TurnDetection(threshold=0.5, prefix_padding_ms=300, silence_duration_ms=500)
    chosen = settings or SpeechSettings(turn_detection=turns)
    return Segmenter(Loudness(), chosen, numbered(), limits or SegmenterLimits(partial_s=None))
