"""Which engine writes down a session's speech: found by name, opened once, shared by all pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from inference.capabilities import Capabilities, capabilities_of
from inference.catalog import AUTO, Card
from inference.folders import BUILT_IN, locate
from inference.hub.known import find_known
from inference.models import Models
from inference.resilience.breakers import Breakers
from inference.speech.engine import SpeechEngine
from inference.speech.lent import LentWhisper
from inference.speech.sphinx import LABEL, MODEL_ID, SphinxEngine
from inference.speech.whisper import WhisperEngine
from pipeline.errors import ModelNotFound, Unavailable
from pipeline.payload.audio import SpeechSettings

POCKET: Final = "whisper-pocket"
"""A Whisper of 36 words that ships to prove the way; only on demand."""

OPENAI_NAMES: Final = frozenset(
    {
        "whisper-1",
        "gpt-transcribe",
        "gpt-live-transcribe",
        "gpt-4o-transcribe",
        "gpt-4o-mini-transcribe",
        "gpt-4o-mini-transcribe-2025-12-15",
        "gpt-realtime-whisper",
    }
)
"""What OpenAI's clients ask for; here they mean "auto", unless a model is declared under the name."""


def label_parts(label: str) -> tuple[str, str]:
    """Return a label's model and what there is to know about it: `low accuracy`, `pocket` or nothing."""
    name, _, state = label.removesuffix(")").partition(" (")
    return name, "pocket" if name == POCKET else state


class SpeechEngines:
    """The speech engines of this process, a resource of its components.

    A name is one that `models:` declares (or an alias), "pocketsphinx", "whisper-pocket", or "auto": the first declared
    transcription model whose files are there, else pocketsphinx.
    """

    def __init__(
        self, models: Models | None = None, *, workers: int | None = None, breakers: Breakers | None = None
    ) -> None:
        """Open nothing yet. workers: pocketsphinx processes, by default one a core, 2 to 8."""
        self._models = models or Models()
        self._breakers = breakers or Breakers()
        self._workers = workers
        self._open: dict[str, SpeechEngine] = {}
        self._closed = False

    def names(self) -> list[str]:
        """Return every name that can be asked for, those of missing files left out."""
        declared = [model.name for model in self._models.catalog.placed("transcription") if model.folder]
        return [AUTO, *declared, MODEL_ID, POCKET]

    def cards(self) -> list[Card]:
        """Describe, for a list of models, what ships beside the models of the catalog."""
        folder = locate(f"{BUILT_IN}{POCKET}", Path())
        pocket = capabilities_of(POCKET, f"{BUILT_IN}{POCKET}", "transcription", folder)
        sphinx = Capabilities(licence="BSD-2-Clause")
        taken = {model.name for model in self._models.catalog.placed("transcription")}
        cards = (
            Card(POCKET, "transcription", "available", folder=folder, pocket=True, capabilities=pocket),
            Card(MODEL_ID, "transcription", "available", pocket=True, capabilities=sphinx),
        )
        return [card for card in cards if card.name not in taken]

    def resolve(self, name: str = AUTO, default: str = AUTO) -> SpeechEngine:
        """Return the engine of a name; of "auto" and of OpenAI's names that of `default`.

        ModelNotFound says what there is.
        """
        if self._closed:
            raise Unavailable("the speech engines are closed: found a new request, expected none")
        name = self._models.catalog.aliases.get(name, name)
        declared = {model.name for model in self._models.catalog.placed("transcription")}
        declared |= {alias for model in self._models.catalog.placed("transcription") for alias in model.spec.aliases}
        if name in declared:
            return self._whisper(name)
        if name == AUTO or name in OPENAI_NAMES:
            if default != AUTO:
                return self.resolve(default)
            present = next((model for model in self._models.catalog.placed("transcription") if model.folder), None)
            return self._whisper(present.name) if present else self._sphinx()
        if name in (MODEL_ID, LABEL):
            return self._sphinx()
        if name == POCKET and (folder := locate(f"{BUILT_IN}{POCKET}", Path())):
            return self._open.get(POCKET) or self._opened(POCKET, WhisperEngine(folder, name=POCKET))
        if find_known(name):
            return self._whisper(name)  # its files are not here: the error names the command that gets them
        raise ModelNotFound(f"found model {name!r}, expected one of {', '.join(self.names())}", param="model")

    def check(self, settings: SpeechSettings) -> None:
        """Refuse a session's model or language that is not there, before anything changes for its sake.

        "auto" is left to the pipeline's own step, which may have a model of its own.
        """
        if settings.model not in (None, AUTO, *OPENAI_NAMES):
            self.resolve(settings.model or AUTO).check(settings.language)

    async def close(self) -> None:
        """End all engines."""
        self._closed = True
        for engine in self._open.values():
            await engine.close()
        self._open.clear()

    def _sphinx(self) -> SpeechEngine:
        return self._open.get(MODEL_ID) or self._opened(MODEL_ID, SphinxEngine(workers=self._workers))

    def _whisper(self, name: str) -> SpeechEngine:
        model = self._models.catalog.place(name, "transcription")
        if model.name in self._open:
            return self._open[model.name]
        if model.folder is None:  # pragma: no cover - place raises
            raise AssertionError
        return self._opened(model.name, LentWhisper(self._models, self._breakers, model.name, model.folder))

    def _opened(self, key: str, engine: SpeechEngine) -> SpeechEngine:
        self._open[key] = engine
        return engine
