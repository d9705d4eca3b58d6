"""A Whisper that the process's models lend for each request, so that it shares their memory with them."""

from __future__ import annotations

from pathlib import Path

from inference.models import Models
from inference.resilience.breakers import Breakers
from inference.resilience.lending import OwnDevices
from inference.speech.engine import Heard, SpeechRequest
from inference.speech.whisper import WhisperEngine


class LentWhisper:
    """What `WhisperEngine` does, loaded when it is needed and unloaded when its room is."""

    def __init__(self, models: Models, breakers: Breakers, name: str, folder: Path) -> None:
        """Take a model's name as it is declared. ModelNotFound names what the folder lacks."""
        self._models = models
        self._devices = OwnDevices(models, breakers, "transcription")
        self._unloaded = WhisperEngine(folder, name=name)  # knows its languages, and is never loaded

    @property
    def label(self) -> str:
        """The model's name as users see it."""
        return self._unloaded.label

    def check(self, language: str | None, *, translate: bool = False) -> None:
        """Refuse a language that the model was not trained on, and a translation that it was not trained for."""
        self._unloaded.check(language, translate=translate)

    async def warm(self) -> None:
        """Load and compile, if there is room."""
        await self._models.warm(self.label, "transcription")

    async def transcribe(self, request: SpeechRequest) -> Heard | None:
        """Return what was said, heard on the first device that can; None if it is partial and another runs."""
        self.check(request.language, translate=request.translate)
        return await self._devices.use(self.label, lambda whisper: _heard(whisper, request))

    async def close(self) -> None:
        """Leave the model to those who lend it."""
        await self._unloaded.close()


async def _heard(whisper: WhisperEngine, request: SpeechRequest) -> Heard | None:
    return await whisper.transcribe(request)
