"""What a voice is, whatever speaks with it; and the form in which its sound leaves the engines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from fastembed.pipeline.errors import InvalidInput

OPENAI_VOICES: Final = (
    "alloy",
    "ash",
    "ballad",
    "cedar",
    "coral",
    "echo",
    "fable",
    "marin",
    "nova",
    "onyx",
    "sage",
    "shimmer",
    "verse",
)
"""What OpenAI's clients ask for; each model says which of its own voices answers to them."""

_AUDIBLE: Final = 0.01  # -40 dB of full scale: below are the breaths and the noise that networks put around speech
_HOP_S: Final = 0.005


@dataclass(frozen=True, slots=True)
class VoiceList:
    """The voices of a model: their names, what else they answer to, and the one for requests that name none."""

    names: tuple[str, ...]
    default: str
    aliases: Mapping[str, str] = field(default_factory=dict)

    def resolve(self, name: str, more: Mapping[str, str] | None = None) -> str:
        """Return a voice's own name. more: aliases that come first. InvalidInput lists what there is."""
        name = (more or {}).get(name, name) or self.default
        if name in self.names:
            return name
        folded = name.casefold()
        for known in self.names:
            if known.casefold() == folded:
                return known
        if folded in self.aliases:
            return self.aliases[folded]
        others = ", ".join(self.aliases)
        raise InvalidInput(
            f"voice: found {name!r:.80}, expected one of {', '.join(self.names)}"
            + (f", or one of the names {others}" if others else ""),
            param="voice",
            code="invalid_voice",
        )


class VoiceEngine(Protocol):
    """Speaks one sentence at a time, in the process that holds the model."""

    @property
    def rate_hz(self) -> int:
        """Samples a second of what it returns."""

    def speak(self, text: str, voice: str, speed: float) -> NDArray[np.float32]:
        """Return the sound of a short text, mono; empty if there is nothing to say in it."""


def trimmed(samples: NDArray[np.float32], rate_hz: int, *, before_s: float, after_s: float) -> NDArray[np.float32]:
    """Return speech with so much of the silence around it at most, so that it begins at once; all silence: nothing."""
    samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32, copy=False)
    loud = np.flatnonzero(np.abs(samples) > _AUDIBLE)
    if not len(loud):
        return samples[:0]
    first = max(0, int(loud[0]) - round(before_s * rate_hz))
    last = min(len(samples), int(loud[-1]) + 1 + round(after_s * rate_hz))
    piece = samples[first:last].copy()
    ramp = min(round(_HOP_S * rate_hz), len(piece) // 2)
    if ramp:  # a cut in the noise would click
        slope = np.linspace(0, 1, ramp, dtype=np.float32)
        piece[:ramp] *= slope
        piece[-ramp:] *= slope[::-1]
    return piece
