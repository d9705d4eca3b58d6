"""Dates, times and durations as a sheet's format shows them."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, Final

_TOKEN: Final = re.compile(
    r'"([^"]*)"|\\(.)|_.|\*.|\[(h+|m+|s+)\]|\[[^\]]*\]|(AM/PM|A/P)|(y+|m+|d+|h+|s+|e+|b+|g+)|(\.0+)|(.)',
    re.IGNORECASE | re.DOTALL,
)
_LITERAL: Final = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)
_MONTHS: Final = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DAYS: Final = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_EPOCH: Final = dt.datetime(1899, 12, 30)  # noqa: DTZ001 - sheets know no time zones
_NAMED: Final = 3
"""Letters from which a month or a day is a name, not a number."""


def is_moment(section: str) -> bool:
    """Whether a section of a format shows a date, a time or a duration."""
    plain = _LITERAL.sub("", section)
    return bool(re.search(r"[ymdhs]", plain, re.IGNORECASE)) and "general" not in plain.lower()


def moment(value: dt.datetime | dt.date | dt.time | dt.timedelta, section: str) -> str:
    """Return a date, time or duration in a format; as ISO 8601 has it where the format is none of dates."""
    when, seconds = _parts(value)
    if not section:
        return _iso(value)
    matches = list(_TOKEN.finditer(section))
    twelve = any(match[4] for match in matches)
    text = ""
    for place, match in enumerate(matches):
        quoted, escaped, elapsed, half, letters, fraction, plain = match.groups()
        if letters:
            text += _field(letters.lower(), when, minutes=_are_minutes(matches, place), twelve=twelve)
        elif elapsed:
            amount = int(seconds // {"h": 3600, "m": 60, "s": 1}[elapsed[0].lower()])
            text += str(amount).rjust(len(elapsed), "0")
        elif half:
            text += ("AM", "PM")[when.hour >= 12] if len(half) > _NAMED else "AP"[when.hour >= 12]  # noqa: PLR2004 - noon
        elif fraction:
            text += f".{when.microsecond:06d}"[: len(fraction)]
        else:
            text += quoted or escaped or plain or ""
    return text.strip()


def _parts(value: Any) -> tuple[dt.datetime, float]:
    """Return a value as a date and time, and as seconds since the sheets' day zero."""
    if isinstance(value, dt.timedelta):
        return _EPOCH + value, value.total_seconds()
    if isinstance(value, dt.time):
        value = dt.datetime.combine(_EPOCH, value)
    elif not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time())
    return value, (value.replace(tzinfo=None) - _EPOCH).total_seconds()


def _iso(value: Any) -> str:
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(sep=" ", timespec="seconds")
    return str(value)


def _are_minutes(matches: list[re.Match[str]], place: int) -> bool:
    """Whether the letters at a place are minutes where they are `m`: they follow hours, or seconds follow them."""
    fields = [(other, (match[5] or match[3] or "")[:1].lower()) for other, match in enumerate(matches)]
    before = [letter for other, letter in fields if letter and other < place]
    after = [letter for other, letter in fields if letter and other > place]
    return before[-1:] == ["h"] or after[:1] == ["s"]


def _field(letters: str, when: dt.datetime, *, minutes: bool, twelve: bool) -> str:
    kind, count = letters[0], len(letters)
    if kind == "m" and not minutes:
        return _name(_MONTHS[when.month - 1], when.month, count)
    if kind == "d":
        return _name(_DAYS[when.weekday()], when.day, count)
    if kind in "ye":
        return f"{when.year:04d}" if count >= _NAMED or kind == "e" else f"{when.year % 100:02d}"
    hour = (when.hour + 11) % 12 + 1 if twelve else when.hour
    amount = {"h": hour, "m": when.minute, "s": when.second}.get(kind, 0)
    return str(amount).rjust(min(count, 2), "0") if kind in "hms" else ""


def _name(name: str, number: int, count: int) -> str:
    if count < _NAMED:
        return str(number).rjust(count, "0")
    return {3: name[:3], 5: name[:1]}.get(count, name)
