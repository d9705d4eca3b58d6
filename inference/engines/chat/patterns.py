"""A regular expression of a JSON Schema (`pattern`, `format`) as an expression of a grammar, for text within quotes.

Every text of it matches the pattern, not every match is a text of it: repetitions without an end have one, and
characters that JSON escapes stand only where the pattern names them. The syntax is ECMA-262's without what looks around
or back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

MOST_REPEATS: Final = 64
"""Where a pattern names no end of a repetition: small models would go on until their limit."""
_MOST_COUNTED: Final = 256
Ranges = Sequence[tuple[int, int]]
"""Of characters, by their numbers, in order."""
_BARE: Final[Ranges] = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0xD7FF), (0xE000, 0x10FFFF))
"""Characters that stand within JSON's quotes as they are, and that UTF-8 has."""
_CLASSES: Final[Mapping[str, Ranges]] = {
    "d": ((0x30, 0x39),),
    "w": ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)),
    "s": ((0x20, 0x20),),
}
_CONTROLS: Final[Mapping[str, str]] = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_COUNTS: Final = re.compile(r"\{(\d+)(,(\d*))?\}")

_DATE: Final = (
    "([12][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
    "|(19(0[48]|[2468][048]|[13579][26])|20([02468][048]|[13579][26]))-02-29)"
)
_CLOCK: Final = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"
_HOST: Final = r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?){0,4}\.[a-z]{2,12}"
_BYTE: Final = r"(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_URI: Final = rf"https?://{_HOST}(:[1-9]\d{{1,3}})?(/[A-Za-z0-9._~-]{{0,40}}){{0,8}}(\?[A-Za-z0-9._~=&-]{{1,60}})?"
FORMATS: Final[Mapping[str, str]] = {
    "date": f"^{_DATE}$",
    "time": f"^{_CLOCK}$",
    "date-time": f"^{_DATE}T{_CLOCK}$",
    "duration": r"^P(\d{1,3}[YMWD]|(\d{1,3}D)?T(\d{1,3}H(\d{1,2}M)?(\d{1,2}S)?|\d{1,3}M(\d{1,2}S)?|\d{1,3}S))$",
    "email": rf"^[A-Za-z0-9]([A-Za-z0-9_+-]{{0,20}}(\.[A-Za-z0-9_+-]{{1,20}}){{0,2}})?@{_HOST}$",
    "hostname": f"^{_HOST}$",
    "ipv4": rf"^{_BYTE}\.{_BYTE}\.{_BYTE}\.{_BYTE}$",
    "ipv6": "^([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$",
    "uuid": "^[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
    "uri": f"^{_URI}$",
    "uri-reference": f"^{_URI}$",
}
"""By name (JSON Schema Validation, section 7.3): patterns whose every match is of the format. Others are notes."""


