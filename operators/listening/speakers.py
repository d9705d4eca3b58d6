"""Tells who speaks when in a recording: stretches of speech, a vector of the voice in each window, clusters of them.

Measured (docs/models.md has the figures): two to four people who speak one after the other, with turns of
more than 2 s. A turn of less, and one whose voice lies between two speakers', says so (`SpeakerTurn.doubts`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.media.sound import decode_media
from fastembed.inference.engines.speakers.clustering import Labels, cluster, mean_voice
from fastembed.inference.engines.speakers.features import windows
from fastembed.inference.engines.speakers.kind import NAME
from fastembed.inference.engines.vad import VoiceModel
from fastembed.inference.serving.models import Models
from fastembed.operators.listening.segmenter import RATE_HZ
from fastembed.operators.listening.speech_regions import SpeechRegion, SpeechRegions
from fastembed.pipeline.errors import InvalidInput, ItemError, ModelNotFound
from fastembed.pipeline.payload.audio import Doubt, KnownSpeaker, SpeakerTurn

COMMAND: Final = "fastembed pull resemblyzer"
SAME: Final = 0.65
"""Cosine from which a speaker is one that is known."""
_NEARLY: Final = 0.1
SHORT_S: Final = 2.0
_SURE_S: Final = 0.8
"""Speech by which a voice can be told: with 0.5 s one of five pairs is mistaken, with 0.8 s one of eleven."""
_BETWEEN: Final = 0.08
"""A voice whose two nearest speakers differ by less in cosine is between them."""
_GAP_MS: Final = 300
_LONGEST_REFERENCE_S: Final = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """The time that a vector stands for, to the middle of its neighbours; its region, and that one's seconds."""

    start_ms: int
    end_ms: int
    region: int
    length_s: float


