"""What the server and a document model's process say to each other (`pipeline.processes.framing` says how)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class LoadDocling:
    """The first message to a process: which model to load, where. pages: that it may read at a time."""

    folder: Path
    device: str
    properties: Mapping[str, Any]
    pages: int


@dataclass(frozen=True, slots=True)
class DoclingLoaded:
    """A process's first message when all is well; otherwise it is the exception."""


@dataclass(frozen=True, slots=True)
class ReadPages:
    """Read pages, each a picture file (PNG). The answer is a list of `Written`, or the exception."""

    pictures: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class CancelPages:
    """Nobody waits for the pages that are being read; they are answered all the same, as far as they came."""
