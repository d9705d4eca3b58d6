"""The audio that may still be needed, addressed by its place in the session."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Recording:
    """A window over a session's samples, float32 mono: appended at the end, forgotten at the start.

    Positions count samples since the session began. Memory is at most twice what is kept, plus one append.
    """

    __slots__ = ("_buffer", "_filled", "end", "start")

    def __init__(self) -> None:
        """Start empty at position 0."""
        self._buffer = np.empty(1 << 14, np.float32)
        self._filled = 0  # samples of the buffer in use; the last of them is at position end - 1
        self.start = 0
        self.end = 0

    def append(self, samples: NDArray[np.float32]) -> None:
        """Add samples at the end."""
        count = len(samples)
        if self._filled + count > len(self._buffer):
            self._compact(count)
        self._buffer[self._filled : self._filled + count] = samples
        self._filled += count
        self.end += count

    def slice(self, start: int, end: int) -> NDArray[np.float32]:
        """Return a copy of the samples from `start` to `end`, as far as they are kept."""
        offset = self._filled - self.end
        return self._buffer[max(start, self.start) + offset : min(end, self.end) + offset].copy()

    def forget(self, before: int) -> None:
        """Drop what lies before this position."""
        self.start = min(max(self.start, before), self.end)

    def _compact(self, extra: int) -> None:
        kept = self.end - self.start
        needed = max(1 << 14, 2 * (kept + extra))
        target = self._buffer if len(self._buffer) in range(needed, 2 * needed + 1) else np.empty(needed, np.float32)
        target[:kept] = self._buffer[self._filled - kept : self._filled].copy()
        self._buffer, self._filled = target, kept
