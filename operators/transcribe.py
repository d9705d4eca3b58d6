"""Transcribe speech."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from time import perf_counter
from typing import Final

from fastembed.inference.engines.speech.agreement import Agreement
from fastembed.inference.engines.speech.engine import RATE_HZ, Heard, SpeechEngine, SpeechRequest, SpokenWord
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.inference.serving.usage import Usage
from fastembed.pipeline.component import Context, operator
from fastembed.pipeline.errors import ItemError
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.audio import (
    Cleared,
    SpeechEvent,
    SpeechProblem,
    SpeechSettings,
    Transcript,
    TranscriptDelta,
    TranscriptFailed,
    Utterance,
    Word,
)

_UNFINISHED: Final = 1_024
"""Utterances whose published words are remembered; those of sessions that left are the oldest."""


@operator
class Transcribe:
    """Transcribe a session's utterances while they are spoken.

    In: utterances (float32 mono, 16 kHz), growing partials before the final one; everything else passes.
    Out: transcript deltas, append-only (LocalAgreement-2 over the partials), and a transcript a final utterance: the
    best text, with its words, from which the deltas may differ. Of a long utterance, what two passes agreed on is
    settled; the rest is heard once more. Settings pass on with the model's name in place of "auto".
    Args: model: for sessions that ask for "auto": a name of `models:`, or "auto": the first transcription model that is
    there, else whisper-base, which ships.
    Raises: nothing; an utterance that cannot be transcribed yields a failure, and the session goes on.
    """

    workers = 64
    """Events at work at once, most of them waiting: utterances of one session follow each other, the engines bound what
    really runs, and with `order: none` what else a session hears (someone speaks) does not wait for them."""

    def __init__(self, *, model: str = "auto") -> None:
        """Set the model of sessions that do not choose one."""
        self._model = model
        self._agreements: OrderedDict[str, Agreement] = OrderedDict()
        self._last_turns: dict[str | None, asyncio.Event] = {}
        self._engines: SpeechEngines | None = None
        self._own_engines: SpeechEngines | None = None
        self._usage = Usage()

    async def open(self, context: Context) -> None:
        """Load the model, so that the first words do not wait for it."""
        try:
            self._engines = context.resources.get(SpeechEngines)
        except LookupError:
            self._engines = self._own_engines = SpeechEngines(_models(context))
        if (models := context.resources.find(Models)) is not None:
            self._usage = models.usage
        await self._engines.resolve(self._model).warm()

    async def close(self) -> None:
        """Close the engines that were opened for this pipeline alone."""
        if self._own_engines is not None:
            await self._own_engines.close()

    async def __call__(self, item: Item[SpeechEvent]) -> AsyncIterator[SpeechEvent]:
        """Answer one event of the session that is the item's key."""
        event = item.value
        match event:
            case Utterance(final=True):
                async for speech_event in self._in_turn(event, item.key):
                    yield speech_event
            case Utterance():
                async for speech_event in self._grow(event, item.key):
                    yield speech_event
            case SpeechSettings():
                yield self._configured(event)
            case Cleared():
                self._clear(event)
                yield event
            case _:
                yield event

    def _engine(self, name: str | None) -> SpeechEngine:
        if self._engines is None:
            self._engines = self._own_engines = SpeechEngines()
        return self._engines.resolve(name or "auto", self._model)

    def _configured(self, settings: SpeechSettings) -> SpeechEvent:
        """Report which model a session will use, or why none can."""
        if settings.model is None:
            return settings
        try:
            engine = self._engine(settings.model)
            engine.check(settings.language, translate=settings.translate)
        except ItemError as error:
            return SpeechProblem(
                error.message, error.code or "invalid_value", error.param, settings.ref, status=error.status
            )
        return replace(settings, model=engine.label)

    async def _in_turn(self, utterance: Utterance, session: str | None) -> AsyncIterator[SpeechEvent]:
        """Transcribe a finished utterance beside others of its session; publish in the order of the utterances."""
        before, mine = self._last_turns.get(session), asyncio.Event()
        self._last_turns[session] = mine
        try:
            begun_s = perf_counter()
            result = await self._transcribe(utterance, session)
            if isinstance(result, Heard):
                use = self._usage.of(self._engine(utterance.settings.model).label)
                use.answered(perf_counter() - begun_s, audio_s=len(utterance.samples) / RATE_HZ)
            if before is not None:
                await before.wait()
            for speech_event in self._finished(utterance, result):
                yield speech_event
        finally:
            mine.set()
            if self._last_turns.get(session) is mine:
                del self._last_turns[session]

    def _finished(self, utterance: Utterance, result: Heard | ItemError | None) -> Iterator[SpeechEvent]:
        agreement = self._agreement(utterance.utterance_id)
        if isinstance(result, ItemError):
            self._agreements.pop(utterance.utterance_id, None)
            yield TranscriptFailed(utterance.utterance_id, result.message, result.code, result.status)
        elif result is not None and not agreement.finished:
            model = self._engine(utterance.settings.model).label
            if delta := agreement.finish(result.text):
                yield TranscriptDelta(utterance.utterance_id, delta, model)
            self._agreements.pop(utterance.utterance_id, None)
            yield _transcript(utterance, result, model)

    async def _grow(self, utterance: Utterance, session: str | None) -> AsyncIterator[SpeechEvent]:
        """Publish the words of a growing utterance that will not change."""
        agreement = self._agreement(utterance.utterance_id)
        result = await self._transcribe(utterance, session, shown=bool(agreement.published))
        if isinstance(result, Heard) and not agreement.finished:
            delta = agreement.revise(result.text, result.unsettled)
            if delta:
                yield TranscriptDelta(utterance.utterance_id, delta, self._engine(utterance.settings.model).label)

    async def _transcribe(
        self, utterance: Utterance, session: str | None, *, shown: bool = False
    ) -> Heard | ItemError | None:
        """Return the transcript or the error; None: a newer partial replaced this one."""
        settings = utterance.settings
        try:
            return await self._engine(settings.model).transcribe(
                SpeechRequest(
                    utterance.samples,
                    language=settings.language,
                    prompt=settings.prompt,
                    partial=not utterance.final,
                    stream_id=utterance.utterance_id,
                    speaker_id=session,
                    translate=settings.translate,
                    recorded=utterance.recorded,
                    shown=shown,
                    words=settings.words,
                    voiced=utterance.voiced,
                )
            )
        except ItemError as error:
            return error

    def _clear(self, event: Cleared) -> None:
        """Discard an utterance that will never be finished, and its waiting partials."""
        if (agreement := self._agreements.pop(event.utterance_id or "", None)) is not None:
            agreement.finished = True

    def _agreement(self, utterance_id: str) -> Agreement:
        agreement = self._agreements.setdefault(utterance_id, Agreement())
        self._agreements.move_to_end(utterance_id)
        while len(self._agreements) > _UNFINISHED:
            self._agreements.popitem(last=False)
        return agreement


def _transcript(utterance: Utterance, result: Heard, model: str) -> Transcript:
    start_ms = utterance.start_ms
    return Transcript(
        utterance.utterance_id,
        result.text,
        model,
        language=result.language,
        start_ms=start_ms,
        end_ms=utterance.end_ms,
        words=_in_session_time(result.words, start_ms),
        segments=_in_session_time(result.segments, start_ms),
        channel=utterance.channel,
    )


def _in_session_time(spoken: tuple[SpokenWord, ...], start_ms: int) -> tuple[Word, ...]:
    return tuple(
        Word(part.text, start_ms + round(part.start_s * 1000), start_ms + round(part.end_s * 1000)) for part in spoken
    )


def _models(context: Context) -> Models | None:
    try:
        return context.resources.get(Models)
    except LookupError:
        return None
