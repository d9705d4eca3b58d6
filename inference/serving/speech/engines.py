"""Which engine writes down a session's speech: found by name, opened once, shared by all pipelines."""

from __future__ import annotations

import math
import time
from collections import deque
from contextlib import suppress
from typing import Final

from fastembed.inference.engines.speech.engine import SpeechEngine
from fastembed.inference.engines.speech.whisper import WhisperEngine
from fastembed.inference.library.catalog import AUTO
from fastembed.inference.library.hub.known import find_known
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.resilience.breakers import Breakers
from fastembed.inference.serving.speech.lent import LentEngine
from fastembed.pipeline.errors import ModelNotFound, Unavailable
from fastembed.pipeline.payload.audio import SpeechSettings

LONGEST_WAIT_S: Final = 5.0
"""Between the end of live speech and its text, beyond which no more sessions are let in."""

LONGEST_INTERVAL_S: Final = 2.0
"""Between two passes over growing speech: first words come with the third, and ends find most of it settled."""
_NEW_S: Final = 3.0  # a session that was let in has spoken by then, or is taken to be silent

POCKET: Final = "whisper-pocket"
"""A Whisper of 36 words that ships to prove the way; only on demand."""

OPENAI_NAMES: Final = frozenset(
    {
        "whisper-1",
        "gpt-transcribe",
        "gpt-live-transcribe",
        "gpt-4o-transcribe",
        "gpt-4o-transcribe-diarize",
        "gpt-4o-mini-transcribe",
        "gpt-4o-mini-transcribe-2025-12-15",
        "gpt-realtime-whisper",
    }
)
"""What OpenAI's clients ask for; here they mean "auto", unless a model is declared under the name."""


def label_parts(label: str) -> tuple[str, str]:
    """Return a label's model and what there is to know about it: `pocket` or nothing."""
    return label, "pocket" if label == POCKET else ""


class SpeechEngines:
    """The speech engines of this process, a resource of its components; what they hear with is lent by its models.

    A name is one that `models:` declares (or an alias), "whisper-base", which ships, or "auto": the first declared
    transcription model whose files are there, else a Whisper that was pulled, else whisper-base.
    """

    def __init__(self, models: Models | None = None, *, breakers: Breakers | None = None) -> None:
        """Open nothing yet."""
        self._models = models or Models()
        self._owned = None if models else self._models
        self._breakers = breakers or Breakers()
        self._open: dict[str, LentEngine] = {}
        self._let_in: deque[float] = deque(maxlen=1_024)
        self._closed = False

    def names(self) -> list[str]:
        """Return every name that can be asked for, those of missing files left out."""
        return [AUTO, *(model.name for model in self._models.catalog.placed("transcription") if model.folder)]

    def resolve(self, name: str = AUTO, default: str = AUTO) -> SpeechEngine:
        """Return the engine of a name; of "auto" and of OpenAI's names that of `default`.

        ModelNotFound says what there is.
        """
        if self._closed:
            raise Unavailable("the speech engines are closed and take no new requests")
        name = self._models.catalog.aliases.get(name, name)
        placed = self._models.catalog.placed("transcription")
        if name in {alias for model in placed for alias in (model.name, *model.spec.aliases)}:
            return self._lent(name)
        if name == AUTO or name in OPENAI_NAMES:
            return self.resolve(default) if default != AUTO else self._lent(AUTO)
        if find_known(name):
            return self._lent(name)  # its files are not here: the error names the command that gets them
        raise ModelNotFound(f"found model {name!r}, expected one of {', '.join(self.names())}", param="model")

    def check(self, settings: SpeechSettings) -> None:
        """Refuse a session's model or language that is not there, before anything changes for its sake.

        "auto" is left to the pipeline's own step, which may have a model of its own.
        """
        if settings.model not in (None, AUTO, *OPENAI_NAMES):
            self.resolve(settings.model or AUTO).check(settings.language)

    def check_room(self, now_s: float | None = None) -> float:
        """Raise Unavailable where one session more could not be heard as it should be, as measured.

        Two things are asked: how late the end of what is said now would be written down, and how often each speaker
        could be listened to, those that were let in a moment ago included. now_s: the monotonic clock. Returns when it
        was let in, for `left`.
        """
        now_s = time.monotonic() if now_s is None else now_s
        while self._let_in and self._let_in[0] < now_s - _NEW_S:
            self._let_in.popleft()
        engines = list(self._open.values())
        wait_s = max((engine.wait_s() for engine in engines), default=0.0)
        interval_s = max((engine.interval_s(len(self._let_in)) for engine in engines), default=0.0)
        if wait_s > LONGEST_WAIT_S:
            raise _busy(f"what is said now would be written down {wait_s:.0f} s late", LONGEST_WAIT_S, wait_s)
        if interval_s > LONGEST_INTERVAL_S:
            turn_s = max(engine.turn_s for engine in engines)
            found = f"each speaker would be listened to every {interval_s:.1f} s"
            raise _busy(found, LONGEST_INTERVAL_S, max(turn_s, _NEW_S))
        self._let_in.append(now_s)
        return now_s

    def left(self, let_in_s: float) -> None:
        """Count out a session that has left, so that one that comes back at once is not taken for a further one."""
        with suppress(ValueError):  # it has been there for longer, and is counted by what is heard of it
            self._let_in.remove(let_in_s)

    async def close(self) -> None:
        """End all engines."""
        self._closed = True
        for engine in self._open.values():
            await engine.close()
        self._open.clear()
        if self._owned is not None:
            await self._owned.close()

    def _lent(self, name: str) -> SpeechEngine:
        model = self._models.catalog.place(name, "transcription")
        if model.name not in self._open:
            if model.folder is None:  # pragma: no cover - place raises
                raise AssertionError
            unloaded = WhisperEngine(model.folder, name=model.name)
            self._open[model.name] = LentEngine(self._models, self._breakers, model.name, unloaded)
        return self._open[model.name]


def _busy(found: str, most_s: float, retry_s: float) -> Unavailable:
    retry_s = float(math.ceil(retry_s))
    return Unavailable(
        f"busy: {found}, expected at most {most_s:g} s; connect again in {retry_s:.0f} s",
        code="busy",
        retry_after_s=retry_s,
    )
