"""Whisper, from any local folder that holds one as OpenVINO IR: who is heard next, and on what."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from fastembed.inference.engines.sanity import Garbled, is_garbled_speech
from fastembed.inference.engines.speech.engine import RATE_HZ, Heard, SpeechRequest, audible
from fastembed.inference.engines.speech.pipeline import PipelineWriter
from fastembed.inference.engines.speech.schedule import Kind, SpeechQueue, Wish
from fastembed.inference.engines.speech.windowed import WindowedWriter
from fastembed.inference.library.opening import OPENING
from fastembed.pipeline.errors import InvalidInput, ModelNotFound, Unavailable

_log: Final = logging.getLogger("fastembed.speech")
_FILES: Final = ("openvino_encoder_model.xml", "openvino_decoder_model.xml", "openvino_tokenizer.xml")
_REMEMBERED: Final = 256
"""Pauses that may be ends; those of sessions that left are the oldest."""
_MOST_SLOTS: Final = 4
"""Passes at the same time: each has buffers of its own, and beyond some they only wait for memory."""


class Writer(Protocol):
    """Writes down requests, `rows` together, `slots` times at once. Blocks."""

    slots: int
    rows: int

    def write(
        self, slot: int, requests: Sequence[SpeechRequest], left: Sequence[threading.Event]
    ) -> list[Heard | None]:
        """Return what was said in each, heard in one of the slots; None where `left`, set when nobody waits, is set."""

    def unheard_s(self, request: SpeechRequest) -> float:
        """Return how much of a request is yet to be heard, in seconds."""


@dataclass(slots=True, eq=False)
class _Pass:
    """A request in the queue."""

    request: SpeechRequest
    heard: asyncio.Future[Heard | None]
    left: threading.Event = field(default_factory=threading.Event)
    claimed: bool = False  # by the end of the utterance, for which it was heard ahead


class WhisperEngine:
    """One Whisper on the first of its devices that takes it, shared by live sessions and recordings.

    A CPU hears windows as long as their sound, several at a time; other devices, and other kinds of export, go through
    genai's pipeline. What is cancelled leaves off after the window that is being heard. device: where it was loaded, ""
    before. For one event loop.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str | None = None,
        devices: Sequence[str] = ("CPU",),
        properties: Mapping[str, Any] | None = None,
    ) -> None:
        """Take a folder; ModelNotFound names what it lacks. It is loaded by `warm` or the first request."""
        missing = [file for file in _FILES if not (folder / file).is_file()]
        if missing:
            raise ModelNotFound(f"found no {', '.join(missing)} in {folder}, expected a Whisper model as OpenVINO IR")
        self.folder = folder
        self.name = name or folder.name
        self.device = ""
        self._devices = list(devices)
        self._properties = dict(properties or {})
        self._generation = _read(folder / "generation_config.json")
        self._languages = {token.strip("<|>") for token in self._generation.get("lang_to_id") or {}}
        self._translates = "translate" in (self._generation.get("task_to_id") or {})
        self._writer: Writer | None = None
        self._loading = threading.Lock()
        self._closed = False
        self._queue: SpeechQueue[_Pass] = SpeechQueue(slots=1)
        self._pauses: OrderedDict[str, Wish[_Pass]] = OrderedDict()
        self._free = [0]
        self._threads = ThreadPoolExecutor(max_workers=_MOST_SLOTS, thread_name_prefix=f"whisper-{self.name}")
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def label(self) -> str:
        """The model's name as users see it."""
        return self.name

    def check(self, language: str | None, *, translate: bool = False) -> None:
        """Refuse a language that the model was not trained on, and translating where it cannot."""
        if translate and not self._translates:
            raise InvalidInput(
                f"found a translation, expected a transcription: {self.name} knows one language only",
                param="model",
                code="unsupported_model",
            )
        if language is not None and self._languages and language.partition("-")[0].lower() not in self._languages:
            known = ", ".join(sorted(self._languages)[:12])
            raise InvalidInput(
                f"found language {language!r}, expected one that {self.name} knows: {known}",
                param="language",
                code="unsupported_language",
            )

    def wait_s(self) -> float:
        """Return how long what comes now would wait for its turn."""
        return self._queue.wait_s()

    def interval_s(self, newcomers: int = 0) -> float:
        """Return how often each speaker could be listened to, if one more came beside the newcomers."""
        return self._queue.interval_s(time.monotonic(), newcomers)

    @property
    def turn_s(self) -> float:
        """How long an utterance is here."""
        return self._queue.turn_s

    async def warm(self) -> None:
        """Load and compile."""
        await asyncio.to_thread(self.load)
        self._widen()

    async def transcribe(self, request: SpeechRequest) -> Heard | None:
        """Return what was said; None if a newer partial request of its utterance came before its turn."""
        self.check(request.language, translate=request.translate)
        samples = audible(request.samples)
        if samples is None:
            return Heard(language=request.language)
        if self._closed:
            raise _closed()
        request = replace(request, samples=samples)
        if (ahead := self._heard_ahead(request)) is not None and (heard := await ahead) is not None:
            return heard
        waiting = _Pass(request, asyncio.get_running_loop().create_future())
        wish = self._wish(waiting)
        older = self._queue.put(wish, time.monotonic())
        if older is not None and not older.content.heard.done():
            older.content.heard.set_result(None)
        for running in self._queue.in_the_way(wish):
            running.content.left.set()
        if wish.kind is Kind.PAUSE:
            self._remember(wish)
        self._serve()
        try:
            return await asyncio.shield(waiting.heard)
        finally:
            if not waiting.claimed:
                waiting.left.set()
                self._queue.discard(wish)

    def _wish(self, waiting: _Pass) -> Wish[_Pass]:
        request = waiting.request
        length_s = self._writer.unheard_s(request) if self._writer is not None else len(request.samples) / RATE_HZ
        speaker = None if request.recorded else request.speaker_id or request.stream_id
        return Wish(_kind(request), request.stream_id, length_s, waiting, speaker)

    def _heard_ahead(self, request: SpeechRequest) -> Awaitable[Heard | None] | None:
        """Return what is heard already of an utterance whose last words were followed by nothing but silence."""
        if request.partial or request.stream_id is None:
            return None
        wish = self._pauses.pop(request.stream_id, None)
        if wish is None or request.voiced is None or request.voiced > len(wish.content.request.samples):
            return None
        if wish.content.left.is_set():
            return None
        wish.content.claimed = True
        self._queue.promote(wish)
        return asyncio.shield(wish.content.heard)

    def _remember(self, wish: Wish[_Pass]) -> None:
        """Keep a pause that may turn out to be the end of its utterance."""
        stream_id = wish.content.request.stream_id or ""
        self._pauses.pop(stream_id, None)
        self._pauses[stream_id] = wish
        while len(self._pauses) > _REMEMBERED:
            self._pauses.popitem(last=False)

    async def close(self) -> None:
        """Free the model, after the requests that run."""
        self._closed = True
        for wish in self._queue.empty():
            if not wish.content.heard.done():
                wish.content.heard.set_exception(_closed())
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
        self._writer = None

    def _serve(self) -> None:
        """Start what may run now; come back when time lets something run."""
        self._widen()
        now_s = time.monotonic()
        while self._free and not self._closed and (wishes := self._queue.take(now_s)):
            slot = self._free.pop()
            passes = [wish.content for wish in wishes]
            work = asyncio.get_running_loop().run_in_executor(self._threads, self._write, slot, passes)
            work.add_done_callback(partial(self._served, wishes, slot, now_s))
        pause_s = self._queue.pause_s(now_s)
        if pause_s is not None and self._alarm is None and not self._closed:
            self._alarm = asyncio.get_running_loop().call_later(pause_s + 0.001, self._wake)

    def _widen(self) -> None:
        """Serve as many at a time as what was loaded takes; until then one, which loads it."""
        slots = self._writer.slots if self._writer is not None else 1
        self._free += range(self._queue.slots, slots)
        self._queue.slots = max(self._queue.slots, slots)
        self._queue.rows = self._writer.rows if self._writer is not None else 1

    def _wake(self) -> None:
        self._alarm = None
        self._serve()

    def _served(
        self, wishes: tuple[Wish[_Pass], ...], slot: int, began_s: float, work: asyncio.Future[list[Heard | None]]
    ) -> None:
        """Hand over what was heard; the slot serves the next."""
        now_s = time.monotonic()
        self._free.append(slot)
        self._queue.done(wishes, now_s - began_s, now_s)
        error = None if work.cancelled() else work.exception()
        for place, wish in enumerate(wishes):
            heard = wish.content.heard
            if heard.done():
                continue
            if work.cancelled():
                heard.set_exception(_closed())
            elif error is not None:
                heard.set_exception(error)
                heard.exception()  # nobody may wait for it any more
            else:
                heard.set_result(work.result()[place])
        self._serve()

    def _write(self, slot: int, passes: list[_Pass]) -> list[Heard | None]:
        """Hear requests in this thread, but those whose callers left before."""
        heard: list[Heard | None] = [None] * len(passes)
        going = [place for place, waiting in enumerate(passes) if not waiting.left.is_set()]
        if not going:
            return heard
        requests = [passes[place].request for place in going]
        try:
            found = self.load().write(slot, requests, [passes[place].left for place in going])
        except RuntimeError as error:  # what OpenVINO raises, whatever is wrong
            length_s = sum(len(request.samples) for request in requests) / RATE_HZ
            _log.exception("%s failed on %.1f s of sound", self.name, length_s)
            raise Unavailable(f"{self.name} could not transcribe {length_s:.1f} s of sound") from error
        for place, each in zip(going, found, strict=True):
            if each is not None and is_garbled_speech(each.text):
                raise Garbled(f"{self.name} wrote {each.text[:8]!r} on {self.device}, expected words")
            heard[place] = each
        return heard

    def load(self) -> Writer:
        """Load and compile here and now: blocks for seconds. Unavailable: none of its devices takes it."""
        with self._loading:
            if self._writer is None:
                self._writer = self._loaded()
            return self._writer

    def try_out(self) -> None:
        """Hear a second of nothing here and now, so that all that it works with is there, and measured. Blocks."""
        language = "en" if "en" in self._languages else next(iter(sorted(self._languages)), None)
        nothing = SpeechRequest(np.zeros(RATE_HZ, np.float32), language, partial=True)
        with contextlib.suppress(RuntimeError, Unavailable):  # whoever asks for something will be told
            self.load().write(0, [nothing], [threading.Event()])

    def _loaded(self) -> Writer:
        refusals = []
        for device in self._devices:
            try:
                with OPENING:
                    writer = self._load_on(device)
            except RuntimeError as error:  # what OpenVINO raises, whatever is wrong
                refusals.append(f"{device}: {str(error).strip().splitlines()[-1]}")
                _log.warning("%s does not load on %s", self.name, refusals[-1])
                continue
            self.device = device
            return writer
        raise Unavailable(f"{self.name} loads on none of its devices ({'; '.join(refusals)})")

    def _load_on(self, device: str) -> Writer:
        if device == "CPU":
            cores = _cores()
            slots = max(1, min(_MOST_SLOTS, cores))
            properties = {"INFERENCE_NUM_THREADS": cores, **self._properties}
            try:
                return WindowedWriter(self.folder, self._generation, properties, slots)
            except RuntimeError as error:
                _log.info("%s goes through genai's pipeline, %s", self.name, str(error).strip().splitlines()[-1])
        return PipelineWriter(self.folder, device, self._generation, self._properties)


def _kind(request: SpeechRequest) -> Kind:
    if request.partial and request.voiced is not None:
        return Kind.PAUSE
    if request.partial:
        return Kind.PARTIAL if request.shown else Kind.FIRST
    return Kind.PIECE if request.recorded else Kind.FINAL


def _closed() -> Unavailable:
    return Unavailable("the speech engine is closed and takes no new requests")


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
