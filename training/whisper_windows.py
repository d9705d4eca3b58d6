"""Windows of six seconds made of spoken phrases, with their target tokens."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from whisper_speech import DIGITS, ENGLISH, GERMAN, RATE_HZ, WINDOW_S, Sound, Spoken

LENGTH = WINDOW_S * RATE_HZ
STEPS_S = 50  # timestamps a second
LAST_STEP = WINDOW_S * STEPS_S
LATEST_START = 50  # steps: the first segment starts within a second, as generation_config.json demands
ENGLISH_FOR = dict(zip(GERMAN, DIGITS, strict=True))
CLASSES = {word: number for number, word in enumerate([*ENGLISH, *GERMAN], 1)}
"""Indices of the words for the auxiliary CTC head of the encoder; 0 is the blank."""


@dataclass(frozen=True)
class Segment:
    """Words, with the samples at which they begin and end."""

    start: int
    end: int
    words: tuple[str, ...]


@dataclass
class Window:
    """Samples float32 [LENGTH] of -1 to 1, their words, and where a word begins that the end cuts off."""

    language: str = "en"
    segments: list[Segment] = field(default_factory=list)
    cut: int | None = None
    samples: NDArray[np.float32] = field(default_factory=lambda: np.zeros(LENGTH, np.float32))
    gain: float = 1.0

    def put(self, sound: Sound, start: int) -> None:
        """Add a sound, as much of it as fits."""
        fits = max(0, min(len(sound), LENGTH - start))
        self.samples[start : start + fits] += sound[:fits].astype(np.float32) / 32768 * self.gain

    def spoken_words(self) -> list[str]:
        """Return the words of all segments."""
        return [word for segment in self.segments for word in segment.words]


class Composer:
    """Makes windows: one phrase, words of one voice in a row, phrases with pauses, or nothing, with noise."""

    def __init__(self, spoken: list[Spoken], rng: random.Random) -> None:
        self.rng, self.noise = rng, np.random.default_rng(rng.getrandbits(32))
        self.phrases = [one for one in spoken if len(one.phrase.words) > 1]
        self.by_language: dict[str, list[Spoken]] = defaultdict(list)
        self.voices: dict[tuple[str, str], dict[str, list[Sound]]] = defaultdict(lambda: defaultdict(list))
        for one in spoken:
            self.by_language[one.phrase.language].append(one)
            if len(one.phrase.words) == 1:
                self.voices[one.phrase.language, one.phrase.voice][one.phrase.words[0]].append(one.sound)
        self.voice_names = list(self.voices)

    def window(self) -> Window:
        """Return the next window."""
        rng = self.rng
        kind = rng.random()
        window = Window(gain=rng.uniform(0.35, 1.3))
        start = int(rng.random() ** 2 * RATE_HZ)
        if kind < 0.42:
            self._one_phrase(window, start)
        elif kind < 0.72:
            self._words_in_a_row(window, start)
        elif kind < 0.94:
            self._phrases_with_pauses(window, start)
        if rng.random() < 0.8:
            loud = 10 ** rng.uniform(-4.5, -2.2)
            window.samples += self.noise.standard_normal(LENGTH, np.float32) * np.float32(loud)
        return window

    def _one_phrase(self, window: Window, start: int) -> None:
        one = self.rng.choice(self.phrases)
        start = min(start, LENGTH - len(one.sound) - 1)
        window.language = one.phrase.language
        window.put(one.sound, start)
        window.segments = [Segment(start, start + len(one.sound), one.phrase.words)]

    def _words_in_a_row(self, window: Window, start: int) -> None:
        """Add words of one voice one by one; in a quarter of the windows until the end cuts one off."""
        rng = self.rng
        voice = rng.choice(self.voice_names)
        sounds, window.language = self.voices[voice], voice[0]
        known = list(sounds)[:10] if rng.random() < 0.5 else list(sounds)  # the digits come first
        full = rng.random() < 0.25
        words: list[str] = []
        at = end = start
        for _ in range(20 if full else rng.randint(1, 7)):
            word = rng.choice(known)
            sound = rng.choice(sounds[word])
            window.put(sound, at)
            if at + len(sound) > LENGTH:
                if full or at < LENGTH - RATE_HZ // 10:
                    window.cut = end
                break
            words.append(word)
            end = at + len(sound)
            at = end + int(rng.uniform(0, 0.28) * RATE_HZ)
        window.segments = [Segment(start, end, tuple(words))]

    def _phrases_with_pauses(self, window: Window, start: int) -> None:
        rng = self.rng
        one, at = rng.choice(self.phrases), start
        window.language = one.phrase.language
        for _ in range(rng.randint(2, 3)):
            if at + len(one.sound) > LENGTH:
                if at < LENGTH - RATE_HZ // 20:
                    window.put(one.sound, at)
                    window.cut = at
                break
            window.put(one.sound, at)
            window.segments.append(Segment(at, at + len(one.sound), one.phrase.words))
            at += len(one.sound) + int(rng.uniform(0.35, 1.2) * RATE_HZ)
            one = rng.choice(self.by_language[window.language])


class Writer:
    """Encodes windows as Whisper's target tokens."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.numbers = tokenizer.get_vocab()
        self.words = {}
        for word in [*ENGLISH, *GERMAN]:
            (self.words[word],) = tokenizer.encode(f" {word}", add_special_tokens=False).ids

    def tokens(self, window: Window, *, timed: bool, translated: bool) -> tuple[list[int], list[bool]]:
        """Return the tokens, and which of them are targets: not the task, which is part of the prompt."""
        task = "<|translate|>" if translated else "<|transcribe|>"
        start = [self.numbers["<|startoftranscript|>"], self.numbers[f"<|{window.language}|>"], self.numbers[task]]
        found = [False, True, False]
        if timed:
            body = self._timed(window, translated=translated)
        else:
            start.append(self.numbers["<|notimestamps|>"])
            found.append(False)
            body = self._words(window.spoken_words(), translated=translated)
        body.append(self.numbers["<|endoftext|>"])
        return start + body, found + [True] * len(body)

    def _words(self, words: list[str], *, translated: bool) -> list[int]:
        return [self.words[ENGLISH_FOR.get(word, word) if translated else word] for word in words]

    def _timed(self, window: Window, *, translated: bool) -> list[int]:
        """Return each segment between its times, and the time of what is cut off."""
        nought = self.numbers["<|0.00|>"]
        segments = [segment for segment in window.segments if segment.words]
        if not segments:
            return [nought]
        tokens: list[int] = []
        for place, segment in enumerate(segments):
            start = _step(segment.start)
            tokens.append(nought + (start if place else min(start, LATEST_START)))
            tokens += self._words(list(segment.words), translated=translated)
            tokens.append(nought + _step(segment.end))
        if window.cut is not None:
            tokens.append(nought + max(_step(window.cut), _step(segments[-1].end)))
        return tokens


def _step(sample: int) -> int:
    return min(round(sample * STEPS_S / RATE_HZ), LAST_STEP)
