"""Recordings as documents: what is said, with its times, and what a video shows in letters.

Sound is decoded and cut in pauses as for transcriptions, and heard by the speech engine that the other pipelines share,
to which a recording is less urgent than live speech. Where `fastembed pull resemblyzer` was run, and several people
speak, each paragraph begins with its speaker, A, B, ... in order of appearance. Of a video, frames at even distances
are looked at; one that shows what the frame before showed is skipped, the others are read as scanned pages are.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastembed.documents.formats import VIDEO
from fastembed.documents.transcripts import structure_of
from fastembed.inference.engines.media.frames import each_frame
from fastembed.inference.engines.media.sound import decode_media
from fastembed.inference.engines.speech.engine import Heard, SpeechEngine, SpeechRequest
from fastembed.inference.engines.vad import VoiceModel
from fastembed.operators.listening.packing import Packing
from fastembed.operators.listening.segmenter import RATE_HZ
from fastembed.operators.listening.speaker_segments import speaker_segments
from fastembed.operators.listening.speakers import SpeakerModel, SpeakerTimeline
from fastembed.pipeline.errors import ItemError, Unprocessable, UnsupportedMedia
from fastembed.pipeline.payload.audio import SpeechSettings, TurnDetection, Utterance, Word
from fastembed.pipeline.payload.document import Block, Document, File

_log: Final = logging.getLogger("fastembed.parse")

LONGEST_S: Final = 4 * 3_600.0
MOST_FRAMES: Final = 60
"""Frames of a video that are looked at."""
MOST_READ: Final = 30
"""Frames of a video that are read, each of which takes seconds."""
_LONGEST_PIECE_S: Final = 28.0
_LONGEST_PARAGRAPH_S: Final = 20.0
_PAUSE_S: Final = 1.5
_SIDE: Final = 1280
_THUMB: Final = (320, 180)
_NOISE: Final = 32
"""Grey levels (of 255) by which a compressed picture may differ from itself."""
_SAME: Final = 0.002
"""Share of a thumbnail's pixels that differ by more, at most, where frames show the same; a line of text: 0.01."""
_SETTINGS: Final = SpeechSettings(turn_detection=None)
_TURNS: Final = TurnDetection(threshold=0.5, prefix_padding_ms=300, silence_duration_ms=200)

ReadPicture = Callable[[Path, str], Awaitable[Document]]
"""Reads the letters in a picture, by its path and a name for messages."""


@dataclass(frozen=True, slots=True)
class SpokenPart:
    """What is said or shown from `start_s` to `end_s`. speaker: who says it, where several do; the text begins so."""

    start_s: float
    end_s: float
    text: str
    shown: bool = False
    speaker: str = ""


class RecordingReader:
    """Reads recordings, one at a time: the others wait, not the parsers."""

    def __init__(
        self,
        engine: Callable[[], SpeechEngine],
        read_picture: ReadPicture | None,
        speakers: SpeakerModel | None = None,
    ) -> None:
        """`engine` finds who hears. read_picture: None: what videos show is not read.

        speakers: tells speakers apart, where its files are here; None: nobody does.
        """
        self._speakers = speakers
        self._engine = engine
        self._read_picture = read_picture
        self._turn = asyncio.Semaphore(1)
        self._voice: VoiceModel | None = None

    async def read(self, file: File) -> Document:
        """Return what is said in a recording, and what it shows.

        Raises: Unprocessable, UnsupportedMedia, TooLarge about the file; ModelNotFound, Unavailable about who hears.
        """
        async with self._turn:
            began = time.perf_counter()
            warnings: list[str] = []
            said, duration_s, model = await self._said(file, warnings)
            video = Path(file.name).suffix.lower() in VIDEO
            shown = await self._shown(file, warnings) if video else []
            if not said and not shown:
                warnings.append("found no speech and no words in the pictures" if video else "found no speech")
            parts = sorted([*said, *shown], key=lambda part: part.start_s)
            duration_s = max([duration_s, *(part.end_s for part in parts)])
            document = _document(file, parts, duration_s, model)
            return replace(document, warnings=tuple(warnings), parse_seconds=time.perf_counter() - began)

    async def _said(self, file: File, warnings: list[str]) -> tuple[list[SpokenPart], float, str]:
        engine = self._engine()
        if self._voice is None:
            self._voice = await asyncio.to_thread(VoiceModel)
        packing = Packing(self._voice.stream(), _SETTINGS, str, defaults=_TURNS, longest_s=_LONGEST_PIECE_S)
        parts: list[SpokenPart] = []
        words: list[Word] = []
        timeline = SpeakerTimeline(self._speakers) if self._speakers is not None and self._speakers.is_here else None
        count = 0
        try:
            async with aclosing(decode_media(file.path, rate_hz=RATE_HZ, longest_s=LONGEST_S)) as frames:
                async for frame in frames:
                    count += len(frame.samples)
                    if timeline is not None:
                        await timeline.push(frame.samples)
                    for utterance in await asyncio.to_thread(
                        lambda samples: list(packing.push(samples)), frame.samples
                    ):
                        parts += await _heard(engine, utterance, None if timeline is None else words)
            for utterance in await asyncio.to_thread(lambda: list(packing.finish())):
                parts += await _heard(engine, utterance, None if timeline is None else words)
            if timeline is not None:
                parts = await _by_speaker(timeline, words) or parts
        except Unprocessable as error:
            if Path(file.name).suffix.lower() not in VIDEO or count:
                raise _named(error, file) from error
            warnings.append(f"its sound was not read: {error.message}")  # a video without sound
        except UnsupportedMedia as error:
            raise _named(error, file) from error
        return parts, count / RATE_HZ, engine.label

    async def _shown(self, file: File, warnings: list[str]) -> list[SpokenPart]:
        """Return the words in a video's frames; each stands until the next one that is read."""
        if self._read_picture is None:
            return []
        parts: list[SpokenPart] = []
        before: NDArray[np.float32] | None = None
        known: set[str] = set()
        read = 0
        try:
            async with aclosing(each_frame(file.path, most=MOST_FRAMES, longest_side=_SIDE)) as frames:
                async for time_s, pixels in frames:
                    thumb = await asyncio.to_thread(_thumbnail, pixels)
                    if before is not None and float((np.abs(thumb - before) > _NOISE).mean()) < _SAME:
                        continue
                    before = thumb
                    if parts:
                        parts[-1] = replace(parts[-1], end_s=max(parts[-1].start_s, time_s))
                    if read == MOST_READ:
                        warnings.append(
                            f"found more than {MOST_READ} different pictures, and read the first {MOST_READ}"
                        )
                        break
                    read += 1
                    lines = [line for line in await self._lines(file, pixels) if line not in known]
                    known = {*known, *lines}
                    if lines:
                        parts.append(SpokenPart(time_s, time_s, "\n".join(lines), shown=True))
        except (Unprocessable, UnsupportedMedia) as error:
            warnings.append(f"its pictures were not read: {error.message}")
        return parts

    async def _lines(self, file: File, pixels: NDArray[np.uint8]) -> list[str]:
        if self._read_picture is None:  # pragma: no cover - checked before
            return []
        with tempfile.TemporaryDirectory(prefix="fastembed-") as folder:
            path = Path(folder) / "frame.png"
            await asyncio.to_thread(Image.fromarray(pixels).save, path)
            document = await self._read_picture(path, f"{file.name}/frame.png")
        return [block.text.strip() for block in document.blocks if block.text.strip()]


