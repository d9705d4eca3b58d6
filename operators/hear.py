"""Transcribe the audio in conversations for models that take only text."""

from __future__ import annotations

from dataclasses import replace

from fastembed.inference.library.catalog import AUTO
from fastembed.inference.serving.routing.router import Router
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.operators.listening.transcripts import Transcripts, has_sound
from fastembed.pipeline.component import Context, operator
from fastembed.pipeline.payload.chat import ChatRequest


@operator
class Hear:
    """Replace the audio in a conversation with its transcript, for chat models without audio input.

    In: `ChatRequest`. Out: the same; each `AudioPart` has become a `TextPart` with its words, and `notes`, which the
    answer's route shows, say who heard them. What has no sound passes untouched. Where there is a chat model that
    hears, the sound stays, and `transcriber` says who writes it down if another one answers: `generate` sees to it.
    The request's `modality_routing` decides before that: with force_multimodal only a model that hears may answer, and
    with force_text sound becomes text whoever does.

    Args:
        model: who writes it down: a name of `models:`, or "auto": the first Whisper that is there, else whisper-base,
            which ships.

    Raises:
        ModelNotFound: no such model, or its files are missing.
        Unavailable: the speech engine failed.

    """

    workers = 64
    """Requests at a time; the speech engine bounds what really runs."""

    def __init__(self, *, model: str = AUTO) -> None:
        self._model = model

    async def open(self, context: Context) -> None:
        """Find the engines; what they need is loaded with the first sound."""
        engines = context.resources.get(SpeechEngines)
        engines.resolve(self._model)
        self._router = context.resources.find(Router)
        self._transcripts = Transcripts(engines)

    async def __call__(self, request: ChatRequest) -> ChatRequest:
        """Transcribe one request's audio parts, one after the other."""
        if request.modality_routing == "force_multimodal" or not any(map(has_sound, request.messages)):
            return request
        if request.modality_routing == "auto" and self._router is not None and self._router.hears():
            return replace(request, transcriber=self._model)
        return await self._transcripts.instead(request, self._model)
