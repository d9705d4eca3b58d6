"""The recordings that tests listen to."""

import io
import re
import wave
from pathlib import Path

import av
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


def encoded(name: str, container: str, codec: str) -> bytes:
    """Return a WAV's sound in another container and codec, at 48 kHz."""
    out = io.BytesIO()
    frame = av.AudioFrame.from_ndarray((samples(name) * 32_767).astype(np.int16)[None], format="s16", layout="mono")
    frame.sample_rate = 16_000
    with av.open(out, "w", format=container) as media:
        stream = media.add_stream(codec, rate=48_000, layout="mono")
        wanted = stream.codec_context
        resampler = av.AudioResampler(wanted.format or "s16", "mono", 48_000, frame_size=1_152)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            media.mux(stream.encode(piece))
        media.mux(stream.encode(None))
    return out.getvalue()


def wrong_words(said: str, heard: str) -> int:
    """Return how many words must be changed, added or removed (Levenshtein)."""
    expected, found = said.split(), re.sub(r"[^\w' ]", "", heard.lower()).split()
    row = list(range(len(found) + 1))
    for i, a in enumerate(expected, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(found, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]
