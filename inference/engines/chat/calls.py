"""Finds the tool calls in a model's answer, piece by piece.

    TEXT --begin mark--> LIST --{--> CALL --its }--> LIST --end mark--> TEXT
      a style without marks: an answer that starts with a brace is in LIST from the start

Within CALL, `CallReader` follows the JSON character by character: it tells the name as soon as it is complete, then the
arguments as raw JSON text while they are written. What turns out to be no call (broken JSON, an object without a name)
comes back as text, unchanged: nothing that a model wrote is lost.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from fastembed.inference.engines.chat.calling import CallStyle
from fastembed.inference.engines.chat.stops import held_back


@dataclass(frozen=True, slots=True)
class CallBegun:
    """Call number `index` of this answer, from 0, is of the tool `name`."""

    index: int
    name: str


@dataclass(frozen=True, slots=True)
class CallArguments:
    """The next piece of a call's arguments, JSON text."""

    index: int
    text: str


Found = str | CallBegun | CallArguments
_BETWEEN: Final = " \t\r\n,;[]"
_CALL_KEYS: Final = ("name", "parameters", "arguments", "type", "function")
_KEY_BEGINS: Final = "|".join(rf'{key}"|{key[:size]}$' for key in _CALL_KEYS for size in range(len(key) + 1))
_CALL_BEGINS: Final = re.compile(rf'\{{\s*(?:$|"(?:{_KEY_BEGINS}))')
"""How an object begins that may be a call, where no mark tells: its first key, or as much of it as there is."""


class CallParser:
    """Pieces of an answer in, text and calls out. `count` says how many calls have begun."""

    def __init__(self, style: CallStyle, *, forced: bool = False) -> None:
        """Start before the answer. forced: a grammar makes the answer begin with a call, without control tokens."""
        self._begin = "" if forced and style.special else style.begin
        self._end = style.end
        self._forced = forced
        self._state = "text" if self._begin else "start"
        self._held = ""  # text that may become a mark
        self._raw = ""  # what belongs to no call yet, and would be text if none came
        self._reader: CallReader | None = None
        self._said = False
        self.count = 0

    def feed(self, text: str) -> list[Found]:
        """Return what the piece adds."""
        found: list[Found] = []
        text, self._held = self._held + text, ""
        while text:
            text = self._step(text, found)
        return _joined(found)

    def close(self, *, cut: bool = False) -> list[Found]:
        """Return what was held back: the answer ended. cut: at its limit, or by a stop string.

        What a cut leaves of a call or of a mark is no text: no client can parse it, and clients show it to people. An
        answer that the model itself ended there is shown as it is: nothing that a model wrote is lost.
        """
        rest = "" if cut and self._within_call() else self._pending()
        self._held = self._raw = ""
        self._reader = None
        return [rest] if rest else []

    def _pending(self) -> str:
        """Return the text that would be shown if nothing more came."""
        if self._reader:
            return "" if self._reader.begun else self._raw + self._reader.raw + self._held
        rest = self._raw + self._held
        return rest if rest.strip() or not self.count else ""  # line breaks after the last call say nothing

    def _within_call(self) -> bool:
        """Whether what is held back is the beginning of a call, or of a mark."""
        if self._forced:
            return True
        if self._reader:
            return bool(self._begin) or self.count > 0 or bool(_CALL_BEGINS.match(self._reader.raw))
        marked = bool(self._begin) and self._raw.startswith(self._begin)
        if marked or self._state not in ("text", "list"):
            return marked
        # A bracket behind text is more likely one of its own ("a < b") than the beginning of a mark.
        return len(self._held) > (self._said and not self.count)

    def _step(self, text: str, found: list[Found]) -> str:
        """Take what belongs to the current state; return the rest."""
        match self._state:
            case "start":
                return self._start(text)
            case "text":
                return self._text(text, found)
            case "list":
                return self._list(text, found)
            case "call":
                return self._call(text, found)
            case _:
                found.append(text)  # plain: no call can follow
                return ""

    def _start(self, text: str) -> str:
        """Tell whether the answer is a call of a style without marks."""
        body = text.lstrip()
        if not body:
            self._held = text
            return ""
        self._state = "list" if body[0] in "{[" else "plain"
        if self._state == "list":
            self._raw = text[: len(text) - len(body)]
        return body if self._state == "list" else text

    def _text(self, text: str, found: list[Found]) -> str:
        before, mark, rest = text.partition(self._begin)
        if mark:
            if before.strip() or not self.count:
                found.append(before)
            self._state, self._raw = "list", mark
            return rest
        keep = held_back(text, self._begin)
        shown = text[: len(text) - keep]
        self._said = self._said or bool(shown.strip())
        if self.count and not shown.strip():  # line breaks between calls
            shown = ""
        self._held = text[len(shown) :]
        found.append(shown)
        return ""

    def _list(self, text: str, found: list[Found]) -> str:
        """Between calls: find the next one, or the end."""
        body = text.lstrip(_BETWEEN)
        between = text[: len(text) - len(body)]
        if self._raw or not (self._begin or self.count):  # a list that turns out to hold no call is text
            self._raw += between
        if not body:
            return ""
        if body[0] == "{":
            self._state, self._reader = "call", CallReader()
            return body
        if self._end and body.startswith(self._end):
            rest = body[len(self._end) :]
            self._leave("text" if self._begin else "plain", found, self._end)
            return rest
        if self._end and self._end.startswith(body):
            self._held = body
            return ""
        self._leave("text" if self._begin else "plain", found, "")
        if self._begin and not self._end:
            return self._plain_once(body, found)
        return body

    def _leave(self, state: str, found: list[Found], end: str) -> None:
        """Go on with text; marks without any call between them were text themselves."""
        if self._raw:
            found.append(self._raw + end)
        self._state, self._raw = state, ""

    def _plain_once(self, text: str, found: list[Found]) -> str:
        """Pass one character on, so that a mark is never read twice."""
        found.append(text[0])
        return text[1:]

    def _call(self, text: str, found: list[Found]) -> str:
        reader = self._reader
        if reader is None:  # pragma: no cover - the state says that there is one
            raise AssertionError
        had_begun = reader.begun
        used = reader.feed(text)
        if reader.begun and not had_begun:
            found.append(CallBegun(self.count, reader.name))
            self.count += 1
            self._raw = ""
        if reader.begun and (arguments := reader.take()):
            found.append(CallArguments(self.count - 1, arguments))
        if reader.done or reader.broken:
            if not reader.begun:
                found.append(self._raw + reader.raw)
                self._raw = ""
            self._state, self._reader = "list", None
            if reader.broken:
                self._state = "text" if self._begin else "plain"
        return text[used:]