async def _by_speaker(timeline: SpeakerTimeline, words: list[Word]) -> list[SpokenPart]:
    """Return what each of several speakers says; nothing: there is one, or none."""
    found = speaker_segments(words, await timeline.turns())
    if len({part.speaker for part in found}) < 2:  # noqa: PLR2004 - one who speaks alone needs no label
        return []
    return [
        SpokenPart(part.start_ms / 1000, part.end_ms / 1000, f"{part.speaker}: {part.text}", speaker=part.speaker)
        for part in found
    ]


async def _heard(engine: SpeechEngine, utterance: Utterance, words: list[Word] | None) -> list[SpokenPart]:
    """Return the paragraphs of a piece of a recording: its segments, joined where no pause is.

    words: gets its words, with their times; None: nobody asks for them.
    """
    heard = await engine.transcribe(SpeechRequest(utterance.samples, recorded=True, words=words is not None))
    if heard is None or not heard.text.strip():
        return []
    start_s, end_s = utterance.start_ms / 1000, utterance.end_ms / 1000
    if words is not None:
        words += [
            Word(part.text, round(1000 * (start_s + part.start_s)), round(1000 * (start_s + part.end_s)))
            for part in heard.words or heard.segments
        ]
    return list(_paragraphs(heard, start_s, end_s))


def _paragraphs(heard: Heard, start_s: float, end_s: float) -> Iterable[SpokenPart]:
    segments = [segment for segment in heard.segments if segment.text.strip()]
    if not segments:
        yield SpokenPart(start_s, end_s, heard.text.strip())
        return
    now: SpokenPart | None = None
    for segment in segments:
        begins, ends = start_s + segment.start_s, min(start_s + segment.end_s, end_s)
        words = segment.text.strip()
        if now is not None and begins - now.end_s <= _PAUSE_S and ends - now.start_s <= _LONGEST_PARAGRAPH_S:
            now = replace(now, end_s=max(ends, now.end_s), text=f"{now.text} {words}")
        else:
            if now is not None:
                yield now
            now = SpokenPart(begins, max(begins, ends), words)
    if now is not None:
        yield now


def _document(file: File, parts: list[SpokenPart], duration_s: float, model: str) -> Document:
    blocks = tuple(
        Block(
            "figure" if part.shown else "paragraph",
            part.text,
            seconds=(part.start_s, part.end_s),
            speaker=part.speaker,
        )
        for part in parts
    )
    title = Path(file.name).stem
    return Document(
        file=file,
        title=title,
        markdown="".join(f"[{clock(part.start_s)}] {_quoted(part)}\n\n" for part in parts),
        structure=structure_of(title, parts),
        blocks=blocks,
        page_count=0,
        parser=f"{Path(file.name).suffix[1:].lower()}+{model}" + ("+ocr" if any(part.shown for part in parts) else ""),
        ocr_pages=sum(part.shown for part in parts),
        metadata={"duration": clock(duration_s)},
        duration_s=duration_s,
    )


def clock(seconds: float) -> str:
    """Return a time as players show it: 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _quoted(part: SpokenPart) -> str:
    return "(on screen) " + " / ".join(part.text.split("\n")) if part.shown else part.text


def _thumbnail(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(pixels).convert("L").resize(_THUMB), dtype=np.float32)


def _named(error: ItemError, file: File) -> ItemError:
    """Return an error of the decoder with the name of the file."""
    message = error.message if error.message.startswith(file.name) else f"{file.name}: {error.message}"
    return type(error)(message, code=error.code or "corrupt")


def engine_of(resources: Any, name: str) -> SpeechEngine:
    """Return the speech engine of a process's resources. ModelNotFound: there is none."""
    from fastembed.inference.serving.speech.engines import SpeechEngines

    engine: SpeechEngine = resources.get(SpeechEngines).resolve(name)
    return engine
