"""pocketsphinx in worker processes: the engine that is always there, for English, of low accuracy.

Theory of operation. pocketsphinx decodes at a tenth of real time but holds Python's global lock for whole calls, so
each decoder lives in a process of its own (96 MB, 0.8 s to start). A decoder follows one utterance incrementally: a
partial request sends only the samples that it has not heard yet, so words are there about as soon as they are said,
and the final request only has the tail left to do. With more speakers than processes, the
words of some come only when their utterance is complete: a decoder that changes utterance hears it from its start.

The decoder normalises what it hears by its running mean over the speaker and the microphone (cepstral mean
normalisation). Each speaker's mean is kept here, so that no session hears worse for another's sake, and a new speaker
starts from the mean of three synthetic voices: on sixteen first sentences of a fourth voice that is 3.4 % of words
wrong against 7.3 % from pocketsphinx' own default.

A request that is cancelled is cancelled in the process too, between two quarters of a second of audio; a process that
does not answer that is killed. One that dies is replaced, and a finished utterance tried once more.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.speech.engine import RATE_HZ, Heard, SpeechRequest, SpokenWord, audible
from fastembed.inference.engines.speech.sphinx_worker import HEADER
from fastembed.inference.engines.speech.turnstile import Turnstile
from fastembed.inference.library.folders import BUILT_IN, locate
from fastembed.pipeline.errors import InvalidInput, Unavailable

MODEL_ID: Final = "pocketsphinx"
LABEL: Final = "pocketsphinx (low accuracy)"

_SCRIPT: Final = Path(__file__).with_name("sphinx_worker.py")
_START_S: Final = 60.0
_CANCEL_S: Final = 2.0
_UNSETTLED_S: Final = 0.6
"""Words that end within this of what was heard are still revised often: holding them back takes published words from
5.6 to 4.0 % wrong and costs a quarter of a second."""
_NEW_SPEAKER: Final = "53.1,8.9,5.8,23.4,-5.0,-0.7,3.9,-5.6,-1.9,-2.3,3.7,2.0,1.6"
_SPEAKERS: Final = 256
_SILENT_S: Final = 2.0
"""An utterance of which nothing came for so long has been left: partials come several times a second."""


def decoders() -> int:
    """Return how many decoders there are where nothing says how many: one a core, 2 to 8."""
    return max(2, min(8, os.cpu_count() or 1))


class SphinxEngine:
    """English speech to lower-case words, by up to `workers` decoders at once."""

    name = MODEL_ID
    device = "CPU"

    def __init__(self, *, workers: int | None = None) -> None:
        """Start nothing yet; a decoder starts when it is first needed."""
        self.folder = locate(f"{BUILT_IN}{MODEL_ID}", Path()) or Path()
        self._workers = [_Worker() for _ in range(workers or decoders())]
        self._turnstile: Turnstile[_Worker] = Turnstile()
        for worker in reversed(self._workers):
            self._turnstile.give(worker)
        self._warming = asyncio.Lock()
        self._means: OrderedDict[str, str] = OrderedDict()

    @property
    def label(self) -> str:
        """The model's name as users see it."""
        return LABEL

    @property
    def decoders(self) -> int:
        """How many processes there may be."""
        return len(self._workers)

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that there are."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    def check(self, language: str | None, *, translate: bool = False) -> None:
        """Refuse what is not English."""
        if translate:
            raise InvalidInput(
                f"found a translation, expected a transcription: {LABEL} does not translate; configure a whisper model",
                param="model",
                code="unsupported_model",
            )
        if language is not None and language.partition("-")[0].lower() != "en":
            raise InvalidInput(
                f"found language {language!r}, expected 'en': {LABEL} knows English only; configure a whisper model",
                param="language",
                code="unsupported_language",
            )

    async def warm(self) -> None:
        """Start one decoder, if none has been started yet."""
        async with self._warming:
            if any(worker.started for worker in self._workers):
                return
            worker = await self._turnstile.wait()
            try:
                await worker.start()
            finally:
                self._turnstile.give(worker)

    async def transcribe(self, request: SpeechRequest) -> Heard | None:
        """Return what was said; None if the request is partial and every decoder is busy."""
        self.check(request.language, translate=request.translate)
        samples = audible(request.samples)
        if samples is None:
            return Heard(language="en")
        worker = self._own_or_idle(request) if request.partial else await self._turnstile.wait(self._best(request))
        if worker is None:
            return None
        try:
            return await self._ask(worker, samples, request)
        finally:
            worker.used_at_s = asyncio.get_running_loop().time()
            self._turnstile.give(worker)

    async def close(self) -> None:
        """End all decoders."""
        self._turnstile.close(Unavailable("the speech engine is closed: found a new request, expected none"))
        for worker in self._workers:
            await worker.kill()

    def _own_or_idle(self, request: SpeechRequest) -> _Worker | None:
        """Return a decoder for a partial request: its own, else one that nobody speaks to, else None.

        Displacing another's would make both hear their utterances from the start again and again.
        """
        own = [worker for worker in self._workers if worker.follows(request.stream_id)]
        before_s = asyncio.get_running_loop().time() - _SILENT_S
        idle = [worker for worker in self._workers if worker.stream_id is None or worker.used_at_s < before_s]
        return self._turnstile.take(among=own or idle)

    def _best(self, request: SpeechRequest) -> _Worker | None:
        """Return the decoder that a finished utterance costs least with."""
        own = (worker for worker in self._workers if worker.follows(request.stream_id))
        idle = (worker for worker in self._workers if worker.stream_id is None)
        return next(own, None) or next(idle, None)

    async def _ask(self, worker: _Worker, samples: NDArray[np.float32], request: SpeechRequest) -> Heard | None:
        for last_try in (False, True):
            try:
                words, mean = await worker.transcribe(samples, request, self._mean(request.speaker_id))
            except _Died as error:
                if request.partial:
                    return None
                if last_try:
                    raise Unavailable(f"{MODEL_ID}: the decoder process died twice ({error})") from error
            else:
                if not request.partial:
                    self._remember(request.speaker_id, mean)
                settled_s = len(samples) / RATE_HZ - _UNSETTLED_S
                unsettled = max(1, sum(word.end_s > settled_s for word in words))
                return Heard(" ".join(word.text for word in words), words, "en", unsettled)
        raise AssertionError("unreachable: the last try returns or raises")

    def _mean(self, speaker_id: str | None) -> str:
        return self._means.get(speaker_id or "", _NEW_SPEAKER)

    def _remember(self, speaker_id: str | None, mean: str) -> None:
        if speaker_id is not None:
            self._means[speaker_id] = mean
            self._means.move_to_end(speaker_id)
            if len(self._means) > _SPEAKERS:
                self._means.popitem(last=False)


