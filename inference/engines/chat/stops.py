"""Stop strings: end the answer, are not shown, may be split over any number of pieces."""

from __future__ import annotations

from collections.abc import Sequence


class StopStrings:
    """Passes text on until one of the stop strings is complete; holds back what may become one."""

    def __init__(self, stops: Sequence[str]) -> None:
        """Watch for these; empty ones are ignored."""
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.found = ""

    def feed(self, text: str) -> str:
        """Return what can be shown now. `found` is the stop string, and nothing more comes, after one."""
        if self.found or not self._stops:
            return "" if self.found else text
        text = self._held + text
        places = [(place, stop) for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            place, self.found = min(places)
            self._held = ""
            return text[:place]
        keep = max(held_back(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """Return what was held back: the answer ended without the stop string."""
        held, self._held = self._held, ""
        return held


def held_back(text: str, mark: str) -> int:
    """Return the length of the longest end of `text` that is a beginning of `mark`, the whole mark excluded."""
    longest = min(len(text), len(mark) - 1)
    return next((size for size in range(longest, 0, -1) if mark.startswith(text[-size:])), 0)
