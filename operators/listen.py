"""Find the utterances in a recording."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.media.sound import decode_channels, decode_media
from fastembed.inference.engines.vad import VoiceModel
from fastembed.inference.serving.models import Models
from fastembed.operators.listening.packing import Packing
from fastembed.operators.listening.segmenter import RATE_HZ
from fastembed.operators.listening.speakers import SpeakerModel, SpeakerTimeline
from fastembed.operators.vad import new_utterance_id
from fastembed.pipeline.component import Context, operator
from fastembed.pipeline.errors import Unprocessable
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.audio import (
    SpeakerTurns,
    SpeechEnded,
    SpeechEvent,
    SpeechFile,
    SpeechSettings,
    TurnDetection,
    Utterance,
)
from fastembed.pipeline.units import Duration

_AHEAD: Final = 8
"""Events of one file on their way: as many utterances as are heard at a time, and the next ones."""
_DEFAULTS: Final = TurnDetection(threshold=0.5, prefix_padding_ms=300, silence_duration_ms=200)
"""The transcription API's."""
_Cut = Callable[[NDArray[np.float32] | None], list[Utterance]]


@operator
class Listen:
    """Decode a recording in a child process and cut it into utterances, no faster than they are transcribed.

    In: `SpeechFile`, a media file's bytes (wav, flac, mp3, ogg, webm, mkv, mp4, m4a, aac, aiff). Out: its settings,
    then utterances (float32 mono, 16 kHz, times from the recording's start, all final), then `SpeechEnded`. A recording
    of up to `longest` is one utterance, if it has speech and no long pause. A longer one is cut in pauses (Silero VAD),
    into pieces that leave out parts without speech and are heard several at a time; with turn detection in its
    settings, every stretch of speech is a piece of its own. With `channels: split` in them, so is every channel. With
    `speakers` in them, `SpeakerTurns` tells before the end who spoke when.

    Args:
        longest: the longest piece, cut at its least voiced place where no pause is; Whisper hears 30 s at a time,
            and wants 2 s of silence behind the sound.
        limit: the longest recording.

    Raises:
        UnsupportedMedia: no media file that is read here.
        Unprocessable: a broken file, or one without a sound.
        TooLarge: longer than `limit`.
        ModelNotFound: no model that tells speakers apart; the message names the command that gets it.
        InvalidInput: a known speaker's recording cannot be read, or has no speech.

    """

    workers = 16
    """Recordings at a time, most of them waiting for the engine; each is decoded in a process of its own."""

    def __init__(self, *, longest: Duration = 28.0, limit: Duration = 4 * 3_600.0) -> None:
        self._longest_s = longest
        self._limit_s = limit
        self._model: VoiceModel | None = None
        self._speakers = SpeakerModel(None)
        self.new_id: Callable[[], str] = new_utterance_id

    async def open(self, context: Context) -> None:
        """Compile the voice model."""
        self._speakers = SpeakerModel(context.resources.find(Models))
        self._model = await asyncio.to_thread(VoiceModel)

    async def __call__(self, item: Item[SpeechFile]) -> AsyncIterator[SpeechEvent]:
        """Yield the utterances of one recording."""
        timeline = await self._timeline(item.value.settings)
        yield item.value.settings
        sample_count = 0
        cuts: list[_Cut] = []
        async with aclosing(self._pieces(item.value)) as pieces:
            async for channels in pieces:
                sample_count += len(channels[0])
                if timeline is not None:
                    await timeline.push(channels[0])
                cuts = cuts or [self._cut(item.value.settings, place) for place in range(len(channels))]
                for cut, samples in zip(cuts, channels, strict=True):
                    for utterance in await asyncio.to_thread(cut, samples):
                        yield utterance
                        await _room(item)
        for cut in cuts:
            for utterance in await asyncio.to_thread(cut, None):
                yield utterance
                await _room(item)
        if not sample_count:
            raise Unprocessable("found a recording without a sample, expected at least one")
        if timeline is not None:
            yield SpeakerTurns(await timeline.turns())
        yield SpeechEnded(sample_count * 1000 // RATE_HZ)

    async def _timeline(self, settings: SpeechSettings) -> SpeakerTimeline | None:
        """Return what tells speakers apart, if that is wanted; it knows those that have a name."""
        if settings.speakers is None:
            return None
        self._speakers.check()
        timeline = SpeakerTimeline(self._speakers)
        await timeline.learn(settings.speakers)
        return timeline

    async def _pieces(self, file: SpeechFile) -> AsyncGenerator[list[NDArray[np.float32]], None]:
        """Yield the recording piece by piece, each as its channels: one that has them all, or each by itself."""
        if file.settings.channels == "split":
            async with aclosing(decode_channels(file.data, rate_hz=RATE_HZ, longest_s=self._limit_s)) as apart:
                async for samples in apart:
                    yield list(np.ascontiguousarray(samples.T))
            return
        async with aclosing(decode_media(file.data, rate_hz=RATE_HZ, longest_s=self._limit_s)) as frames:
            async for frame in frames:
                yield [frame.samples]

    def _cut(self, settings: SpeechSettings, channel: int) -> _Cut:
        """Return a function from the next samples (None at the end) to the utterances that they complete."""
        model = self._model or VoiceModel()
        packing = Packing(model.stream(), settings, self.new_id, defaults=_DEFAULTS, longest_s=self._longest_s)
        number = channel if settings.channels == "split" else None

        def cut(samples: NDArray[np.float32] | None) -> list[Utterance]:
            found = packing.finish() if samples is None else packing.push(samples)
            return [replace(utterance, channel=number) for utterance in found]

        return cut


async def _room(item: Item[SpeechFile]) -> None:
    """Wait until most utterances of the recording are transcribed, so that one recording does not crowd out others."""
    room = asyncio.Event()
    item.ack.when_pending_below(_AHEAD, room.set)
    await room.wait()
