"""What whisper-base is asked to hear: sentences that a person reads, and one sentence in every bad shape."""

from __future__ import annotations

import io
import re
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from fastembed.inference.engines.media.sound import decode_media

ASSETS = Path(__file__).parents[1] / "assets"
LIBRIVOX = {
    "0870": "and mister john dashwood had then leisure to consider how much there might be prudently in his power "
    "to do for them",
    "0880": "he was not an ill disposed young man",
    "0890": "unless to be rather cold hearted and rather selfish is to be ill disposed",
    "0920": "had he married a more amiable woman he might have been made still more respectable than he was",
    "0930": "he might even have been made amiable himself",
}
"""Sentences of `tests/assets/librivox` as they are read; the transcript there has a slip of the pen in 0920."""
COMMITTEE = "the committee will meet on tuesday morning to discuss the new budget for the school library"
RATE_HZ = 16_000


def words(text: str) -> list[str]:
    """Return what was said, without case, marks and spelling that cannot be heard."""
    plain = text.lower().replace("mr.", "mister").replace("-", " ")
    return re.sub(r"[^\w' ]", " ", plain).split()


def errors(said: str, heard: str) -> int:
    """Return how many words must be changed, added or removed (Levenshtein)."""
    expected, found = words(said), words(heard)
    row = list(range(len(found) + 1))
    for i, a in enumerate(expected, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(found, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]


async def sound(path: Path) -> np.ndarray:
    """Return a file's samples, float32 at 16 kHz."""
    return np.concatenate([frame.samples async for frame in decode_media(path)])


def wav(samples: np.ndarray, rate_hz: int = RATE_HZ) -> bytes:
    """Return a WAV of float32 [n] or [n, channels]."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes())
    return out.getvalue()


def telephone(samples: np.ndarray) -> bytes:
    """Return a WAV as a telephone gives it: 8 kHz, A-law."""
    coded = io.BytesIO()
    frame = av.AudioFrame.from_ndarray((samples * 32_767).astype(np.int16)[None], format="s16", layout="mono")
    frame.sample_rate = RATE_HZ
    with av.open(coded, "w", format="wav") as media:
        stream = media.add_stream("pcm_alaw", rate=8_000, layout="mono")
        resampler = av.AudioResampler("s16", "mono", 8_000)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            media.mux(stream.encode(piece))
        media.mux(stream.encode(None))
    return coded.getvalue()


def fragments(samples: np.ndarray) -> bytes:
    """Return a fragmented MP4 with AAC, as a browser's MediaRecorder makes one."""
    out = io.BytesIO()
    frame = av.AudioFrame.from_ndarray((samples * 32_767).astype(np.int16)[None], format="s16", layout="mono")
    frame.sample_rate = RATE_HZ
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "100000"}
    with av.open(out, "w", format="mp4", options=options) as media:
        stream = media.add_stream("aac", rate=48_000, layout="mono")
        resampler = av.AudioResampler("fltp", "mono", 48_000, frame_size=1_024)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            media.mux(stream.encode(piece))
        media.mux(stream.encode(None))
    return out.getvalue()


def beside_noise(samples: np.ndarray) -> np.ndarray:
    """Return a voice on the left, and a fan on the right."""
    noise = np.random.default_rng(1).normal(0, 0.02, len(samples)).astype(np.float32)
    return np.stack([samples, noise], axis=1)


BAD: dict[str, Callable[[np.ndarray], bytes]] = {
    "as it is": wav,
    "quiet": lambda samples: wav(samples * 0.01),
    "very quiet": lambda samples: wav(samples * 0.003),
    "far too loud": lambda samples: wav(samples * 3),
    "one channel upside down": lambda samples: wav(np.stack([samples, -samples], axis=1)),
    "on the right only": lambda samples: wav(np.stack([0 * samples, samples], axis=1)),
    "beside noise": lambda samples: wav(beside_noise(samples)),
    "by telephone": telephone,
    "of no known length": lambda samples: wav(samples)[:40] + bytes(4) + wav(samples)[44:],
    "of a live recording's length": lambda samples: wav(samples)[:40] + b"\xff" * 4 + wav(samples)[44:],
    "as a browser's mp4": fragments,
}


def _tune() -> np.ndarray:
    notes = np.random.default_rng(2).choice([131, 147, 165, 175, 196, 220, 247], 32)
    phase = 2 * np.pi * np.cumsum(np.repeat(notes, RATE_HZ // 4)) / RATE_HZ
    return sum(np.sin(k * phase) / k for k in range(1, 8)) * 0.1


_TIME = np.arange(8 * RATE_HZ) / RATE_HZ
NO_SPEECH: dict[str, np.ndarray] = {
    "white noise": np.random.default_rng(3).normal(0, 0.1, 5 * RATE_HZ),
    "faint noise": np.random.default_rng(4).normal(0, 0.001, 5 * RATE_HZ),
    "a tone": 0.3 * np.sin(2 * np.pi * 440 * _TIME),
    "mains hum": 0.3 * np.sin(2 * np.pi * 50 * _TIME) + 0.1 * np.sin(2 * np.pi * 150 * _TIME),
    "a chord": sum(0.1 * np.sin(2 * np.pi * note * _TIME) for note in (261, 329, 392)),
    "a tune": _tune(),
    "clicks": (np.random.default_rng(5).random(len(_TIME)) > 0.9995) * 0.8,
    "silence": np.zeros(3 * RATE_HZ),
}
