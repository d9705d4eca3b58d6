"""JSON answers of the server's own endpoints, and their query parameters."""

from __future__ import annotations

import orjson
from starlette.requests import Request
from starlette.responses import Response

from fastembed.pipeline.errors import InvalidInput


def json_answer(value: object, status: int = 200) -> Response:
    """Return `value` as JSON; dataclasses and numpy values included."""
    body = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    return Response(body, status_code=status, media_type="application/json")


def listing(rows: object, **more: object) -> Response:
    """Return rows as OpenAI's lists are: an object with `data`."""
    return json_answer({"object": "list", "data": rows, **more})


def whole_parameter(request: Request, name: str, *, default: int, most: int) -> int:
    """Return a query parameter from 1 to `most`."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:12]) <= most:
        raise InvalidInput(f"found {text[:40]!r}, expected a whole number from 1 to {most} for {name}", param=name)
    return int(text)
