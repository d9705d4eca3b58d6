from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict

import pytest

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.document import Chunk
from fastembed.server.wire.json_types import check_kind


class Order(TypedDict):
    """What is ordered."""

    pieces: int


@pytest.mark.parametrize(
    ("value", "takes"),
    [
        ("a", str),
        (1, float),
        ({"pieces": 1}, Order),
        ({}, dict[str, int]),
        ([1], list[int] | None),
        (None, list[int] | None),
        ("a", Literal["a", "b"]),
        ("a", Annotated[str, "a word"]),
        ("a", Chunk | str),
        (3, Any),
        (3, object),
        (3, Chunk),  # nothing of JSON is a chunk: who made the pipeline meant something else
        ([], Mapping[str, int] | str),  # more than a kind of JSON: let the operator see
    ],
)
def test_a_value_of_a_kind_that_is_taken_passes(value: object, takes: Any) -> None:
    check_kind(value, takes)


@pytest.mark.parametrize(
    ("value", "takes", "message"),
    [
        ({"a": 1}, str, "found an object, expected text"),
        (3, str, "found a whole number, expected text"),
        ("3", int, "found text, expected a whole number"),
        (1.5, int, "found a number, expected a whole number"),
        (True, int | float, "found true or false, expected a whole number or a number"),
        (None, dict[str, int], "found null, expected an object"),
        ([], Chunk | str, "found a list, expected text"),
    ],
)
def test_a_value_of_another_kind_is_refused(value: object, takes: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_kind(value, takes)
    assert refused.value.message == message
