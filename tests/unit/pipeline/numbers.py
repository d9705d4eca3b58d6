"""Operators on numbers, for tests of what runs them."""

from __future__ import annotations

from collections.abc import Iterator

from fastembed.pipeline.component import operator
from fastembed.pipeline.errors import InvalidInput


@operator
def double(value: int) -> int:
    return value * 2


@operator
def only_even(value: int) -> int | None:
    return value if value % 2 == 0 else None


@operator
def refuse_three(value: int) -> int:
    if value == 3:
        raise InvalidInput("found 3, expected anything else")
    return value


@operator
def crash_on_three(value: int) -> int:
    return value // (value != 3)


@operator
def repeat(value: int) -> Iterator[int]:
    yield from [value] * value