_SPACE: Final = " \t\r\n"


class CallReader:
    """Follows one JSON object that names a tool and holds its arguments, in any order of keys.

    begun: `name` is known. done: the object is complete. broken: it is no call; `raw` is what was read.
    """

    def __init__(self) -> None:
        """Expect the opening brace next."""
        self.raw = ""
        self.name = ""
        self.begun = self.done = self.broken = False
        self._expects = "{"
        self._depth = 0
        self._in_string = self._escaped = False
        self._key = ""
        self._value = ""
        self._arguments = ""
        self._given = False  # arguments were seen
        self._quoted = False  # they are a string that holds JSON

    def feed(self, text: str) -> int:
        """Read up to the end of the object; return how many characters belong to it."""
        for place, char in enumerate(text):
            self._read(char)
            self.raw += char
            if self.broken:
                return place + 1
            if self.done:
                self._conclude()
                return place + 1
        return len(text)

    def take(self) -> str:
        """Return the arguments' text that came since the last call."""
        if self._quoted and not self.done:
            return ""
        taken, self._arguments = self._arguments, ""
        return taken

    def _read(self, char: str) -> None:
        if self._expects == "value":
            self._read_value(char)
        elif self._in_string:
            self._read_key(char)
        elif char not in _SPACE:
            self._punctuate(char)

    def _punctuate(self, char: str) -> None:
        """Take the brace, quote, colon or comma that the grammar wants here."""
        match self._expects, char:
            case "{", "{":
                self._expects, self._depth = "key", 1
            case "key", '"':
                self._in_string, self._key = True, ""
            case ":", ":":
                self._expects, self._value = "value", ""
            case ",", ",":
                self._expects = "key"
            case (("," | "key"), "}"):
                self.done = True
                self.broken = not self.name
            case _:
                self.broken = True

    def _read_key(self, char: str) -> None:
        if char == '"' and not self._escaped:
            self._in_string, self._expects = False, ":"
        else:
            self._escaped = char == "\\" and not self._escaped
            self._key += char

    def _read_value(self, char: str) -> None:
        """Follow one value of the outer object to its end."""
        if self._in_string:
            self._note(char)
            self._in_string = char != '"' or self._escaped
            self._escaped = char == "\\" and not self._escaped
            if not self._in_string and self._depth == 1:
                self._end_value()
        elif self._depth == 1 and char in ",}":
            self._end_value()
            self._punctuate(char)
        elif char in _SPACE and (self._depth == 1):
            pass  # around a value: no part of it
        else:
            self._note(char)
            self._in_string = char == '"'
            self._depth += (char in "{[") - (char in "}]")
            if self._depth == 1 and char in "}]":
                self._end_value()

    def _note(self, char: str) -> None:
        if self._key in ("arguments", "parameters"):
            self._quoted = self._quoted or (not self._given and char == '"')
            self._given = True
            self._arguments += char
        else:
            self._value += char

    def _end_value(self) -> None:
        self._expects = ","
        if self._key == "name":
            try:
                name = json.loads(self._value)
            except json.JSONDecodeError:
                name = None
            self.broken = not isinstance(name, str) or not name
            self.name = name if isinstance(name, str) else ""
            self.begun = not self.broken

    def _conclude(self) -> None:
        """Make sure that the arguments are a JSON object's text."""
        if self._quoted:
            with suppress(json.JSONDecodeError):  # no JSON string after all: the caller sees what the model wrote
                self._arguments = str(json.loads(self._arguments))
        elif not self._given:
            self._arguments = "{}"


def _joined(found: list[Found]) -> list[Found]:
    """Join neighbouring texts; drop empty ones."""
    joined: list[Found] = []
    for one in found:
        if isinstance(one, str) and joined and isinstance(joined[-1], str):
            joined[-1] += one
        elif one != "":
            joined.append(one)
    return joined