class SpeakerModel:
    """The encoder that this process's models lend."""

    def __init__(self, models: Models | None) -> None:
        """Load nothing yet."""
        self._models = models
        self._voice: VoiceModel | None = None

    @property
    def is_here(self) -> bool:
        """Whether its files are."""
        try:
            self.check()
        except ItemError:
            return False
        return True

    def check(self) -> None:
        """Look for the model. ModelNotFound names the command that gets it."""
        try:
            self._lent().catalog.place("auto", NAME)
        except ModelNotFound as error:
            raise ModelNotFound(
                f"found no model on this machine that tells speakers apart: run `{COMMAND}`", param="response_format"
            ) from error

    async def embed(self, mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the voices [n, 256] of spectrograms [n, 160, 40]."""
        async with self._lent().lend("auto", NAME) as model:
            voices: NDArray[np.float32] = await model.embed(mels)
            return voices

    async def regions(self) -> SpeechRegions:
        """Return what finds the speech in one recording."""
        if self._voice is None:
            self._voice = await asyncio.to_thread(VoiceModel)
        return SpeechRegions(self._voice.stream())

    def _lent(self) -> Models:
        if self._models is None:
            raise ModelNotFound("found no models in this process, which tell speakers apart", param="response_format")
        return self._models


class SpeakerTimeline:
    """The voices of one recording, as it is heard."""

    def __init__(self, model: SpeakerModel) -> None:
        """Nothing was heard."""
        self._model = model
        self._regions: SpeechRegions | None = None
        self._region_count = 0
        self._windows: list[_Window] = []
        self._voices: list[NDArray[np.float32]] = []
        self._known: dict[str, NDArray[np.float32]] = {}

    async def learn(self, known: Sequence[KnownSpeaker]) -> None:
        """Take voices that go by a name. InvalidInput: a recording that cannot be read, or has no speech."""
        for place, speaker in enumerate(known):
            self._known[speaker.name] = await self._reference(speaker, place)

    async def push(self, samples: NDArray[np.float32]) -> None:
        """Take the next samples, float32 mono at 16 kHz."""
        if self._regions is None:
            self._regions = await self._model.regions()
        regions = self._regions
        await self._take(await asyncio.to_thread(lambda: list(regions.push(samples))))

    async def turns(self) -> tuple[SpeakerTurn, ...]:
        """Return who spoke when; call it once, at the end."""
        if self._regions is not None:
            await self._take(list(self._regions.finish()))
        return await asyncio.to_thread(self._clustered) if self._voices else ()

    async def voice(self) -> NDArray[np.float32] | None:
        """Return the mean voice [256] of a recording in which one person speaks; None: nobody does."""
        if self._regions is not None:
            await self._take(list(self._regions.finish()))
        return mean_voice(np.concatenate(self._voices)) if self._voices else None

    async def _take(self, regions: Iterable[SpeechRegion]) -> None:
        for region in regions:
            mels, centres = await asyncio.to_thread(windows, region.samples)
            self._windows += _spans(region, centres, self._region_count)
            self._voices.append(await self._model.embed(mels))
            self._region_count += 1

    async def _reference(self, speaker: KnownSpeaker, place: int) -> NDArray[np.float32]:
        timeline = SpeakerTimeline(self._model)
        where = f"known_speaker_references[{place}]"
        try:
            decoded = decode_media(speaker.recording, rate_hz=RATE_HZ, longest_s=_LONGEST_REFERENCE_S)
            async with aclosing(decoded) as frames:
                async for frame in frames:
                    await timeline.push(frame.samples)
        except ItemError as error:
            raise InvalidInput(f"{where}: {error.message}", param=where, code="invalid_audio") from error
        if (voice := await timeline.voice()) is None:
            raise InvalidInput(f"{where}: found no speech, expected 2 to 10 s of one voice", param=where)
        return voice

    def _clustered(self) -> tuple[SpeakerTurn, ...]:
        voices = np.concatenate(self._voices)
        regions = np.array([window.region for window in self._windows])
        sure = np.array([window.length_s >= _SURE_S for window in self._windows])
        labels = cluster(voices, regions, sure)
        means = np.stack([mean_voice(voices[labels == label]) for label in range(labels.max() + 1)])
        names = _names(means, self._known)
        between = _between(voices @ means.T, labels, names)
        turns = _joined(self._windows, [names[label] for label in labels], between)
        return tuple(_doubted(turns))


def _spans(region: SpeechRegion, centres: NDArray[np.float64], number: int) -> Iterator[_Window]:
    """Share a region out among its windows, each up to the middle between its centre and the next."""
    length_s = len(region.samples) / RATE_HZ
    cuts_ms = np.round(1000 * np.concatenate([[0], (centres[:-1] + centres[1:]) / 2, [length_s]])).astype(int)
    start_ms = region.start * 1000 // RATE_HZ
    for begins_ms, ends_ms in pairwise(cuts_ms):
        yield _Window(start_ms + int(begins_ms), start_ms + int(ends_ms), number, length_s)


def _names(means: NDArray[np.float32], known: dict[str, NDArray[np.float32]]) -> list[str]:
    """Return a name for each speaker: the likest of the known ones, else the next letter.

    A name belongs to the speaker who is most like it, and to others who are nearly as like it.
    """
    letters = (letter for letter in _letters() if letter not in known)
    if not known:
        return [next(letters) for _ in means]
    names, likeness = list(known), means @ np.stack(list(known.values())).T
    enough = np.maximum(SAME, likeness.max(0) - _NEARLY)
    best = likeness.argmax(1)
    return [
        names[name] if row[name] >= enough[name] else next(letters) for name, row in zip(best, likeness, strict=True)
    ]


def _letters() -> Iterator[str]:
    """Give A to Z, AA, AB, ..."""
    place = 0
    while True:
        letters, rest = "", place
        while rest >= 0:
            rest, digit = divmod(rest, 26)
            letters, rest = chr(ord("A") + digit) + letters, rest - 1
        yield letters
        place += 1


def _between(likeness: NDArray[np.float32], labels: Labels, names: Sequence[str]) -> NDArray[np.bool_]:
    """Return of each window whether another speaker's voice is nearly as like it."""
    named = np.array(names)
    own = likeness[np.arange(len(labels)), labels]
    others = np.where(named[None, :] == named[labels][:, None], -np.inf, likeness).max(1)
    return np.asarray(own - others < _BETWEEN, np.bool_)


def _joined(
    found: Sequence[_Window], names: Sequence[str], between: NDArray[np.bool_]
) -> Iterator[tuple[SpeakerTurn, float]]:
    """Join the windows of a speaker that follow each other; give each turn, and the share of it that is in between."""
    turn: SpeakerTurn | None = None
    doubtful_ms = 0
    for window, name, doubtful in zip(found, names, between, strict=True):
        if turn is None or turn.speaker != name or window.start_ms - turn.end_ms > _GAP_MS:
            if turn is not None:
                yield turn, doubtful_ms / max(1, turn.end_ms - turn.start_ms)
            turn, doubtful_ms = SpeakerTurn(name, window.start_ms, window.end_ms), 0
        turn = replace(turn, end_ms=window.end_ms)
        doubtful_ms += (window.end_ms - window.start_ms) * bool(doubtful)
    if turn is not None:
        yield turn, doubtful_ms / max(1, turn.end_ms - turn.start_ms)


_MOSTLY: Final = 0.5


def _doubted(turns: Iterable[tuple[SpeakerTurn, float]]) -> Iterator[SpeakerTurn]:
    for turn, share in turns:
        doubts: list[Doubt] = []
        if turn.end_ms - turn.start_ms < SHORT_S * 1000:
            doubts.append("short")
        if share >= _MOSTLY:
            doubts.append("mixed")
        yield replace(turn, doubts=tuple(doubts))
