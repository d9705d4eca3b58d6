"""Encoding a transcript: JSON, plain text, subtitles (SubRip, WebVTT), events."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import orjson

from fastembed.inference.engines.speech.agreement import joined
from fastembed.inference.serving.speech.engines import label_parts
from fastembed.operators.listening.speaker_segments import SpeakerSegment, speaker_segments
from fastembed.pipeline.errors import (
    Expired,
    InvalidInput,
    ItemError,
    ModelNotFound,
    Overloaded,
    StepFailed,
    Unavailable,
)
from fastembed.pipeline.payload.audio import (
    SpeakerTurn,
    SpeakerTurns,
    SpeechEnded,
    SpeechProblem,
    SpeechSettings,
    Transcript,
    TranscriptFailed,
    Word,
)
from fastembed.server.wire.headers import Headers, model_headers
from fastembed.server.wire.languages import language_name

_ERRORS: Final[Mapping[int, type[ItemError]]] = {
    kind.status: kind for kind in (InvalidInput, ModelNotFound, Overloaded, Unavailable, Expired)
}


class Transcription:
    """The transcript of one recording, as it grows. words, segments: which times are included.

    speakers: who said it is, too; its segments come when the recording is over.
    """

    def __init__(self, *, words: bool, segments: bool, speakers: bool = False) -> None:
        self._wants_speakers = speakers
        self._turns: tuple[SpeakerTurn, ...] | None = None
        self._wants_words = words
        self._wants_segments = segments
        self._settings = SpeechSettings()
        self._texts: list[str] = []
        self._words: list[Word] = []
        self._segments: list[Word] = []
        self._channels: dict[int, list[str]] = {}
        self._language: str | None = None
        self._duration_ms: int | None = None

    def take(self, event: object) -> Iterator[dict[str, Any]]:
        """Take an event of the pipeline; return the events that a stream sends for it. Raises what went wrong."""
        match event:
            case SpeechSettings():
                self._settings = event
            case Transcript() if event.text:
                return iter(self._take(event))
            case SpeakerTurns() if self._wants_speakers:
                self._turns = event.turns
            case SpeechEnded():
                self._duration_ms = event.duration_ms
            case SpeechProblem() | TranscriptFailed():
                raise _error(event)
        return iter(())

    def headers(self) -> Headers:
        """Return the headers that say which model wrote it down."""
        name, state = label_parts(self._settings.model or "")
        return model_headers(name, state)

    def encode(self, form: str) -> tuple[bytes, bytes]:
        """Return the media type and the body. StepFailed if the pipeline did not reach the end of the recording."""
        self._check_ended()
        if self._wants_speakers:
            return b"application/json", orjson.dumps(self._diarized())
        if form in ("json", "verbose_json"):
            return b"application/json", orjson.dumps(self._verbose() if form == "verbose_json" else self._plain())
        if form == "text":
            return b"text/plain; charset=utf-8", (self.text + "\n").encode()
        if form == "srt":
            return b"text/plain; charset=utf-8", _subtitles(self._segments, ",", numbered=True).encode()
        return b"text/vtt; charset=utf-8", ("WEBVTT\n\n" + _subtitles(self._segments, ".", numbered=False)).encode()

    def closing(self) -> list[dict[str, Any]]:
        """Return the last events of a stream: who said what, where that is wanted, and the whole text."""
        self._check_ended()
        segments = self._by_speaker() if self._wants_speakers else []
        return [*segments, {"type": "transcript.text.done", "text": self.text, "usage": self._usage()}]

    @property
    def text(self) -> str:
        """The text so far."""
        return joined(self._texts)

    def _take(self, event: Transcript) -> list[dict[str, Any]]:
        before = len(self.text)
        self._texts.append(event.text)
        if event.channel is not None:
            self._channels.setdefault(event.channel, []).append(event.text)
        self._language = self._language or event.language
        if self._wants_words and not event.words:
            raise InvalidInput(
                f"{event.model} has no timestamps of words; ask for the granularity segment",
                param="timestamp_granularities",
                code="unsupported_value",
            )
        self._words += event.words or event.segments if self._wants_speakers else event.words
        first = len(self._segments)
        self._segments += event.segments or (Word(event.text, event.start_ms, event.end_ms),)
        events: list[dict[str, Any]] = [{"type": "transcript.text.delta", "delta": self.text[before:]}]
        if self._wants_segments:
            events += [_segment_event(index, part) for index, part in enumerate(self._segments[first:], first)]
        return events

    def _plain(self) -> dict[str, Any]:
        return {"text": self.text, **self._by_channel(), "usage": self._usage()}

    def _diarized(self) -> dict[str, Any]:
        segments = self._by_speaker()
        return {
            "task": "transcribe",
            "duration": self._seconds(),
            "text": self.text,
            "segments": segments,
            "usage": self._usage(),
        }

    def _by_speaker(self) -> list[dict[str, Any]]:
        if self._turns is None:
            raise StepFailed("listen", ValueError("found no turns of speakers, expected them of this pipeline's step"))
        return [_spoken(index, part) for index, part in enumerate(speaker_segments(self._words, self._turns))]

    def _by_channel(self) -> dict[str, Any]:
        """Return each channel's own transcript, where they were split."""
        if self._settings.channels != "split":
            return {}
        texts = sorted(self._channels.items())
        return {"channels": [{"channel": channel, "text": joined(said)} for channel, said in texts]}

    def _verbose(self) -> dict[str, Any]:
        translated = self._settings.translate
        found: dict[str, Any] = {
            "task": "translate" if translated else "transcribe",
            "language": "english" if translated else language_name(self._language or self._settings.language),
            "duration": self._seconds(),
            "text": self.text,
            **self._by_channel(),
        }
        if self._wants_segments:
            found["segments"] = [_segment(index, part) for index, part in enumerate(self._segments)]
        if self._wants_words:
            found["words"] = [{"word": word.text, **_times(word)} for word in self._words]
        return {**found, "usage": self._usage()}

    def _usage(self) -> dict[str, Any]:
        return {"type": "duration", "seconds": self._seconds()}

    def _seconds(self) -> float:
        return (self._duration_ms or 0) / 1000

    def _check_ended(self) -> None:
        if self._duration_ms is None:
            raise StepFailed("transcribe", ValueError("found no end of the recording, expected one"))


