"""A loaded voice: takes short texts, gives their sound; the work is done in a process of its own.

Requests take turns, a sentence each. One whose caller has left is not begun; the sentence under way ends, and nobody
gets it. A process that dies, or is stuck, is replaced, and the sentence tried once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.voice.engine import VoiceList
from fastembed.inference.engines.voice.wire import LoadVoice, SayPiece, VoiceLoaded
from fastembed.pipeline.errors import Unavailable
from fastembed.pipeline.processes.framing import ask
from fastembed.pipeline.processes.starter import ChildProcess

_LOAD_S: Final = 300.0
_STUCK_S: Final = 120.0
"""A sentence takes seconds, also on a busy machine."""


class _VoiceChild(ChildProcess):
    """One voice process, from its start to its end."""

    def __init__(self, loading: LoadVoice) -> None:
        """Start it and have it load the model: seconds, so in a thread. Raises what the load raises."""
        super().__init__("fastembed.inference.engines.voice.worker")
        self.pipe.settimeout(_LOAD_S)
        try:
            answer = ask(self.pipe, loading)
        except (EOFError, OSError) as error:
            raise RuntimeError(f"the voice process {self.end()} while it loaded its model") from error
        if not isinstance(answer, VoiceLoaded):
            self.end()
            raise answer
        self.pipe.settimeout(_STUCK_S)
        self.rate_hz = answer.rate_hz


class SpeechSynthesizer:
    """One model for the whole process. Call it on one event loop."""

    def __init__(
        self, name: str, folder: Path, voices: VoiceList, *, device: str, properties: Mapping[str, Any]
    ) -> None:
        """Load: takes seconds, call it off the event loop. Raises ModelNotFound, Unavailable, RuntimeError."""
        self.name = name
        self.folder = folder
        self.device = device
        self.voices = voices
        self._loading = LoadVoice(folder, device, dict(properties))
        self._child: _VoiceChild | None = _VoiceChild(self._loading)
        self.rate_hz = self._child.rate_hz
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"voice-{name}")
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The present process's id; None: it has died, and the next sentence starts another."""
        return self._child.pid if self._child else None

    async def speak(self, text: str, voice: str, speed: float = 1.0) -> NDArray[np.float32]:
        """Return the sound of a short text: float32 [n] at `rate_hz`. voice: one of `voices.names`.

        Raises InvalidInput (the voice's language cannot be spoken here), RuntimeError (OpenVINO's, or its process
        died), Unavailable (it is being closed).
        """
        if self._closed:
            raise Unavailable(f"{self.name} is closing and takes no new requests")
        asked = self._thread.submit(self._speak, SayPiece(text, voice, speed))
        return await asyncio.wrap_future(asked)

    async def close(self) -> None:
        """Fail what runs, free the model."""
        self._closed = True
        if self._child is not None:
            self._child.kill()
        await asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True)
        if self._child is not None:
            await asyncio.to_thread(self._child.end)
            self._child = None

    # In the thread from here on.

    def _speak(self, message: SayPiece) -> NDArray[np.float32]:
        if self._closed:
            raise Unavailable(f"{self.name} was closed before it spoke, expected to finish first")
        try:
            return self._asked(message)
        except (EOFError, OSError) as error:
            if self._closed:
                raise Unavailable(f"{self.name} was closed while it spoke, expected to finish first") from error
        try:  # whatever ended it may have been passing: lack of memory, a signal
            return self._asked(message)
        except (EOFError, OSError) as error:
            raise RuntimeError(f"the process of {self.name} ended over a sentence, twice") from error

    def _asked(self, message: SayPiece) -> NDArray[np.float32]:
        """Ask the process, a new one if there is none. EOFError, OSError: it is gone."""
        child = self._child = self._child or _VoiceChild(self._loading)
        try:
            answer = ask(child.pipe, message)
        except (EOFError, OSError):
            child.end()
            self._child = None
            raise
        if isinstance(answer, Exception):
            raise answer
        return np.frombuffer(answer, np.float32)
