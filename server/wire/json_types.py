"""Checking that a JSON value has the type that an operator takes; errors name JSON's types."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, is_typeddict

from fastembed.pipeline.errors import InvalidInput

_WORDS: Final[dict[type, str]] = {
    type(None): "null",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}


def check_kind(value: object, takes: Any) -> None:
    """Raise InvalidInput where `value`, read from JSON, is none of the kinds that the annotation `takes` names.

    Only the outermost kind is looked at. A class of ours is none of JSON's kinds; where the annotation names nothing
    else, or something wider (`Any`, `Mapping`, a type variable), anything goes: the operator knows best.
    """
    members = list(_members(takes))
    kinds = [member for member in members if member in _WORDS]
    if not kinds or any(_is_wide(member) for member in members):
        return
    if type(value) in kinds or (type(value) is int and float in kinds):
        return
    expected = " or ".join(_WORDS[kind] for kind in dict.fromkeys(kinds))
    raise InvalidInput(f"found {_WORDS.get(type(value), type(value).__name__)}, expected {expected}")


def _is_wide(member: Any) -> bool:
    return not isinstance(member, type) or member is object or member.__module__ == "collections.abc"


def _members(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    elif origin is Literal:
        yield from {type(choice) for choice in get_args(annotation)}
    elif is_typeddict(annotation):
        yield dict
    else:
        yield origin or annotation
