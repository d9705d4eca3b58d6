"""Read JSON."""

from __future__ import annotations

import orjson

from fastembed.pipeline.component import operator
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.plain import PlainValue


@operator
def json(text: str | bytes) -> PlainValue | None:
    """Read a text as JSON (RFC 8259).

    In: str or bytes, UTF-8. Out: what the text holds: a mapping, a list, text, a number, a truth value; null gives
    nothing.

    Raises:
        InvalidInput: no JSON; the message says where.

    """
    try:
        value: PlainValue | None = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"found {text[:60]!r}, expected JSON: {error}") from None
    return value
