"""Find the utterances in a session's audio."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Final

from fastembed.inference.engines.turns import NAME, TurnModel, turn_model_file
from fastembed.inference.engines.vad import VoiceModel
from fastembed.operators.listening.segmenter import Segmenter, SegmenterEvent, SegmenterLimits, TurnQuestion, effective
from fastembed.pipeline.component import Context, operator
from fastembed.pipeline.errors import ModelNotFound
from fastembed.pipeline.item import Item, Outcome
from fastembed.pipeline.payload.audio import (
    AudioFrame,
    Clear,
    Commit,
    SpeechEvent,
    SpeechProblem,
    SpeechSettings,
    SpeechSignal,
    TurnDetection,
)
from fastembed.pipeline.units import Duration

_BREATH: Final = 8_000  # samples judged (about 1 ms of work) before other sessions get a turn


def new_utterance_id() -> str:
    """Return an id as the realtime API's items have them."""
    return f"item_{secrets.token_hex(10)}"


@operator
class Vad:
    """Find the utterances in a session's audio with Silero VAD (the realtime API's `server_vad` and `semantic_vad`).

    In: decoded audio (float32 mono, 16 kHz) and the session's settings, commits and clears, one session a stream.
    Out: speech started and stopped, committed, idle timeouts, and utterances: growing partials (final false) every
    `partial` of speech, of which the engine hears as many as it has time for, then the whole (final true). Settings
    pass on, completed with this step's defaults. The same audio gives the same events however it was cut.
    Args: what a session gets that does not say otherwise.
    threshold: probability, 0 to 1, at which speech begins; it ends 0.15 lower.
    silence: how long a pause ends an utterance.
    padding: audio kept from before the speech.
    partial: speech between two partial utterances; 0: none.
    longest: utterances are cut at this length, at the least voiced place of their last seconds.
    longest_manual: the same where the client commits by itself.
    Raises: nothing; a commit of less than 100 ms of audio yields a problem and the session goes on.
    """

    def __init__(
        self,
        *,
        threshold: float = 0.5,
        silence: Duration = 0.5,
        padding: Duration = 0.3,
        partial: Duration = 0.4,
        longest: Duration = 28.0,
        longest_manual: Duration = 120.0,
    ) -> None:
        """Set the defaults of sessions that choose none."""
        if not 0.0 <= threshold <= 1.0:
            raise ValueError(f"found threshold {threshold}, expected a probability from 0 to 1")
        self.defaults = TurnDetection(
            threshold=threshold,
            prefix_padding_ms=round(padding * 1000),
            silence_duration_ms=round(silence * 1000),
        )
        self.limits = SegmenterLimits(longest_s=longest, longest_manual_s=longest_manual, partial_s=partial or None)
        self._model: VoiceModel | None = None
        self._turns: TurnModel | None = None
        self.new_id: Callable[[], str] = new_utterance_id

    async def open(self, context: Context) -> None:
        """Compile the model; one for all sessions."""
        del context
        self._model = await asyncio.to_thread(VoiceModel)

    async def __call__(self, stream: AsyncIterator[Item[SpeechSignal]]) -> AsyncIterator[Item[SpeechEvent]]:
        """Yield the utterances of one session; speech in progress at its end is an utterance too."""
        model = self._model or VoiceModel()
        settings = effective(SpeechSettings(turn_detection=TurnDetection()), self.defaults)
        segmenter = Segmenter(model.stream(), settings, self.new_id, self.limits)
        breath = 0
        last: Item[None] | None = None  # keeps the newest input open, so that the flush has one to derive from
        try:
            async for item in stream:
                last = _instead_of(last, item)
                for event in self._react(segmenter, item.value):
                    if isinstance(event, TurnQuestion):
                        await self._answer(event)
                    else:
                        yield item.derive(event)
                breath += len(item.value.samples) if isinstance(item.value, AudioFrame) else 0
                if breath >= _BREATH:
                    breath = 0
                    await asyncio.sleep(0)
            if last is not None and not last.ack.cancelled:
                for event in segmenter.flush():
                    if not isinstance(event, TurnQuestion):
                        yield last.derive(event)
        finally:
            if last is not None:
                last.settle(Outcome.CANCELLED if last.ack.cancelled else Outcome.FILTERED)

    async def _answer(self, question: TurnQuestion) -> None:
        """Say whether a turn sounds complete, off the event loop; leave it open where no model is here."""
        if self._turns is None:
            try:
                self._turns = await asyncio.to_thread(TurnModel)
            except ModelNotFound:
                return
        question.finished = await asyncio.to_thread(self._turns.finished, question.samples)

    def _react(self, segmenter: Segmenter, value: SpeechSignal) -> Iterable[SpeechEvent | TurnQuestion]:
        match value:
            case AudioFrame():
                return segmenter.push(value.samples)
            case SpeechSettings():
                return self._configure(segmenter, effective(value, self.defaults))
            case Commit():
                return segmenter.commit(value.ref)
            case Clear():
                return segmenter.clear()
            case _:
                return (value,)

    def _configure(self, segmenter: Segmenter, settings: SpeechSettings) -> Iterator[SegmenterEvent | SpeechSettings]:
        eagerness = settings.turn_detection.eagerness if settings.turn_detection else None
        if eagerness not in (None, "auto") and self._turns is None and turn_model_file() is None:
            yield SpeechProblem(
                f"found no {NAME} on this machine, which semantic_vad with eagerness {eagerness!r} listens with; run "
                f"`fastembed pull {NAME}`, or ask for server_vad, or for eagerness 'auto', which then goes by silence",
                "model_not_found",
                "session.audio.input.turn_detection",
                settings.ref,
                status=404,
            )
            return
        yield from segmenter.configure(settings)
        yield settings


def _instead_of(last: Item[None] | None, item: Item[SpeechSignal]) -> Item[None]:
    if last is not None:
        last.settle(Outcome.FILTERED)
    return item.derive(None)
