"""Makes the answers of a conversation: through the pipeline that answers chats, and the one that speaks.

Each answer is a task. The model's text goes to the client as it comes; its sentences wait in a bounded queue for the
voice, whose sound follows them. An answer that is stopped cancels what it has in both pipelines.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.speech.resample import Resampler
from fastembed.inference.engines.voice.kind import NAME
from fastembed.inference.serving.models import Models
from fastembed.operators.listening.g711 import encode_alaw, encode_ulaw
from fastembed.pipeline.component import Resources
from fastembed.pipeline.errors import InvalidInput, ItemError, NotFound, StepFailed
from fastembed.pipeline.payload.audio import AudioFormat
from fastembed.pipeline.payload.chat import (
    ChatDelta,
    ChatEvent,
    ChatFinished,
    ChatRequest,
    Message,
    Sampling,
    TextPart,
)
from fastembed.pipeline.payload.voice import SpeakRequest, SpokenAudio
from fastembed.server.conversations.record import Json
from fastembed.server.fetching.references import NOTHING, References
from fastembed.server.keys.meter import KeyMeter
from fastembed.server.realtime.dialogue import AnswerRequest
from fastembed.server.realtime.dialogue_settings import DialogueSettings
from fastembed.server.realtime.outbox import Outbox
from fastembed.server.realtime.sentence_cutter import SentenceCutter
from fastembed.server.wire.chat.items import ItemReader
from fastembed.server.wire.fields import Fields, refuse
from fastembed.server.wire.token_count import TokenCount
from fastembed.sources.http import HttpRoutes, Results

_log: Final = logging.getLogger("fastembed.server.realtime")

CHAT_PATH: Final = "/v1/chat/completions"
SPEECH_PATH: Final = "/v1/audio/speech"
_SENTENCES: Final = 8
"""Sentences that wait for the voice before the model waits too."""
_PIECE_S: Final = 0.2
_FAILED: Final = "The server had an error while answering."


@dataclass(frozen=True, slots=True)
class AnswerPipelines:
    """Where answers come from. has_voice: whether a model that speaks is here. model: what "auto" means to chats.

    meter: counts what the session's key uses; None: nothing does.
    """

    routes: HttpRoutes
    references: References = NOTHING
    has_voice: Callable[[], bool] = lambda: False
    model: Callable[[], str] = lambda: "auto"
    meter: KeyMeter | None = None

    @classmethod
    def of(cls, resources: Resources, references: References, default_model: Callable[[str], str]) -> AnswerPipelines:
        """Return those of a server. default_model(path): what "auto" means there."""

        def has_voice() -> bool:
            cards = resources.get(Models).cards()
            return any(card.task == NAME and card.folder is not None for card in cards)

        return cls(resources.get(HttpRoutes), references, has_voice, lambda: default_model(CHAT_PATH))

    def answers(self) -> bool:
        """Whether a pipeline answers chats."""
        return "POST" in (self.routes.methods(CHAT_PATH) or {})

    def speaks(self) -> bool:
        """Whether answers can be spoken."""
        return "POST" in (self.routes.methods(SPEECH_PATH) or {}) and self.has_voice()

    @asynccontextmanager
    async def submitted(self, path: str, value: object, trace: str | None) -> AsyncIterator[Results[Any]]:
        """Send a value through the pipeline on POST `path`; leaving the block early cancels it."""
        if self.routes.prepare is not None:
            await self.routes.prepare(value)
        source = (self.routes.methods(path) or {}).get("POST")
        if source is None:
            raise NotFound(f"found no pipeline on POST {path}, expected one: conversations need it", code="unknown_url")
        results = await source.submit(value, trace=trace)
        if self.meter is not None:
            results.observer = TokenCount(self.meter)
        try:
            yield results
        finally:
            if results.outcome is None:
                results.cancel()


class Responder:
    """One session's `fastembed.server.realtime.dialogue.Answers`. Its owner calls `close`."""

    def __init__(self, pipelines: AnswerPipelines, outbox: Callable[[], Outbox], trace: str | None) -> None:
        self._pipelines = pipelines
        self._outbox = outbox
        self._trace = trace
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, request: AnswerRequest) -> None:
        """Start to make an answer."""
        task = asyncio.create_task(self._make(request), name=f"realtime:{request.id}")
        self._tasks[request.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(request.id, None))

    def stop(self, response_id: str) -> None:
        """Stop making an answer."""
        if (task := self._tasks.get(response_id)) is not None:
            task.cancel()

    async def close(self) -> None:
        """Stop all; return when they have ended."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _make(self, request: AnswerRequest) -> None:
        error: ItemError | None = None
        try:
            await self._answer(request)
        except StepFailed as failure:
            _log.warning("an answer failed: %s", failure)
            error = ItemError(_FAILED)
        except ItemError as failure:
            error = failure
        except Exception:  # noqa: BLE001 - a task's boundary: the client waits for an end
            _log.exception("an answer failed")
            error = ItemError(_FAILED)
        outbox = self._outbox()
        await outbox.room()
        outbox.put(outbox.protocol.on_answered(request.id, error))

    async def _answer(self, request: AnswerRequest) -> None:
        if self._pipelines.meter is not None:
            self._pipelines.meter.check_tokens()
        messages = await _messages(request, self._pipelines.references)
        chat = _chat(request.settings, messages)
        if request.settings.modality == "text":
            async for event in self._chat_events(chat, shorten=request.settings.shorten):
                await self._tell(request, event)
            return
        sentences: asyncio.Queue[str | None] = asyncio.Queue(_SENTENCES)
        voice = asyncio.create_task(self._speak(request, sentences), name=f"realtime:{request.id}:voice")
        try:
            cutter = SentenceCutter()
            async for event in self._chat_events(chat, shorten=request.settings.shorten):
                await self._tell(request, event)
                if isinstance(event, ChatDelta) and event.text:
                    for sentence in cutter.push(event.text):
                        await _put(sentences, sentence, voice)
            for sentence in cutter.finish():
                await _put(sentences, sentence, voice)
            await _put(sentences, None, voice)
            await voice
        finally:
            voice.cancel()
            await asyncio.gather(voice, return_exceptions=True)

    async def _chat_events(self, chat: ChatRequest, *, shorten: bool) -> AsyncIterator[ChatEvent]:
        """Yield the model's answer. A conversation that is too long loses its oldest turns: 1, 2, 4, ..."""
        turns = 1
        while True:
            try:
                async with self._pipelines.submitted(CHAT_PATH, chat, self._trace) as results:
                    async for event in results:
                        yield event
                    return
            except InvalidInput as error:
                too_long = shorten and error.code == "context_length_exceeded"
                shorter = _shortened(chat, turns) if too_long else None
                if shorter is None:
                    raise
                chat, turns = shorter, turns * 2

    async def _tell(self, request: AnswerRequest, event: ChatEvent) -> None:
        if isinstance(event, ChatDelta | ChatFinished):
            outbox = self._outbox()
            await outbox.room()
            outbox.put(outbox.protocol.on_chat(request.id, event))

    async def _speak(self, request: AnswerRequest, sentences: asyncio.Queue[str | None]) -> None:
        """Speak the sentences as they come."""
        settings = request.settings
        sound = _AnswerSound(settings.format)
        while (text := await sentences.get()) is not None:
            if not any(char.isalnum() for char in text):
                continue
            wanted = SpeakRequest(text, voice=settings.voice, speed=settings.speed, quick=True)
            async with self._pipelines.submitted(SPEECH_PATH, wanted, self._trace) as results:
                async for audio in results:
                    for piece in sound.push(audio):
                        outbox = self._outbox()
                        await outbox.room()
                        encoded = base64.b64encode(piece).decode("ascii")
                        outbox.put(outbox.protocol.on_sound(request.id, encoded, len(piece), text.strip()))


