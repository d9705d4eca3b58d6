"""A speech engine that the process's models lend for each request, so that it shares their memory with them."""

from __future__ import annotations

from collections.abc import Iterator

from fastembed.inference.engines.speech.engine import Heard, SpeechEngine, SpeechRequest
from fastembed.inference.engines.speech.whisper import WhisperEngine
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.resilience.breakers import Breakers
from fastembed.inference.serving.resilience.lending import OwnDevices


class LentEngine:
    """A speech engine whose model is loaded on use, and evicted like any other."""

    def __init__(self, models: Models, breakers: Breakers, name: str, unloaded: SpeechEngine) -> None:
        """Take a model's name as it is declared. unloaded: its engine, which knows its languages; never loaded."""
        self._models = models
        self._name = name
        self._devices = OwnDevices(models, breakers, "transcription")
        self._unloaded = unloaded

    @property
    def label(self) -> str:
        """The model's name as users see it."""
        return self._unloaded.label

    def check(self, language: str | None, *, translate: bool = False) -> None:
        """Refuse a language that the model was not trained on, and a translation that it was not trained for."""
        self._unloaded.check(language, translate=translate)

    def wait_s(self) -> float:
        """Return how long the end of what is said now would wait to be written down."""
        return max((engine.wait_s() for engine in self._loaded()), default=0.0)

    def interval_s(self, newcomers: int = 0) -> float:
        """Return how often each speaker could be listened to, if one more came beside the newcomers."""
        return max((engine.interval_s(newcomers) for engine in self._loaded()), default=0.0)

    @property
    def turn_s(self) -> float:
        """How long an utterance is here."""
        return max((engine.turn_s for engine in self._loaded()), default=0.0)

    def _loaded(self) -> Iterator[WhisperEngine]:
        for (name, _), found in self._models.residents.known.items():
            if name == self._name and isinstance(found.model, WhisperEngine):
                yield found.model

    async def warm(self) -> None:
        """Load and compile, if there is room."""
        await self._models.warm(self._name, "transcription")

    async def transcribe(self, request: SpeechRequest) -> Heard | None:
        """Return what was said, heard on the first device that can; None if it is partial and another runs."""
        self.check(request.language, translate=request.translate)
        return await self._devices.use(self._name, lambda engine: _heard(engine, request))

    async def close(self) -> None:
        """Leave the model to those who lend it."""
        await self._unloaded.close()


async def _heard(engine: SpeechEngine, request: SpeechRequest) -> Heard | None:
    return await engine.transcribe(request)
