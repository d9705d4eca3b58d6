"""Where sounds stand in a prompt, and how a model that hears is told.

Qwen3-Omni's way in genai (`VLMPipeline.generate(audios=)`, 2026.4.1): sounds are float32 at 16 kHz; each takes as many
tokens as an eighth of its mel frames, of 10 ms. A prompt with an `<|audio_start|>` is taken as it is, and its
`<|audio_pad|>`s are the sounds' tokens, all in order; without one genai puts all sounds before everything else. So the
prompt is made here, with every sound in its place.

genai hears a longer sound in windows that overlap: after the first `n_window_infer` frames, each is heard twice. So it
is handed over in pieces of that length, as the architecture's own windows are.

A sound keeps its place as one private-use character until the template is rendered, as pictures do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.speech.resample import Resampler
from fastembed.pipeline.payload.chat import AudioPart, ChatRequest

Samples = NDArray[np.float32]
PLACE: Final = "\uf8f1"
_RATE_HZ: Final = 16_000
_FRAME: Final = 160
_FRAMES_A_TOKEN: Final = 8
_SHORTEST: Final = 400
"""Samples: the width of a spectrum's window. genai refuses half of it and less."""


def sounds_of(request: ChatRequest, frames: int) -> list[list[Samples]]:
    """Return every sound of the conversation, in order, each in pieces of `frames` mel frames at most."""
    parts = (part for message in request.messages for part in message.parts)
    return [list(_pieces(part, frames)) for part in parts if isinstance(part, AudioPart)]


def with_sounds(text: str, sounds: Sequence[Sequence[Samples]]) -> str:
    """Replace the marks of a rendered template by the tokens that sounds take."""
    marks = (f"<|audio_start|>{'<|audio_pad|>' * sum(map(_tokens, pieces))}<|audio_end|>" for pieces in sounds)
    return re.sub(PLACE, lambda _: next(marks), text)


def _pieces(part: AudioPart, frames: int) -> Iterator[Samples]:
    samples = part.samples
    if part.rate_hz != _RATE_HZ:
        resampler = Resampler(part.rate_hz, _RATE_HZ)
        samples = np.concatenate([resampler.push(samples), resampler.flush()])
    longest = frames * _FRAME
    for start in range(0, max(1, len(samples)), longest):
        piece = samples[start : start + longest]
        yield np.ascontiguousarray(np.pad(piece, (0, max(0, _SHORTEST - len(piece)))), np.float32)


def _tokens(piece: Samples) -> int:
    return -(-(len(piece) // _FRAME) // _FRAMES_A_TOKEN)
