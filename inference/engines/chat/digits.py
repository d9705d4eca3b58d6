"""Whole numbers between two bounds, as an expression of a grammar."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_MOST: Final = 10**15 - 1


def whole_numbers(low: int | None, high: int | None) -> str | None:
    """Return the expression of the whole numbers from `low` to `high`, None without bounds; 15 digits at most."""
    if low is None and high is None:
        return None
    low, high = max(-_MOST, -_MOST if low is None else low), min(_MOST, _MOST if high is None else high)
    parts = []
    if low < 0:
        parts += [f'"-" {part}' for part in _between(max(1, -high), -low)]
    if high >= 0:
        parts += _between(max(0, low), high)
    return f"({' | '.join(parts)})" if parts else None


def _between(low: int, high: int) -> Iterator[str]:
    """Give expressions of the numbers from `low` to `high`, neither below 0: one or more for each count of digits."""
    while low <= high:
        last = min(high, 10 ** len(str(low)) - 1)
        yield from _of_one_length(str(low), str(last))
        low = last + 1


def _of_one_length(low: str, high: str) -> Iterator[str]:
    """Give expressions of the numbers between two of the same count of digits."""
    if not low:
        yield '""'
        return
    rest = len(low) - 1
    if low[1:] == "0" * rest and high[1:] == "9" * rest:
        yield f"[{low[0]}-{high[0]}]" + (f" [0-9]{{{rest}}}" if rest else "")
        return
    if low[0] == high[0]:
        yield from (f'"{low[0]}" {part}' for part in _of_one_length(low[1:], high[1:]))
        return
    yield from (f'"{low[0]}" {part}' for part in _of_one_length(low[1:], "9" * rest))
    if int(high[0]) - int(low[0]) > 1:
        yield f"[{int(low[0]) + 1}-{int(high[0]) - 1}]" + (f" [0-9]{{{rest}}}" if rest else "")
    yield from (f'"{high[0]}" {part}' for part in _of_one_length("0" * rest, high[1:]))
