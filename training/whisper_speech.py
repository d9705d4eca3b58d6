"""Spoken phrases: training data of `whisper.py` and test data of `whisper_exam.py`.

Needs espeak-ng, Debian's package of that name (measured with 1.51). Phrases are drawn from 36 English
words and ten German digits,
voices from espeak-ng's; the same seeds give the same phrases in the same voices, sample by sample.
"""

# ruff: noqa: SIM905 - a list of words reads best as a text
from __future__ import annotations

import random
import subprocess
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

RATE_HZ = 16_000
WINDOW_S = 6
ENGLISH = (
    "zero one two three four five six seven eight nine yes no stop go up down left right turn on off open close the "
    "light door play pause music hello world red green blue please start"
).split()
GERMAN = "null eins zwei drei vier fünf sechs sieben acht neun".split()
DIGITS = ENGLISH[:10]
ACCENTS = ("en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland")
TIMBRES = ("", "+m1", "+m2", "+m3", "+m4", "+m5", "+m6", "+m7", "+f1", "+f2", "+f3", "+f4")
UNTRAINED = ("en-us+m8", "en-gb+f5", "en-us+f5", "en-gb+m8", "en-029+m3")
"""Voices of the test data only."""

Sound = NDArray[np.int16]


@dataclass(frozen=True)
class Phrase:
    """What is said, and how: `speed` in words a minute, `pitch` of 0 to 99."""

    words: tuple[str, ...]
    language: str
    voice: str
    speed: int
    pitch: int


@dataclass(frozen=True)
class Spoken:
    """A phrase and its sound: int16 [n] at 16 kHz, without the silence around it."""

    phrase: Phrase
    sound: Sound


def speak(phrase: Phrase) -> Spoken:
    """Synthesise it with espeak-ng."""
    said = ["espeak-ng", "-v", phrase.voice, "-s", str(phrase.speed), "-p", str(phrase.pitch), "--stdout"]
    wav = subprocess.run([*said, " ".join(phrase.words)], check=True, capture_output=True).stdout  # noqa: S603
    samples = resample_poly(np.frombuffer(wav[44:], np.int16).astype(np.float32), 320, 441)  # from 22.05 kHz
    loud = np.flatnonzero(np.abs(samples) > 200)
    if len(loud):
        samples = samples[max(0, loud[0] - 160) : loud[-1] + 320]
    return Spoken(phrase, np.clip(samples, -32768, 32767).astype(np.int16))


def some_words(rng: random.Random) -> list[str]:
    """Draw an English phrase: digits, a command, or words in any order."""
    kind = rng.random()
    if kind < 0.5:
        return [rng.choice(DIGITS) for _ in range(rng.randint(1, 8))]
    if kind < 0.7:
        return _command(rng) + (["please"] if rng.random() < 0.25 else [])
    return [rng.choice(ENGLISH) for _ in range(rng.randint(1, 6))]


def _command(rng: random.Random) -> list[str]:
    def one(words: str) -> str:
        return rng.choice(words.split())

    switched = ["turn", one("on off"), "the", one("light music red green blue")]
    commands = [
        switched + (["light"] if rng.random() < 0.3 else []),
        [one("open close"), "the", one("red green blue"), "door"],
        [one("open close"), "the", "door"],
        [one("play pause stop start"), "the", "music"],
        ["go", one("up down left right")],
        ["hello", "world"],
        ["turn", one("left right")],
        [one("yes no")],
        ["go", one("up down left right"), rng.choice(DIGITS)],
    ]
    return rng.choice(commands)


def _manner(rng: random.Random, slowest: int, fastest: int, lowest: int, highest: int) -> tuple[int, int]:
    return rng.randint(slowest, fastest), rng.randint(lowest, highest)


def exam_phrases(rng: random.Random) -> list[Phrase]:
    """Draw the test phrases, never trained: 300 English ones of three words and more, and up to 60 German ones."""
    drawn: list[Phrase] = []
    seen: set[tuple[str, ...]] = set()
    while len(drawn) < 300:
        words = tuple(some_words(rng))
        if len(words) < 3 or words in seen:
            continue
        seen.add(words)
        voice = rng.choice(UNTRAINED) if len(drawn) % 2 else rng.choice(ACCENTS) + rng.choice(TIMBRES)
        drawn.append(Phrase(words, "en", voice, *_manner(rng, 125, 185, 35, 65)))
    for _ in range(60):
        words = tuple(rng.choice(GERMAN) for _ in range(rng.randint(2, 6)))
        if words not in seen:
            seen.add(words)
            drawn.append(Phrase(words, "de", "de" + rng.choice(TIMBRES), *_manner(rng, 125, 185, 35, 65)))
    return drawn


def single_words(rng: random.Random) -> list[Phrase]:
    """Return every word in every voice that is trained."""
    english = [
        Phrase((word,), "en", accent + timbre, *_manner(rng, 110, 190, 30, 70))
        for word in ENGLISH
        for accent in ACCENTS
        for timbre in TIMBRES
    ]
    german = [
        Phrase((word,), "de", "de" + timbre, *_manner(rng, 110, 190, 30, 70))
        for word in GERMAN
        for timbre in TIMBRES
        for _ in range(2)
    ]
    return english + german


def training_speech(count: int) -> list[Spoken]:
    """Speak the single words, and `count` phrases that fit into a window and are not in the exam."""
    rng = random.Random(0)
    kept_back = {phrase.words for phrase in exam_phrases(rng)}
    spoken = [speak(phrase) for phrase in single_words(rng)]
    wanted = len(spoken) + count
    while len(spoken) < wanted:
        if rng.random() < 0.14:
            words, language = tuple(rng.choice(GERMAN) for _ in range(rng.randint(1, 7))), "de"
            voice = "de" + rng.choice(TIMBRES)
        else:
            words, language = tuple(some_words(rng)), "en"
            voice = rng.choice(ACCENTS) + rng.choice(TIMBRES)
        if words in kept_back and len(words) > 2:
            continue
        found = speak(Phrase(words, language, voice, *_manner(rng, 115, 195, 30, 70)))
        if len(found.sound) <= (WINDOW_S - 0.1) * RATE_HZ:
            spoken.append(found)
    return spoken