class UnreadablePattern(ValueError):
    """The pattern has something that no grammar holds to."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """An expression, and how many characters its texts have."""

    expression: str
    least: int
    most: int


def pattern_text(pattern: str, rule: Callable[[str], str], *, least: int = 0, most: int | None = None) -> str:
    """Return the expression of the texts (without their quotes) that match a pattern and have such lengths.

    rule: makes a rule of an expression and returns its name. UnreadablePattern says what cannot be held to.
    """
    reader = _Reader(pattern, rule, least, most)
    piece = reader.whole()
    if piece.least < least or (most is not None and piece.most > most):
        raise UnreadablePattern("pattern with minLength or maxLength")
    return piece.expression


class _Reader:
    """Reads one pattern from left to right."""

    def __init__(self, pattern: str, rule: Callable[[str], str], least: int, most: int | None) -> None:
        self._text = pattern
        self._rule = rule
        self._least = least
        self._ends = min(MOST_REPEATS, _MOST_COUNTED if most is None else most)
        self._at = 0

    def whole(self) -> _Piece:
        """Return the pattern, with anything before and after it where it has no anchors."""
        branches = [self._branch()]
        while self._take("|"):
            branches.append(self._branch())
        if self._at < len(self._text):
            raise UnreadablePattern(f"pattern with {self._text[self._at :]!r:.20}")
        return _either(branches)

    def _branch(self) -> _Piece:
        begins = self._take("^")
        alone = self._at
        inner = self._sequence()
        ends = self._take("$")
        if begins and ends and inner.least < self._least:
            inner = self._longer(alone, inner)
        around = _Piece(f"{ANY_CHARACTER}{{0,{MOST_REPEATS}}}", 0, MOST_REPEATS)
        return _joined([*([] if begins else [around]), inner, *([] if ends else [around])])

    def _longer(self, begin: int, inner: _Piece) -> _Piece:
        """Return the branch again, if it is one repeated piece, with as many repetitions as the text must have."""
        end, self._at = self._at, begin
        atom = self._atom()
        low, high = self._counts()
        single, self._at = self._at == end - 1, end
        if not single or atom.most != 1 or high < self._least:
            return inner
        return self._repeated(atom, max(low, self._least), high)

    def _sequence(self) -> _Piece:
        pieces: list[_Piece] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)$":
            atom = self._atom()
            low, high = self._counts()
            pieces.append(atom if low == high == 1 else self._repeated(atom, low, high))
        return _joined(pieces)

    def _repeated(self, atom: _Piece, low: int, high: int) -> _Piece:
        if high < low or high > _MOST_COUNTED:
            raise UnreadablePattern(f"pattern that repeats {high} times")
        if high == 0:
            return _Piece('""', 0, 0)
        name = atom.expression if atom.expression.startswith("[") else self._rule(atom.expression)
        return _Piece(f"{name}{{{low},{high}}}", atom.least * low, atom.most * high)

    def _counts(self) -> tuple[int, int]:
        """Read a quantifier: how often at least and at most."""
        counted = _COUNTS.match(self._text, self._at)
        low, high = 1, 1
        if counted:
            self._at = counted.end()
            low = int(counted[1])
            high = low if counted[2] is None else int(counted[3]) if counted[3] else max(low, self._ends)
        elif self._take("*"):
            low, high = 0, self._ends
        elif self._take("+"):
            low, high = 1, max(1, self._ends)
        elif self._take("?"):
            low, high = 0, 1
        else:
            return 1, 1
        self._take("?")  # a lazy one matches the same texts
        return low, high

    def _atom(self) -> _Piece:
        character = self._next()
        match character:
            case "(":
                return self._group()
            case "[":
                return self._class()
            case ".":
                return _Piece(ANY_CHARACTER, 1, 1)
            case "\\":
                return self._escape()
            case "^" | "*" | "+" | "?":
                raise UnreadablePattern(f"pattern with {character!r} within")
        return _literal(character)

    def _group(self) -> _Piece:
        if self._take("?"):
            if self._take("<") and self._text[self._at : self._at + 1] not in ("=", "!"):
                self._at = self._text.index(">", self._at) + 1 if ">" in self._text[self._at :] else len(self._text)
            elif not self._take(":"):
                raise UnreadablePattern("pattern that looks around")
        branches = [self._sequence()]
        while self._take("|"):
            branches.append(self._sequence())
        if not self._take(")"):
            raise UnreadablePattern("pattern with an anchor within, or an open group")
        return _either(branches)

    def _escape(self) -> _Piece:
        letter = self._next()
        if letter in _CLASSES:
            return _Piece(character_class(_CLASSES[letter]), 1, 1)
        if letter.lower() in _CLASSES:
            return _Piece(character_class(_others(_CLASSES[letter.lower()])), 1, 1)
        return _literal(self._escaped(letter))

    def _escaped(self, letter: str) -> str:
        """Return the character that an escape stands for."""
        if letter in "xu":
            digits = self._text[self._at : self._at + (2 if letter == "x" else 4)]
            self._at += len(digits)
            try:
                return chr(int(digits, 16))
            except ValueError:
                raise UnreadablePattern(f"pattern with \\{letter}{digits}") from None
        if letter.isalnum() and letter not in _CONTROLS:
            raise UnreadablePattern(f"pattern with \\{letter}")
        return _CONTROLS.get(letter, letter)

    def _class(self) -> _Piece:
        negated = self._take("^")
        found: list[tuple[int, int]] = []
        while not self._take("]"):
            first = self._member()
            following = self._text[self._at : self._at + 2]
            if len(first) == 1 and following.startswith("-") and following != "-]":
                self._at += 1
                last = self._member()
                if len(last) > 1 or last[0][1] < first[0][0]:
                    raise UnreadablePattern("pattern with an odd range")
                found.append((first[0][0], last[0][1]))
            else:
                found.extend(first)
        if negated:
            return _Piece(character_class(_others(found)), 1, 1)
        quoted = [chr(low) for low, high in found if low == high and not _within(((low, high),), _BARE)]
        bare = _within(found, _BARE)
        parts = [*([character_class(bare)] if bare else []), *(_literal(one).expression for one in quoted)]
        if not parts:
            raise UnreadablePattern("pattern with an empty class")
        return _Piece(parts[0] if len(parts) == 1 else f"({' | '.join(parts)})", 1, 1)

    def _member(self) -> Ranges:
        """Return one character of a class, or the ranges of a class within it."""
        character = self._next()
        if character == "\\":
            letter = self._next()
            if letter.lower() in _CLASSES:
                ranges = _CLASSES[letter.lower()]
                return ranges if letter.islower() else _others(ranges)
            character = "\b" if letter == "b" else self._escaped(letter)
        return ((ord(character), ord(character)),)

    def _next(self) -> str:
        if self._at >= len(self._text):
            raise UnreadablePattern("pattern that does not end")
        self._at += 1
        return self._text[self._at - 1]

    def _take(self, character: str) -> bool:
        found = self._text.startswith(character, self._at)
        self._at += found
        return found


def character_class(ranges: Ranges) -> str:
    """Return the expression of one of these characters."""
    return f"[{''.join(f'{_numbered(low)}-{_numbered(high)}' for low, high in ranges)}]"


def _numbered(character: int) -> str:
    return f"\\u{character:04x}" if character < 1 << 16 else f"\\U{character:08x}"


def _within(ranges: Ranges, bounds: Ranges) -> Ranges:
    """Return what of the ranges lies within others."""
    pairs = ((max(a, c), min(b, d)) for a, b in ranges for c, d in bounds)
    return [(low, high) for low, high in pairs if low <= high]


def _others(ranges: Ranges) -> Ranges:
    """Return the characters that stand within quotes as they are, but these."""
    found: Ranges = _BARE
    for low, high in ranges:
        found = _within(found, ((0, low - 1), (high + 1, 0x10FFFF)))
    return found


ANY_CHARACTER: Final = character_class(_BARE)


def _literal(character: str) -> _Piece:
    text = json.dumps(character, ensure_ascii=False)[1:-1]
    return _Piece('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"', 1, 1)


def _joined(pieces: list[_Piece]) -> _Piece:
    if not pieces:
        return _Piece('""', 0, 0)
    return _Piece(
        " ".join(piece.expression for piece in pieces), sum(p.least for p in pieces), sum(p.most for p in pieces)
    )


def _either(pieces: list[_Piece]) -> _Piece:
    if len(pieces) == 1:
        return _Piece(f"({pieces[0].expression})", pieces[0].least, pieces[0].most)
    least, most = min(piece.least for piece in pieces), max(piece.most for piece in pieces)
    return _Piece(f"({' | '.join(piece.expression for piece in pieces)})", least, most)
