"""Results of pipelines of one's own, as JSON."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import orjson
import pytest
from pydantic import BaseModel

from fastembed.pipeline.payload.json_values import has_json, to_json


class Pair(NamedTuple):
    first: int
    second: int


class Reading(BaseModel):
    degrees: float


@dataclass
class Order:
    number: int


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Pair(1, 2), {"first": 1, "second": 2}),
        (Reading(degrees=1.5), {"degrees": 1.5}),
        ([Reading(degrees=1.5)], [{"degrees": 1.5}]),
        (Order(3), {"number": 3}),
        (Decimal("1.10"), "1.10"),
        (deque([1, 2]), [1, 2]),
        ({3}, [3]),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (np.float32(0.5), 0.5),
        (np.arange(4)[::2], [0, 2]),
        (b"\x00", "AA=="),
        (PurePosixPath("/a"), "/a"),
        (Colour.RED, "red"),
        (date(2026, 11, 30), "2026-11-30"),
        (None, None),
    ],
)
def test_a_result_is_json(value: Any, expected: Any) -> None:
    assert orjson.loads(to_json(value)) == expected
    assert has_json(type(value))


def test_what_json_cannot_hold_is_named() -> None:
    with pytest.raises(TypeError, match="object"):
        to_json(object())
    assert not has_json(object)
