"""Requests on the driver: recordings of any length, drafts from pass to pass, segments and words with times."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from fastembed.inference.engines.speech.driver import SILENCE_S, Networks, Runner, Said, Sound
from fastembed.inference.engines.speech.engine import RATE_HZ, Heard, SpeechRequest, SpokenWord
from fastembed.inference.engines.speech.level import levelled
from fastembed.inference.engines.speech.vocabulary import TICK_S, SpeechVocabulary

_UNSETTLED: Final = 3
"""Tokens at the end of a pass that the next one mostly changes: the last word or two, and the closing time."""
_REMEMBERED: Final = 1_024
"""Utterances whose last pass is kept; those of sessions that left are the oldest."""
_LEAST_ADVANCE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class _WindowDraft:
    tokens: tuple[int, ...] = ()
    language: str | None = None


class WindowedWriter:
    """Writes down requests with one folder's networks; `slots` of them at a time, each from its own thread."""

    def __init__(self, folder: Path, generation: Mapping[str, Any], properties: Mapping[str, Any], slots: int) -> None:
        """Load and compile. RuntimeError: OpenVINO's, or the folder holds another kind of Whisper."""
        import openvino_genai as genai

        self._words = SpeechVocabulary(folder, genai.Tokenizer(str(folder)))
        options = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": slots, **properties}
        self._networks = Networks(folder, options, self._words, generation.get("alignment_heads") or ())
        self._runners = [Runner(self._networks) for _ in range(slots)]
        self._lock = threading.Lock()
        self._drafts: OrderedDict[str, _WindowDraft] = OrderedDict()
        self.slots = slots

    def write(self, slot: int, request: SpeechRequest, left: threading.Event) -> Heard:
        """Return what was said. left: nobody waits any more; it leaves off after the window that it hears.

        Sound that is longer than a window is heard one window after the other, each from where the last one's finished
        segments end (Radford et al. 2022, section 3.8).
        """
        runner = self._runners[slot]
        samples = levelled(request.samples)
        longest = int((self._networks.window_s - SILENCE_S) * RATE_HZ)
        sound = self._first(request)
        texts: list[str] = []
        segments: list[SpokenWord] = []
        words: list[SpokenWord] = []
        at = 0
        while at < len(samples) and not left.is_set():
            last = len(samples) - at <= longest
            length = len(samples) - at if last else int(self._networks.window_s * RATE_HZ)
            sound = replace(sound, samples=samples[at : at + length])
            said, advance_s = runner.hear(sound), length / RATE_HZ
            if last and at == 0:
                self._remember(request, said)
            elif not last:
                said, advance_s = self._finished(said, advance_s)
            found = list(self._segments(said, advance_s))
            texts += [text for text, _, _ in found]
            segments += [SpokenWord(text.strip(), at / RATE_HZ + a, at / RATE_HZ + b) for text, a, b in found]
            if request.words and found:
                words += [_moved(word, at / RATE_HZ) for word in runner.times(sound, said)]
            sound = replace(sound, language=sound.language or said.language, draft=())
            at += int(advance_s * RATE_HZ)
        return Heard("".join(texts).strip(), tuple(words), sound.language, segments=tuple(segments))

    def _first(self, request: SpeechRequest) -> Sound:
        """Return the first window's settings; a partial takes its language from the pass before."""
        with self._lock:
            draft = self._drafts.get(request.stream_id or "", _WindowDraft())
        language = _base(request.language) or (draft.language if request.partial else None)
        task = "translate" if request.translate else "transcribe"
        before = tuple(self._words.prompt(request.prompt)) if request.prompt else ()
        return Sound(request.samples, language, task, before, draft.tokens, careful=not request.partial)

    def _remember(self, request: SpeechRequest, said: Said) -> None:
        """Keep what a pass said for the next one over the same utterance."""
        if request.stream_id is None:
            return
        with self._lock:
            self._drafts.pop(request.stream_id, None)
            if request.partial and said.ended:
                self._drafts[request.stream_id] = _WindowDraft(said.tokens[:-_UNSETTLED], said.language)
            while len(self._drafts) > _REMEMBERED:
                self._drafts.popitem(last=False)

    def _finished(self, said: Said, length_s: float) -> tuple[Said, float]:
        """Return the finished segments of a window that more sound follows, and when they end."""
        first = self._words.first_time
        ends = [
            place
            for place, token in enumerate(said.tokens)
            if token >= first and place and said.tokens[place - 1] < first
        ]
        for place in reversed(ends):
            end_s = (said.tokens[place] - first) * TICK_S
            if _LEAST_ADVANCE_S <= end_s <= length_s:
                return replace(said, tokens=said.tokens[: place + 1]), end_s
        return said, length_s

    def _segments(self, said: Said, end_s: float) -> Iterator[tuple[str, float, float]]:
        """Give the text between the timestamps, its start and its end; nothing ends behind `end_s`."""
        first = self._words.first_time
        tokens: list[int] = []
        start_s = 0.0
        for token in (*said.tokens, first + round(end_s / TICK_S)):
            if token < first:
                tokens.append(token)
                continue
            time_s = min((token - first) * TICK_S, end_s)
            if text := self._words.raw_text(tokens):
                yield text, min(start_s, time_s), time_s
            tokens, start_s = [], time_s


def _moved(word: SpokenWord, by_s: float) -> SpokenWord:
    return SpokenWord(word.text, by_s + word.start_s, by_s + word.end_s)


def _base(language: str | None) -> str | None:
    """Return `de` of `de-CH`."""
    return language.partition("-")[0].lower() if language else None