class _Died(Exception):
    """The process is gone."""


class _Worker:
    """One decoder process and how far it has heard."""

    def __init__(self) -> None:
        self.stream_id: str | None = None
        self.used_at_s = 0.0  # loop time
        self._sent = 0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def started(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """The id of the process, if there is one."""
        return self._process.pid if self._process is not None else None

    def follows(self, stream_id: str | None) -> bool:
        """Whether this decoder has heard the beginning of that utterance."""
        return stream_id is not None and self.stream_id == stream_id

    async def start(self) -> asyncio.subprocess.Process:
        """Return the running process, started if need be."""
        process = self._process
        if process is not None and process.returncode is None:
            return process
        self.stream_id = None
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",  # isolated: nothing in the working folder or the environment is imported
            str(_SCRIPT),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_START_S):
                await self._receive(process)
        except BaseException:
            await self.kill()
            raise
        return process

    async def transcribe(
        self, samples: NDArray[np.float32], request: SpeechRequest, mean: str
    ) -> tuple[tuple[SpokenWord, ...], str]:
        """Let the process hear what it has not heard yet; return the words so far, and the speaker's mean."""
        process = await self.start()
        try:
            await self._send(process, samples, request, mean)
            answer = json.loads(await self._receive(process))
        except asyncio.CancelledError:
            await self._cancel(process)
            raise
        if not request.partial:
            self.stream_id = None
        return tuple(SpokenWord(text, start, end) for text, start, end in answer["words"]), answer["cmn"]

    async def kill(self) -> None:
        """End the process now."""
        process, self._process, self.stream_id = self._process, None, None
        if process is not None and process.returncode is None:
            process.kill()
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()
            await process.wait()

    async def _send(
        self, process: asyncio.subprocess.Process, samples: NDArray[np.float32], request: SpeechRequest, mean: str
    ) -> None:
        frames = b""
        if not self.follows(request.stream_id) or self._sent > len(samples):
            frames, self._sent = _frame(b"B", mean.encode()), 0
        self.stream_id = request.stream_id if request.partial else None
        pcm = (samples[self._sent :] * 32_767).astype("<i2").tobytes()
        self._sent = len(samples)
        pipe = process.stdin
        if pipe is None:  # pragma: no cover - it was opened with one
            raise AssertionError
        try:
            pipe.write(frames + _frame(b"A", pcm) + _frame(b"P" if request.partial else b"E"))
            await pipe.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise await self._died(process) from error

    async def _receive(self, process: asyncio.subprocess.Process) -> bytes:
        """Return the body of the next frame."""
        pipe = process.stdout
        if pipe is None:  # pragma: no cover - it was opened with one
            raise AssertionError
        try:
            _, length = HEADER.unpack(await pipe.readexactly(HEADER.size))
            return await pipe.readexactly(length)
        except asyncio.IncompleteReadError as error:
            raise await self._died(process) from error

    async def _died(self, process: asyncio.subprocess.Process) -> _Died:
        await self.kill()
        return _Died(f"exit status {process.returncode}")

    async def _cancel(self, process: asyncio.subprocess.Process) -> None:
        """Have the process stop what it does and say so; kill it if it does not."""
        self.stream_id = None
        try:
            async with asyncio.timeout(_CANCEL_S):
                if process.stdin is not None and process.stdout is not None:
                    process.stdin.write(_frame(b"C"))
                    await process.stdin.drain()
                    kind = b""
                    while kind != b"C":
                        kind, length = HEADER.unpack(await process.stdout.readexactly(HEADER.size))
                        await process.stdout.readexactly(length)
        except (TimeoutError, asyncio.IncompleteReadError, BrokenPipeError, ConnectionResetError):
            await self.kill()
        except asyncio.CancelledError:
            await self.kill()
            raise


def _frame(kind: bytes, body: bytes = b"") -> bytes:
    return HEADER.pack(kind, len(body)) + body
