"""Requests on the driver: recordings of any length, drafts from pass to pass, segments and words with times."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.speech.driver import SILENCE_S, Networks, Runner, Said
from fastembed.inference.engines.speech.engine import RATE_HZ, Heard, SpeechRequest, SpokenWord
from fastembed.inference.engines.speech.hypothesis import Sound
from fastembed.inference.engines.speech.level import levelled
from fastembed.inference.engines.speech.progress import SettledSpeech, settled
from fastembed.inference.engines.speech.vocabulary import TICK_S, SpeechVocabulary

_UNSETTLED: Final = 3
"""Tokens at the end of a pass that the next one mostly changes: the last word or two, and the closing time."""
_REMEMBERED: Final = 1_024
"""Utterances whose last pass is kept; those of sessions that left are the oldest."""
_SURE_S: Final = 4.0
"""Sound from which a language is known; that of a word or two is often another one."""
_CONTEXT: Final = 240
"""Characters of settled text that a pass is given as what was said before."""
_ROWS: Final = 8
"""Requests that are heard in step: with more, a step costs nearly what they cost apart."""
_LEAST_ADVANCE_S: Final = 1.0


class LanguageDetector:
    """Tells languages apart on the CPU, for devices that cannot. One call at a time."""

    def __init__(self, folder: Path) -> None:
        """Load and compile. RuntimeError: OpenVINO's, or the folder holds another kind of Whisper."""
        import openvino_genai as genai

        words = SpeechVocabulary(folder, genai.Tokenizer(str(folder)))
        self._networks = Networks(folder, {"PERFORMANCE_HINT": "LATENCY"}, words, ())
        self._runner = Runner(self._networks)

    def detect(self, samples: NDArray[np.float32]) -> str | None:
        """Return the language of the first window of levelled samples, float32 at 16 kHz."""
        return self._runner.detect(samples[: int((self._networks.window_s - SILENCE_S) * RATE_HZ)])


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
        self._progresses: OrderedDict[str, SettledSpeech] = OrderedDict()
        self.slots = slots
        self.rows = _ROWS

    def unheard_s(self, request: SpeechRequest) -> float:
        """Return how long the sound is behind what is settled."""
        return max(0.0, (len(request.samples) - self._progress(request).at) / RATE_HZ)

    def write(
        self, slot: int, requests: Sequence[SpeechRequest], left: Sequence[threading.Event]
    ) -> list[Heard | None]:
        """Return what was said, of each request; None where `left`, set when nobody waits any more, stopped it.

        The requests are heard in step: a window of each, then the next one of those that have one.
        """
        runner = self._runners[slot]
        heard: list[Heard | None] = [None] * len(requests)
        hearing = {
            place: self._hearing(runner, request, event)
            for place, (request, event) in enumerate(zip(requests, left, strict=True))
        }
        said: dict[int, Said | None] = dict.fromkeys(hearing)
        while hearing:
            sounds: dict[int, Sound] = {}
            for place, steps in list(hearing.items()):
                try:
                    sounds[place] = steps.send(said[place])
                except StopIteration as end:
                    heard[place] = end.value
                    del hearing[place]
            if sounds:
                said = dict(zip(sounds, runner.hear(list(sounds.values())), strict=True))
        return heard

    def _hearing(
        self, runner: Runner, request: SpeechRequest, left: threading.Event
    ) -> Generator[Sound, Said | None, Heard | None]:
        """Yield the windows of a request, take what was said in each, return all of it.

        Sound that is longer than a window is heard one window after the other, each from where the last one's finished
        segments end (Radford et al. 2022, section 3.8). A growing utterance goes on behind what is settled of it.
        """
        samples = levelled(request.samples)
        longest = int((self._networks.window_s - SILENCE_S) * RATE_HZ)
        progress = self._progress(request)
        sound = replace(self._first(request, progress), left=left)
        while progress.at < len(samples):
            last = len(samples) - progress.at <= longest
            length = len(samples) - progress.at if last else int(self._networks.window_s * RATE_HZ)
            sound = replace(sound, samples=samples[progress.at : progress.at + length])
            said = yield sound
            if said is None or (last and not request.whole and not said.ended):
                return None  # nobody waits for it, or a loop: the next pass, or the last one, hears better
            if last:
                return self._ended(runner, request, sound, said, progress)
            said, advance_s = self._finished(said, length / RATE_HZ)
            words = runner.times(sound, said) if request.words and said.tokens else ()
            progress = progress.behind(advance_s, self._segments(said, advance_s), words, said.language)
            sound = replace(sound, language=progress.language, draft=())
        return progress.heard()

    def _ended(
        self, runner: Runner, request: SpeechRequest, sound: Sound, said: Said, progress: SettledSpeech
    ) -> Heard | None:
        """Return what was said up to the last window; remember of a growing utterance how far it was heard."""
        words = runner.times(sound, said) if request.words and said.tokens and request.whole else ()
        whole = progress.behind(sound.length_s, self._segments(said, sound.length_s), words, said.language)
        if request.stream_id is not None:
            self._remember(request, self._grown(runner, request, sound, said, progress))
        return whole.heard()

    def _grown(
        self, runner: Runner, request: SpeechRequest, sound: Sound, said: Said, progress: SettledSpeech
    ) -> SettledSpeech | None:
        """Return from where the next pass over the utterance goes on; None: it has ended."""
        if not request.partial:
            return None
        sure = progress.language is not None or sound.length_s >= _SURE_S
        grown = replace(progress, tokens=said.tokens, language=said.language if sure else None)
        cut = settled(said.tokens, progress.tokens, sound.samples, self._words)
        if cut is None:
            return grown
        tokens = said.tokens[: cut.tokens]
        words: tuple[SpokenWord, ...] = ()
        if request.words:
            texts = [token for token in tokens if token < self._words.end]
            words = runner.times(sound, said)[: len(self._words.words(texts))]
        behind = progress.behind(cut.at_s, self._segments(replace(said, tokens=tokens), cut.at_s), words, said.language)
        return replace(behind, tokens=cut.rest)

    def _progress(self, request: SpeechRequest) -> SettledSpeech:
        with self._lock:
            return self._progresses.get(request.stream_id or "", SettledSpeech())

    def _first(self, request: SpeechRequest, progress: SettledSpeech) -> Sound:
        """Return the first window's settings; what goes on behind settled words goes on in their language."""
        language = _base(request.language) or (progress.language if request.partial or progress.at else None)
        task = "translate" if request.translate else "transcribe"
        context = _ending(progress.text) or request.prompt
        before = tuple(self._words.prompt(context)) if context else ()
        draft = progress.tokens[:-_UNSETTLED]
        return Sound(request.samples, language, task, before, draft, careful=request.whole)

    def _remember(self, request: SpeechRequest, progress: SettledSpeech | None) -> None:
        """Keep how far an utterance was heard for the next pass over it."""
        stream_id = request.stream_id or ""
        with self._lock:
            self._progresses.pop(stream_id, None)
            if progress is not None:
                self._progresses[stream_id] = progress
            while len(self._progresses) > _REMEMBERED:
                self._progresses.popitem(last=False)

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


def _ending(text: str) -> str:
    """Return the last words of a settled text, from the start of one."""
    return text if len(text) <= _CONTEXT else text[-_CONTEXT:].partition(" ")[2] or text[-_CONTEXT:]


def _base(language: str | None) -> str | None:
    """Return `de` of `de-CH`."""
    return language.partition("-")[0].lower() if language else None
