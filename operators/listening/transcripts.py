"""Replaces the audio in a conversation with transcripts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.speech.agreement import joined
from fastembed.inference.engines.speech.engine import SpeechEngine, SpeechRequest
from fastembed.inference.engines.speech.resample import Resampler
from fastembed.inference.engines.vad import VoiceModel
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.operators.listening.packing import Packing
from fastembed.operators.listening.segmenter import RATE_HZ
from fastembed.pipeline.payload.audio import SpeechSettings, TurnDetection
from fastembed.pipeline.payload.chat import AudioPart, ChatRequest, Message, Part, TextPart

_LONGEST_S: Final = 28.0
_SETTINGS: Final = SpeechSettings(turn_detection=None)
_PAUSES: Final = TurnDetection(threshold=0.5, prefix_padding_ms=300, silence_duration_ms=200)


class Transcripts:
    """Transcribes the audio in conversations. For one event loop."""

    def __init__(self, engines: SpeechEngines) -> None:
        self._engines = engines
        self._voice: VoiceModel | None = None

    async def instead(self, request: ChatRequest, model: str) -> ChatRequest:
        """Return the request with transcripts in place of audio, one part after the other, and a note of the engine.

        model: a name of `models:` or "auto". Raises ModelNotFound, Unavailable.
        """
        engine = self._engines.resolve(model)
        messages = [
            await self._read(message, engine) if has_sound(message) else message for message in request.messages
        ]
        note = f"audio transcribed by {engine.label}"
        return replace(request, messages=tuple(messages), notes=(*request.notes, note), transcriber="")

    async def _read(self, message: Message, engine: SpeechEngine) -> Message:
        parts: list[Part] = []
        for place, part in enumerate(message.parts):
            if isinstance(part, AudioPart):
                words = await self._words(part, engine)
                note = f'Transcript of the attached audio: "{words}"' if words else "The attached audio has no words."
                before, after = "\n" if place else "", "\n" if place < len(message.parts) - 1 else ""
                parts.append(TextPart(f"{before}{note}{after}"))
            else:
                parts.append(part)
        return replace(message, parts=tuple(parts))

    async def _words(self, part: AudioPart, engine: SpeechEngine) -> str:
        texts = []
        for samples in await asyncio.to_thread(self._pieces, part):
            transcript = await engine.transcribe(SpeechRequest(samples))
            texts.append(transcript.text if transcript is not None else "")
        return joined(texts)

    def _pieces(self, part: AudioPart) -> list[NDArray[np.float32]]:
        """Return the sound at 16 kHz, cut in pauses where it is longer than engines hear at once."""
        resampler = Resampler(part.rate_hz, RATE_HZ)
        samples = np.concatenate([resampler.push(part.samples), resampler.flush()])
        if len(samples) <= _LONGEST_S * RATE_HZ:
            return [samples]
        return list(self._cut(samples))

    def _cut(self, samples: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        self._voice = self._voice or VoiceModel()
        packing = Packing(self._voice.stream(), _SETTINGS, str, defaults=_PAUSES, longest_s=_LONGEST_S)
        for utterance in packing.push(samples):
            yield utterance.samples
        for utterance in packing.finish():
            yield utterance.samples


def has_sound(message: Message) -> bool:
    """Whether a message has audio."""
    return any(isinstance(part, AudioPart) for part in message.parts)
