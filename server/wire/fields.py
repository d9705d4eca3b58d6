"""Reading the fields of a JSON object; errors name the field's place and have OpenAI's codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, NoReturn, TypeVar

from starlette.types import Receive, Scope

from fastembed.pipeline.errors import InvalidInput
from fastembed.server.http.request_body import read_json
from fastembed.server.wire.unknown_fields import MAX_IGNORED, UnknownFields

T = TypeVar("T")

_UNKNOWN: Final = "unknown_parameter"

_KINDS: Final[Mapping[type, str]] = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


class Fields:
    """One JSON object of a request. place: where it stands, such as `messages[0].content[1]`; "" is the body.

    unknown: what happens to fields that the endpoint does not have. A field that is null counts as absent. Every method
    raises InvalidInput that names the field.
    """

    __slots__ = ("_found", "_unknown", "place")

    def __init__(self, found: object, place: str = "", *, unknown: UnknownFields | None = None) -> None:
        if type(found) is not dict:
            refuse(f"found {kind(found)}, expected an object", place, "invalid_type")
        self._found: dict[str, Any] = found
        self._unknown = UnknownFields() if unknown is None else unknown
        self.place = place

    def inner(self, found: object, place: str) -> Fields:
        """Return the fields of an object within this one: an entry of a list, a value that was read by hand."""
        return Fields(found, place, unknown=self._unknown)

    def with_default(self, name: str, value: object) -> Fields:
        """Return the fields, with a value for one that is not there."""
        return self if self.has(name) else self.inner({**self._found, name: value}, self.place)

    def at(self, name: str) -> str:
        """Return the place of a field."""
        return f"{self.place}.{name}" if self.place else name

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._found.get(name) is not None

    def given(self, name: str) -> bool:
        """Whether the field is there, be it null: where null turns off what is on."""
        return name in self._found

    def raw(self, name: str) -> Any:
        """Return the field as it is, or None."""
        return self._found.get(name)

    def refuse(self, name: str, expected: str, code: str = "invalid_value") -> NoReturn:
        """Raise InvalidInput: what was found in the field, and what was expected."""
        found = self._found.get(name)
        if found is None:
            refuse(f"found no {name}, expected {expected}", self.at(name), "missing_required_parameter")
        refuse(f"found {shown(found)}, expected {expected}", self.at(name), code)

    def known(self, names: AbstractSet[str]) -> None:
        """Refuse a field that is a typo of one of these; ignore or refuse others that are none of them."""
        if self._found.keys() <= names:
            return
        for name in self._found:
            if name in names:
                continue
            meant = self._unknown.meant(name, self._found, names)
            if meant is None:
                if not self._unknown.ignore(self.at(name)):
                    refuse(
                        f"found more than {MAX_IGNORED} unknown fields, expected fewer", self.at(name[:80]), _UNKNOWN
                    )
                continue
            hint = f"; did you mean {meant}?" if meant else ""
            refuse(f"found the unknown field {name!r:.80}{hint}", self.at(name[:80]), _UNKNOWN)

    def unsupported(self, name: str, expected: str) -> None:
        """Ignore and report a value that this server has nothing for, or refuse it, as for unknown fields."""
        if self._unknown.reject or not self._unknown.ignore(f"{self.at(name)} {shown(self._found.get(name))}"):
            self.refuse(name, expected, "unsupported_value")

    def text(self, name: str, *, most: int | None = None) -> str | None:
        """Return a string."""
        found = self._found.get(name)
        if found is not None and type(found) is not str:
            self.refuse(name, "a string", "invalid_type")
        if found is not None and most is not None and len(found) > most:
            refuse(f"found {len(found)} characters, expected at most {most}", self.at(name), "string_above_max_length")
        return found

    def needed(self, name: str, expected: str) -> str:
        """Return a string that must be there and not empty."""
        found = self._found.get(name)
        if type(found) is not str or not found:
            self.refuse(name, expected, "invalid_value" if found == "" else "invalid_type")
        return found

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a boolean."""
        found = self._found.get(name)
        if found is None:
            return default
        if type(found) is not bool:
            self.refuse(name, "true or false", "invalid_type")
        return found

    def whole(self, name: str, least: int, most: int) -> int | None:
        """Return a whole number from `least` to `most`."""
        found = self._found.get(name)
        if found is None:
            return None
        if type(found) is float and found.is_integer():  # 4.0: JSON knows one kind of number
            found = int(found)
        if type(found) is not int:
            self.refuse(name, f"a whole number from {least} to {most}", "invalid_type")
        _within(found, least, most, self.at(name), "integer")
        return found

    def number(self, name: str, least: float, most: float, *, default: float) -> float:
        """Return a number from `least` to `most`."""
        found = self._found.get(name)
        if found is None:
            return default
        if type(found) not in (int, float):
            self.refuse(name, f"a number from {least:g} to {most:g}", "invalid_type")
        _within(found, least, most, self.at(name), "decimal")
        return float(found)

    def choice(self, name: str, allowed: tuple[str, ...]) -> str | None:
        """Return one of the allowed strings."""
        found = self._found.get(name)
        if found is not None and (type(found) is not str or found not in allowed):
            self.refuse(name, f"one of {', '.join(allowed)}")
        return found

    def object(self, name: str) -> Fields | None:
        """Return a nested object."""
        found = self._found.get(name)
        return None if found is None else self.inner(found, self.at(name))

    def required(self, name: str, expected: str = "an object") -> Fields:
        """Return a nested object that must be there."""
        if self._found.get(name) is None:
            self.refuse(name, expected)
        return self.inner(self._found[name], self.at(name))

    def mapping(self, name: str) -> dict[str, Any] | None:
        """Return a nested object as it is."""
        found = self._found.get(name)
        if found is not None and type(found) is not dict:
            self.refuse(name, "an object", "invalid_type")
        return found

    def entries(self, name: str, expected: str, *, most: int) -> list[tuple[str, Any]]:
        """Return (place, entry) of a list that must be there, with 1 to `most` entries."""
        found = self._found.get(name)
        if type(found) is not list:
            self.refuse(name, expected, "invalid_type")
        place = self.at(name)
        if not found:
            refuse(f"found an empty list, expected {expected}", place, "empty_array")
        if len(found) > most:
            refuse(f"found {len(found)} entries, expected at most {most}", place, "array_above_max_length")
        return [(f"{place}[{index}]", entry) for index, entry in enumerate(found)]

    def each(self, name: str, expected: str, read: Callable[[Fields], T], *, most: int) -> list[T]:
        """Return what `read` makes of every object of a list."""
        return [read(self.inner(entry, place)) for place, entry in self.entries(name, expected, most=most)]


