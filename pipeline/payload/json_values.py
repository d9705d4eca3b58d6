"""Encodes the values that flow through pipelines as JSON."""

from __future__ import annotations

import inspect
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from datetime import date, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

import numpy as np
import orjson
from pydantic import BaseModel


def to_json(value: object) -> bytes:
    """Return a result as JSON: dataclasses, pydantic models, numpy arrays, mappings, lists; bytes as base64.

    TypeError for the rest.
    """
    return orjson.dumps(value, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def has_json(kind: type) -> bool:
    """Whether `to_json` can encode the values of a class."""
    return is_dataclass(kind) or inspect.isabstract(kind) or issubclass(kind, _JSON)


_JSON: Final = (
    *(str, int, float, type(None), Mapping, list, tuple, set, frozenset, deque),
    *(bytes, bytearray, memoryview, PurePath, np.ndarray, np.generic, BaseModel, Decimal),
    *(date, time, UUID, Enum),
)


def _plain(value: object) -> object:
    for kind, form in _FORMS.items():
        if isinstance(value, kind):
            return form(value)
    raise TypeError(f"found a result of {type(value).__name__}, expected what JSON can hold")


_FORMS: Final[Mapping[Any, Callable[[Any], object]]] = {
    (bytes, bytearray, memoryview): lambda value: b64encode(value).decode("ascii"),
    (PurePath, Decimal): str,
    (set, frozenset, deque): list,
    tuple: lambda value: value._asdict() if hasattr(value, "_asdict") else list(value),
    Mapping: dict,
    BaseModel: lambda value: value.model_dump(),
    (np.ndarray, np.generic): lambda value: value.tolist(),  # not contiguous, or a type that orjson does not know
}
"""Classes that orjson does not know, or not all of, and what it knows in their place."""
