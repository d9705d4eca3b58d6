"""Sound in conversations becomes text."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.catalog import AUTO
from inference.speech.agreement import joined
from inference.speech.engine import SpeechEngine, SpeechRequest
from inference.speech.engines import SpeechEngines
from inference.speech.resample import Resampler
from inference.vad import VoiceModel
from operators.listening.packing import Packing
from operators.listening.segmenter import RATE_HZ
from pipeline.component import Context, operator
from pipeline.payload.audio import SpeechSettings, TurnDetection
from pipeline.payload.chat import AudioPart, ChatRequest, Message, Part, TextPart

_LONGEST_S: Final = 30.0
_SETTINGS: Final = SpeechSettings(turn_detection=None)
_PAUSES: Final = TurnDetection(threshold=0.5, prefix_padding_ms=300, silence_duration_ms=200)


@operator
class Hear:
    """Put a transcript in the place of the sound in a conversation, for chat models that only read.

    In: `ChatRequest`. Out: the same; each `AudioPart` has become a `TextPart` with its words, and `notes`, which the
    answer's route shows, say who heard them. What has no sound passes untouched, and so does everything when the
    request's `modality_routing` is force_multimodal: then only a model that hears may answer.

    Args:
        model: who writes it down: a name of `models:`, `pocketsphinx`, or "auto": the first Whisper that is there,
            else pocketsphinx, whose words are of low accuracy.

    Raises:
        ModelNotFound: no such model, or its files are missing.
        Unavailable: the speech engine failed.

    """

    workers = 64
    """Requests at a time; the speech engine bounds what really runs."""

    def __init__(self, *, model: str = AUTO) -> None:
        self._model = model
        self._voice: VoiceModel | None = None

    async def open(self, context: Context) -> None:
        """Find the engines; what they need is loaded with the first sound."""
        self._engines = context.resources.get(SpeechEngines)
        self._engines.resolve(self._model)

    async def __call__(self, request: ChatRequest) -> ChatRequest:
        """Listen to one request's sounds, one after the other."""
        if request.modality_routing == "force_multimodal" or not any(map(_sounds, request.messages)):
            return request
        engine = self._engines.resolve(self._model)
        messages = [await self._read(message, engine) if _sounds(message) else message for message in request.messages]
        note = f"audio transcribed by {engine.label}"
        return replace(request, messages=tuple(messages), notes=(*request.notes, note))

    async def _read(self, message: Message, engine: SpeechEngine) -> Message:
        parts: list[Part] = []
        for place, part in enumerate(message.parts):
            if isinstance(part, AudioPart):
                words = await self._words(part, engine)
                said = f'Transcript of the attached audio: "{words}"' if words else "The attached audio has no words."
                before, after = "\n" if place else "", "\n" if place < len(message.parts) - 1 else ""
                parts.append(TextPart(f"{before}{said}{after}"))
            else:
                parts.append(part)
        return replace(message, parts=tuple(parts))

    async def _words(self, part: AudioPart, engine: SpeechEngine) -> str:
        texts = []
        for samples in await asyncio.to_thread(self._pieces, part):
            heard = await engine.transcribe(SpeechRequest(samples))
            texts.append(heard.text if heard is not None else "")
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


def _sounds(message: Message) -> bool:
    return any(isinstance(part, AudioPart) for part in message.parts)
