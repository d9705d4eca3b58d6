"""What the server and a voice's process say to each other (`pipeline.processes.framing` says how)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class LoadVoice:
    """The first message to a process: which model to load, where."""

    folder: Path
    device: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class VoiceLoaded:
    """A process's first message when all is well; otherwise it is the exception."""

    rate_hz: int


@dataclass(frozen=True, slots=True)
class SayPiece:
    """Speak a short text. The answer is its samples as bytes of float32, or the exception."""

    text: str
    voice: str
    speed: float
