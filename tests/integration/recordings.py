"""The recordings that tests listen to."""

import wave
from pathlib import Path

import numpy as np

AUDIO = Path(__file__).parents[1] / "assets" / "audio"
FIRST = "good morning the quick brown fox jumps over the lazy dog"
SECOND = "please open the window"
LIGHT = "turn on the red light please"
"""What two-sentences.wav and red-light.wav say."""
SILENCE = bytes(32_000)
"""A second of it, 16-bit samples at 16 kHz."""


def pcm(name: str) -> bytes:
    """Return the 16-bit samples of a WAV."""
    with wave.open(str(AUDIO / name)) as recording:
        return recording.readframes(recording.getnframes())


def samples(name: str) -> np.ndarray:
    """Return the samples of a WAV as float32."""
    return np.frombuffer(pcm(name), "<i2").astype(np.float32) / np.float32(32_768)


def wrong_words(said: str, heard: str) -> int:
    """Return how many words must be changed, added or removed (Levenshtein)."""
    expected, found = said.split(), heard.lower().split()
    row = list(range(len(found) + 1))
    for i, a in enumerate(expected, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(found, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]
