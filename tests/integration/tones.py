"""Sounds that `tests/assets/hearing` names: "low", "high" and "noise"."""

from pathlib import Path

import numpy as np

from fastembed.pipeline.payload.chat import AudioPart

HEARING = Path(__file__).parent.parent / "assets" / "hearing"
"""Qwen3-Omni's thinker in small; `training/hearing.py` makes it."""


def tone(name: str, seconds: float = 1.0, rate_hz: int = 16_000) -> AudioPart:
    """Return one of the three."""
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    if name == "noise":
        samples = np.random.default_rng(0).normal(0, 0.2, len(time_s))
    else:
        samples = 0.4 * np.sin(2 * np.pi * {"low": 220, "high": 2200}[name] * time_s)
    return AudioPart(samples.astype(np.float32), rate_hz)
