"""Read a text aloud."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Any

from fastembed.inference.engines.voice.engine import trimmed
from fastembed.inference.engines.voice.kind import NAME
from fastembed.inference.engines.voice.model import SpeechSynthesizer
from fastembed.inference.library.catalog import AUTO
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.resilience.breakers import Breakers
from fastembed.inference.serving.resilience.lending import OwnDevices
from fastembed.operators.speaking.pieces import Piece, pieces
from fastembed.operators.speaking.reading import spoken
from fastembed.pipeline.component import Context, operator
from fastembed.pipeline.errors import InvalidInput, ModelNotFound
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.voice import SpeakRequest, SpokenAudio

log = logging.getLogger("fastembed.speak")
_BEFORE_S = 0.02
_OPENAI_NAMES = frozenset({"tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15"})
"""What OpenAI's clients ask for; here they mean "auto", unless a model is declared under the name."""
SLOWEST, FASTEST = 0.25, 4.0


@operator
class Speak:
    """Read a text aloud, sentence by sentence; what is said first is heard while the rest is computed.

    In: `SpeakRequest`, or a plain `str`. Out: `SpokenAudio`: pieces of sound, float32 mono at the voice's own rate, in
    order; the last one is `final`. Markdown is not read out, nor are emoji; numbers, dates and abbreviations are said
    as words. A caller who leaves frees the voice at the end of the sentence under way.

    Args:
        model: name from `models:`, or "auto", the first voice that is there: none ships, `fastembed pull kokoro` gets
            one. A request that names a model gets that one.
        voice: of the model, for requests that name none; "": the model's own choice.
        voices: more names for voices, `{narrator: bm_george}`; they go before the model's own.

    Raises:
        InvalidInput: nothing to say, an unknown voice, a speed out of range.
        ModelNotFound: no such model, or its files are missing.
        Unavailable: no device of the model can speak now.

    """

    workers = 64
    """Requests at a time; they take turns at the voice, a sentence each."""

    def __init__(self, *, model: str = AUTO, voice: str = "", voices: Mapping[str, str] | None = None) -> None:
        self._model = model
        self._voice = voice
        self._voices = dict(voices or {})

    async def open(self, context: Context) -> None:
        """Load the voice, if one is there."""
        models = context.resources.get(Models)
        self._catalog = models.catalog
        self._models = OwnDevices(models, context.resources.find(Breakers) or Breakers(), NAME)
        try:
            await models.warm(self._model, NAME)
        except ModelNotFound:
            if self._model != AUTO:
                raise
            log.info("no voice is here: fastembed pull kokoro gets one")

    async def __call__(self, item: Item[SpeakRequest | str]) -> AsyncIterator[SpokenAudio]:
        """Read one text aloud."""
        request = SpeakRequest(item.value) if isinstance(item.value, str) else item.value
        _check(request)
        coming = pieces(spoken(request.text), quick=request.quick)
        piece = next(coming, None)
        if piece is None:
            raise InvalidInput("input: found no words to say, expected a text", param="input", code="empty_string")
        while piece is not None:
            following = next(coming, None)
            audio = await self._say(request, piece, item, final=following is None)
            piece = following
            yield audio

    async def _say(self, request: SpeakRequest, piece: Piece, item: Item[Any], *, final: bool) -> SpokenAudio:

        def speak(model: SpeechSynthesizer) -> Awaitable[SpokenAudio]:
            voice = model.voices.resolve(request.voice or self._voice, self._voices)
            return _spoken(model, piece, voice, request.speed, final=final)

        return await self._models.use(self._name(request.model), speak, priority=item.priority)

    def _name(self, asked: str) -> str:
        if asked in _OPENAI_NAMES and asked not in self._catalog.aliases and not self._catalog.declares(asked):
            return self._model
        return self._model if asked == AUTO else asked


async def _spoken(model: SpeechSynthesizer, piece: Piece, voice: str, speed: float, *, final: bool) -> SpokenAudio:
    samples = await model.speak(piece.text, voice, speed)
    after_s = piece.pause_s / speed
    samples = trimmed(samples, model.rate_hz, before_s=_BEFORE_S, after_s=after_s)
    return SpokenAudio(samples, model.rate_hz, piece.text, model.name, voice, final)


def _check(request: SpeakRequest) -> None:
    if not request.text.strip():
        raise InvalidInput("input: found an empty text, expected words to say", param="input", code="empty_string")
    if not SLOWEST <= request.speed <= FASTEST:
        raise InvalidInput(
            f"speed: found {request.speed:g}, expected {SLOWEST:g} to {FASTEST:g}", param="speed", code="invalid_value"
        )
