"""Writes out what grapheme-to-phoneme rules misread in English: money, dates, units, abbreviations."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Final

_MONEY: Final[Mapping[str, tuple[str, str, str]]] = {
    "$": ("dollar", "dollars", "cent"),
    "€": ("euro", "euros", "cent"),
    "£": ("pound", "pounds", "penny"),
    "¥": ("yen", "yen", ""),
}
_UNITS: Final[Mapping[str, tuple[str, str]]] = {
    "km/h": ("kilometer per hour", "kilometers per hour"),
    "mph": ("mile per hour", "miles per hour"),
    "m/s": ("meter per second", "meters per second"),
    "km": ("kilometer", "kilometers"),
    "cm": ("centimeter", "centimeters"),
    "mm": ("millimeter", "millimeters"),
    "kg": ("kilogram", "kilograms"),
    "mg": ("milligram", "milligrams"),
    "ms": ("millisecond", "milliseconds"),
    "kHz": ("kilohertz", "kilohertz"),
    "MHz": ("megahertz", "megahertz"),
    "GHz": ("gigahertz", "gigahertz"),
    "kW": ("kilowatt", "kilowatts"),
    "kWh": ("kilowatt hour", "kilowatt hours"),
    "KB": ("kilobyte", "kilobytes"),
    "MB": ("megabyte", "megabytes"),
    "GB": ("gigabyte", "gigabytes"),
    "TB": ("terabyte", "terabytes"),
    "°C": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "°": ("degree", "degrees"),
    "%": ("percent", "percent"),
}
_WORDS: Final[Mapping[str, str]] = {
    "e.g.": "for example",
    "i.e.": "that is",
    "etc.": "et cetera",
    "vs.": "versus",
    "approx.": "approximately",
    "Dr.": "Doctor",
    "Mr.": "Mister",
    "Mrs.": "Missus",
    "Prof.": "Professor",
    "Jr.": "Junior",
    "Sr.": "Senior",
    "Ave.": "Avenue",
    "Blvd.": "Boulevard",
    "&": "and",
    "№": "number",
}
_NUMBER: Final = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_SCALES: Final = r"thousand|million|billion|trillion"
_PRICE: Final = re.compile(rf"(-?)([$€£¥])\s?({_NUMBER})(?:\s?({_SCALES}|k|K|M|bn)\b)?")
_SHORT_SCALES: Final = {"k": "thousand", "K": "thousand", "M": "million", "bn": "billion"}
_MEASURE: Final = re.compile(
    rf"(?<![\w.])(-?)({_NUMBER})\s?({'|'.join(sorted(map(re.escape, _UNITS), key=len, reverse=True))})(?![\w/])"
)
_ISO_DATE: Final = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_SLASHED_DATE: Final = re.compile(r"(?<![\d/])(\d{1,2})/(\d{1,2})/(\d{4})(?![\d/])")
_RANGE: Final = re.compile(r"(?<=\d)\s?[–—]\s?(?=\d)")
_NUMBERED: Final = re.compile(r"\b(No|Nos)\.\s?(?=\d)")
_ROAD: Final = re.compile(r"(?<=[a-z])\sSt\.(?=\s|$|,)")
_SAINT: Final = re.compile(r"\bSt\.\s(?=[A-Z])")
_MINUS: Final = re.compile(r"(?<![\w.,)])[-−](?=\d)")
_ABBREVIATED: Final = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, _WORDS))})(?!\w)")


def in_words(text: str, language: str = "en-us") -> str:
    """Return English text with money, dates, units and abbreviations in words. en-gb: days stand before months."""
    text = _ISO_DATE.sub(lambda found: _date(found[0], found[1], found[2], found[3]), text)
    text = _SLASHED_DATE.sub(_slashed(british=language == "en-gb"), text)
    text = _PRICE.sub(_price, text)
    text = _MEASURE.sub(_measure, text)
    text = _MINUS.sub("minus ", _RANGE.sub(" to ", text))
    text = _NUMBERED.sub("number ", text)
    text = _SAINT.sub("Saint ", _ROAD.sub(" Street", text))
    return _ABBREVIATED.sub(lambda found: _WORDS[found[0]], text)


def _date(found: str, year: str, month: str, day: str) -> str:
    try:
        when = date(int(year), int(month), int(day))
    except ValueError:
        return found
    return f"{when:%B} {when.day}, {when.year}"


def _slashed(*, british: bool) -> Callable[[re.Match[str]], str]:
    def say(found: re.Match[str]) -> str:
        first, second, year = found.groups()
        day, month = (first, second) if british or int(first) > 12 else (second, first)  # noqa: PLR2004 - months
        return _date(found[0], year, month, day)

    return say


def _price(found: re.Match[str]) -> str:
    sign, symbol, number, scale = found.groups()
    one, many, part = _MONEY[symbol]
    minus = "minus " if sign else ""
    if scale:
        return f"{minus}{number} {_SHORT_SCALES.get(scale, scale)} {many}"
    whole, _, cents = number.partition(".")
    unit = one if whole == "1" else many
    if not part or len(cents) != 2:  # noqa: PLR2004 - hundredths; $3.5 and $1.234 are numbers
        return f"{minus}{number} {unit}"
    if cents == "00":
        return f"{minus}{whole} {unit}"
    hundredths = f"{int(cents)} {_plural(part, int(cents))}"
    return f"{minus}{hundredths}" if whole == "0" else f"{minus}{whole} {unit} and {hundredths}"


def _plural(word: str, count: int) -> str:
    if count == 1:
        return word
    return "pence" if word == "penny" else f"{word}s"


def _measure(found: re.Match[str]) -> str:
    sign, number, unit = found.groups()
    one, many = _UNITS[unit]
    return f"{'minus ' if sign else ''}{number} {one if number == '1' else many}"