def _segment(index: int, part: Word) -> dict[str, Any]:
    """Return a segment; what the engines do not tell is null."""
    text = part.text.encode()
    return {
        "id": index,
        "seek": part.start_ms // 10,
        **_times(part),
        "text": part.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": None,
        "compression_ratio": round(len(text) / len(zlib.compress(text)), 3),
        "no_speech_prob": None,
    }


def _spoken(index: int, part: SpeakerSegment) -> dict[str, Any]:
    """Return a segment as OpenAI's API has it, with `doubts` beside."""
    doubts = {"doubts": list(part.doubts)} if part.doubts else {}
    times = {"start": part.start_ms / 1000, "end": part.end_ms / 1000}
    event = {"type": "transcript.text.segment", "id": f"seg_{index}", **times}
    return {**event, "speaker": part.speaker, "text": part.text, **doubts}


def _segment_event(index: int, part: Word) -> dict[str, Any]:
    return {
        "type": "transcript.text.segment",
        "id": f"seg_{index}",
        "speaker": None,
        **_times(part),
        "text": part.text,
    }


def _times(part: Word) -> dict[str, float]:
    return {"start": part.start_ms / 1000, "end": part.end_ms / 1000}


def _subtitles(segments: list[Word], point: str, *, numbered: bool) -> str:
    written = []
    for index, part in enumerate(segments, 1):
        times = f"{_clock(part.start_ms, point)} --> {_clock(part.end_ms, point)}"
        text = part.text.replace("-->", "->")  # would end a cue's text (W3C WebVTT, section 4.1)
        written.append(f"{f'{index}{chr(10)}' if numbered else ''}{times}\n{text}\n\n")
    return "".join(written)


def _clock(milliseconds: int, point: str) -> str:
    """Write a time as `00:01:05,300`."""
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{rest:03}"


def _error(event: SpeechProblem | TranscriptFailed) -> ItemError:
    kind: Callable[..., ItemError] = _ERRORS.get(event.status, ItemError)
    return kind(event.message, param=getattr(event, "param", None), code=event.code)