async def read_fields(scope: Scope, receive: Receive, *, max_bytes: int) -> Fields:
    """Read the body as a JSON object; raises what `read_json` does."""
    return Fields(await read_json(scope, receive, max_bytes=max_bytes), unknown=UnknownFields.of(scope))


def refuse(message: str, param: str, code: str | None = None) -> NoReturn:
    """Raise InvalidInput; the place is part of the message too, for clients that show nothing else."""
    where = f"{param}: " if param else ""
    raise InvalidInput(f"{where}{message}", param=param or None, code=code)


def kind(found: object) -> str:
    """Name a JSON value's type, as its author would."""
    return _KINDS.get(type(found), "an object")


def shown(found: object) -> str:
    """Show a JSON value: numbers and booleans as they are, short strings quoted, else its type."""
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, (int, float)):
        return _number(found)
    if isinstance(found, str):
        return f"{found!r:.80}" if found else "an empty string"
    return kind(found)


def _number(found: float) -> str:
    """Write a number; a whole one with all its digits."""
    return str(found) if isinstance(found, int) else f"{found:g}"


def _within(found: float, least: float, most: float, place: str, word: str) -> None:
    if found > most:
        refuse(f"found {_number(found)}, expected at most {_number(most)}", place, f"{word}_above_max_value")
    if not found >= least:
        refuse(f"found {_number(found)}, expected at least {_number(least)}", place, f"{word}_below_min_value")
