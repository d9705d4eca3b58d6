"""Scalars with units, as the YAML has them: `4ms`, `2s`, `10m`, `64MiB`. Annotate options with these types."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, WithJsonSchema

_SECONDS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES: Final = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_QUANTITY: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")


def parse_duration(value: object) -> float:
    """Return seconds of `500ms`, `2s`, `10m`, `1h`, `1d`; 0 needs no unit. ValueError says what was found."""
    return _quantity(value, _SECONDS, "a duration such as 4ms, 2s or 10m")


def parse_size(value: object) -> int:
    """Return bytes of `64MiB`, `12GiB`, `500kB`. ValueError says what was found."""
    return int(_quantity(value, _BYTES, "a size such as 500kB or 64MiB"))


def _quantity(value: object, units: dict[str, float] | dict[str, int], expected: str) -> float:
    if value == 0 and not isinstance(value, bool):
        return 0.0
    if isinstance(value, str) and (match := _QUANTITY.fullmatch(value)) and match[2] in units:
        return float(match[1]) * units[match[2]]
    msg = f"found {value!r}, expected {expected}"
    raise ValueError(msg)


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": r"^\d+(\.\d+)?(us|ms|s|m|min|h|d)$"}, {"const": 0}]}),
]
"""Seconds."""

Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": r"^\d+(\.\d+)?(B|[kK]B|MB|GB|[KMG]iB)$"}, {"const": 0}]}),
]
"""Bytes."""
