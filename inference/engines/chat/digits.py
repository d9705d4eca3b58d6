"""Numbers between two bounds, as expressions of a grammar."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

_MOST: Final = 10**15 - 1
_PLACES: Final = 2
_MOST_PLACES: Final = 6


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


def decimals(low: Decimal | None, high: Decimal | None, *, above: bool = False, below: bool = False) -> str | None:
    """Return the expression of the numbers from `low` to `high`, written without an exponent; None: there are none.

    They have as many places behind the point as the bounds, from 2 to 6. above, below: without the bound itself.
    """
    places = min(_MOST_PLACES, max(_PLACES, *(_places(bound) for bound in (low, high))))
    scale = 10**places
    first = -_MOST * scale if low is None else int((low * scale).to_integral_value(ROUND_CEILING))
    last = _MOST * scale if high is None else int((high * scale).to_integral_value(ROUND_FLOOR))
    first += above and low is not None and first == low * scale
    last -= below and high is not None and last == high * scale
    first, last = max(first, -_MOST * scale), min(last, _MOST * scale)
    parts = []
    if first < 0:
        parts += [f'"-" {part}' for part in _scaled(max(1, -last), -first, places)]
    if last >= 0:
        parts += _scaled(max(0, first), last, places)
    return f"({' | '.join(parts)})" if parts else None


def _places(bound: Decimal | None) -> int:
    exponent = 0 if bound is None else bound.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _scaled(low: int, high: int, places: int) -> Iterator[str]:
    """Give expressions of the numbers between two that are given in units of the last place, neither below 0."""
    if low > high:
        return
    scale = 10**places
    first, begin = divmod(low, scale)
    last, end = divmod(high, scale)
    if begin:  # within the first whole number
        most = scale - 1 if last > first else end
        yield from (f'"{first}." {part}' for part in _of_one_length(f"{begin:0{places}}", f"{most:0{places}}"))
        first += 1
    if first > last:
        return
    if end == scale - 1:
        last += 1
    else:  # within the last one
        within = " | ".join(_of_one_length("0" * places, f"{end:0{places}}"))
        yield f'"{last}" ("." ({within}))?'
    if first < last:
        yield f'({" | ".join(_between(first, last - 1))}) ("." [0-9]{{1,{places}}})?'


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