async def _put(sentences: asyncio.Queue[str | None], sentence: str | None, voice: asyncio.Task[None]) -> None:
    """Hand a sentence to the voice; raises what ended the voice, which would never take it."""
    putting = asyncio.ensure_future(sentences.put(sentence))
    try:
        await asyncio.wait({putting, voice}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        putting.cancel()
    if voice.done():
        await voice


async def _messages(request: AnswerRequest, references: References) -> tuple[Message, ...]:
    """Return the conversation as chats have it, behind the instructions."""
    reader = ItemReader(references, _no_reference, lenient=True)
    for index, item in enumerate(request.items):
        await reader.read(Fields(item, f"items[{index}]"))
    messages = reader.messages()
    if not request.settings.instructions:
        return messages
    return (Message("system", (TextPart(request.settings.instructions),)), *messages)


async def _no_reference(item_id: str, place: str) -> Json:
    return refuse(f"found a reference to {item_id!r:.80}, expected an item of this session", place)


def _chat(settings: DialogueSettings, messages: Sequence[Message]) -> ChatRequest:
    return ChatRequest(
        messages=tuple(messages),
        model=settings.model,
        sampling=Sampling(temperature=settings.temperature, max_tokens=settings.max_tokens),
        tools=settings.tools,
        tool_choice=settings.tool_choice,
        named_tool=settings.named_tool,
        parallel_tool_calls=settings.parallel,
        reasoning_effort=settings.effort,
    )


def _shortened(chat: ChatRequest, turns: int) -> ChatRequest | None:
    """Return the chat without its oldest turns of the user and what followed them; None: only the last is left."""
    begins = [place for place, message in enumerate(chat.messages) if message.role == "user"]
    if len(begins) < 2:  # noqa: PLR2004 - the last turn stays
        return None
    first = begins[min(turns, len(begins) - 1)]
    system = tuple(message for message in chat.messages[: begins[0]] if message.role in ("system", "developer"))
    return replace(chat, messages=(*system, *chat.messages[first:]))


class _AnswerSound:
    """The sound of one answer, in the session's format and in pieces for one event each."""

    def __init__(self, form: AudioFormat) -> None:
        self._form = form
        self._rate_hz = 24_000 if form == "pcm16" else 8_000
        self._resampler: Resampler | None = None

    def push(self, audio: SpokenAudio) -> list[bytes]:
        """Return the bytes of a piece of speech; at its end nothing is held back."""
        if self._resampler is None:
            self._resampler = Resampler(audio.rate_hz, self._rate_hz)
        samples = self._resampler.push(audio.samples)
        if audio.final:
            samples = np.concatenate([samples, self._resampler.flush()])
        size = int(_PIECE_S * self._rate_hz)
        return [self._encoded(samples[at : at + size]) for at in range(0, len(samples), size)]

    def _encoded(self, samples: NDArray[np.float32]) -> bytes:
        if self._form == "pcm16":
            return np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
        return encode_ulaw(samples) if self._form == "pcmu" else encode_alaw(samples)
