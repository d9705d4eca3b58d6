"""A cell's value as its sheet shows it: number formats of spreadsheets (ECMA-376, part 1, 18.8.30 and 18.8.31).

Dates in formats that follow the reader's country (14 and 22) are written as ISO 8601 has them; names are English.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

from fastembed.documents.sheets.moments import is_moment, moment

_TOKEN: Final = re.compile(r'"([^"]*)"|\\(.)|_.|\*.|\[([^\]]*)\]|(E[+-]0+)|(.)', re.DOTALL | re.IGNORECASE)
_CONDITION: Final = re.compile(r"\[(<=|>=|<>|<|>|=)(-?[\d.]+)\]")
_CURRENCY: Final = re.compile(r"\$([^-]*)(?:-.*)?")
_BY_COUNTRY: Final = {"mm-dd-yy": "yyyy-mm-dd", "m/d/yy h:mm": "yyyy-mm-dd h:mm", "m/d/yyyy": "yyyy-mm-dd"}
_TESTS: Final = {
    "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
    "=": lambda a, b: a == b, "<>": lambda a, b: a != b,
}  # fmt: skip
_MOST_DIGITS: Final = 15


def shown(value: Any, code: str) -> str:
    """Return a cell's value as its format shows it. value: as openpyxl reads it. code: the cell's number format."""
    if isinstance(value, str):
        return _text(value, code)
    code = _BY_COUNTRY.get(code, code)
    if isinstance(value, (dt.datetime, dt.date, dt.time, dt.timedelta)):
        section = _sections(code)[0]
        return moment(value, section if is_moment(section) else "")
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return _amount(value, code)
    return "" if value is None else str(value).upper()


def _amount(value: float, code: str) -> str:
    section, rest = _chosen(_sections(code), value)
    if section.strip().lower() in ("general", "@") or is_moment(section):
        return _general(value)
    try:
        return _number(section, Decimal(repr(rest)))
    except (InvalidOperation, OverflowError, ValueError):
        return _general(value)


def _text(value: str, code: str) -> str:
    """Return a text; a format of texts may put words around it."""
    section = next((part for part in _sections(code) if "@" in part), "@")
    return "".join(value if mark == "@" else literal for literal, mark in _tokens(section))


@lru_cache(maxsize=512)
def _sections(code: str) -> tuple[str, ...]:
    parts: list[str] = [""]
    for match in re.finditer(r'"[^"]*"|\\.|\[[^\]]*\]|;|.', code, re.DOTALL):
        if match[0] == ";":
            parts.append("")
        else:
            parts[-1] += match[0]
    return tuple(parts)


def _chosen(sections: tuple[str, ...], value: float) -> tuple[str, float]:
    """Return the section that shows a value, and the value without the sign that the section shows itself."""
    conditions = [(section, _CONDITION.search(section)) for section in sections]
    if any(match for _, match in conditions):
        for section, match in conditions:
            if match is None or _TESTS[match[1]](value, float(match[2])):
                return section, value
    if len(sections) == 1 or value > 0 or "@" in sections[1]:
        return sections[0], value
    if value < 0:
        return sections[1], -value
    return (sections[2] if len(sections) > 2 and "@" not in sections[2] else sections[0]), value  # noqa: PLR2004 - the third


def _general(value: float) -> str:
    text = f"{value:.{_MOST_DIGITS}g}" if isinstance(value, float) else str(value)
    mantissa, _, exponent = text.partition("e")
    return f"{mantissa}E{int(exponent):+03d}" if exponent else text


@lru_cache(maxsize=512)
def _tokens(section: str) -> tuple[tuple[str, str], ...]:
    """Return a section as literals and marks: (text, "") or ("", one of `0 # ? . , % / E+00 @`)."""
    found: list[tuple[str, str]] = []
    for match in _TOKEN.finditer(section):
        quoted, escaped, bracket, power, plain = match.groups()
        if bracket is not None:
            currency = _CURRENCY.fullmatch(bracket)
            found.append((currency[1] if currency else "", ""))
        elif power:
            found.append(("", power.upper()))
        elif plain is not None and plain in "0#?.,%/@":
            found.append(("", plain))
        else:
            blank = " " if match[0].startswith("_") else ""
            found.append((quoted or escaped or (plain if plain is not None else blank), ""))
    return tuple(found)


def _number(section: str, value: Decimal) -> str:
    tokens = list(_tokens(section))
    marks = [mark for _, mark in tokens]
    if not any(mark and mark in "0#?" for mark in marks):
        text = "".join(literal or ("%" if mark == "%" else "") for literal, mark in tokens)
        return ("-" if value < 0 else "") + text.strip() if text or not section else ""
    value *= Decimal(100) ** marks.count("%")
    first, last = _span(marks)
    body = tokens[first : last + 1]
    tail = tokens[last + 1 :]
    while tail and tail[0] == ("", ","):  # each comma behind the digits: a thousand times less
        value /= 1000
        tail = tail[1:]
    digits = _fraction(body, value) if any(mark == "/" for _, mark in body) else _digits(body, value)
    head = "".join(literal or mark.replace(",", "") for literal, mark in tokens[:first])
    rest = "".join(literal or mark.replace(",", "") for literal, mark in tail)
    negative = value < 0 and any(letter in "123456789" for letter in digits)
    return f"{'-' if negative else ''}{head}{digits}{rest}".strip()


def _span(marks: list[str]) -> tuple[int, int]:
    """Return where the digits of a section start and end."""
    places = [place for place, mark in enumerate(marks) if mark and (mark in "0#?./" or mark.startswith("E"))]
    return places[0], places[-1]


def _digits(body: list[tuple[str, str]], value: Decimal) -> str:
    power = next((mark for _, mark in body if mark.startswith("E")), "")
    if power:
        return _scientific(body, power, value)
    point = next((place for place, (_, mark) in enumerate(body) if mark == "."), len(body))
    whole, part = body[:point], body[point + 1 :]
    places = [mark for _, mark in part if mark and mark in "0#?"]
    rounded = abs(value).quantize(Decimal(1).scaleb(-len(places)), rounding=ROUND_HALF_UP)
    before, _, after = f"{rounded:f}".partition(".")
    for mark in reversed(places):  # optional digits that are zero
        if mark == "0" or not after.endswith("0"):
            break
        after = after[:-1]
    literals = "".join(literal for literal, mark in part if not mark)
    return _whole(whole, before) + ("." if after or "0" in places else "") + after + literals


def _whole(body: list[tuple[str, str]], digits: str) -> str:
    """Return the digits before the point, in their places: literals between them stay where they are."""
    marks = [mark for _, mark in body if mark and mark in "0#?"]
    zeros = len(marks) - marks.index("0") if "0" in marks else 0
    digits = ("" if digits.strip("0") == "" else digits).rjust(zeros, "0")
    if any(mark == "," for _, mark in body):
        return re.sub(r"(?<=\d)(?=(?:\d{3})+$)", ",", digits)
    result = ""
    for place in range(len(body) - 1, -1, -1):
        literal, mark = body[place]
        if not mark:
            result = literal + result
        elif digits:
            result, digits = digits[-1] + result, digits[:-1]
    return digits + result


def _scientific(body: list[tuple[str, str]], power: str, value: Decimal) -> str:
    place = next(place for place, (_, mark) in enumerate(body) if mark == power)
    exponent = value.adjusted() if value else 0
    mantissa = _digits(body[:place], value.scaleb(-exponent))
    sign = "-" if exponent < 0 else "+" if "+" in power else ""
    return f"{mantissa}E{sign}{str(abs(exponent)).rjust(len(power) - 2, '0')}"


def _fraction(body: list[tuple[str, str]], value: Decimal) -> str:
    """Return a number as a whole and a fraction of at most so many digits: `# ?/?`."""
    slash = next(place for place, (_, mark) in enumerate(body) if mark == "/")
    below = "".join(literal or mark for literal, mark in body[slash + 1 :])
    most = int(below) if below.isdigit() and int(below) else 10 ** max(1, len(below.strip())) - 1
    parts = Fraction(abs(value))
    exact = Fraction(round(parts * most), most) if below.isdigit() and int(below) else parts.limit_denominator(most)
    whole, rest = divmod(exact, 1)
    if not rest:
        return str(whole)
    fraction = f"{rest.numerator}/{rest.denominator}"
    return f"{whole} {fraction}" if whole else fraction
