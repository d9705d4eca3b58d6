"""The wire of POST /v1/embeddings (OpenAI API 2.3.0): JSON to `EmbeddingRequest`, `Embeddings` to JSON.

Checked by hand rather than with pydantic, whose models cost more than the whole request (measured: 2048 strings take
30 us here), and because every message names the field and what was found in it.

Extensions: `batch_size`, `normalize` and `precision`. Returned values are float32; with `float16` they are rounded to
half precision; with `int8` each vector is scaled so that its largest value is 127 in size, and its entry carries
`scale`: value = int * scale. `encoding_format` "base64" is little-endian float32 whatever the precision, because
that is what every OpenAI client decodes; "packed" is base64 of the precision's own type, the smallest answer.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, Literal, cast

import numpy as np
import orjson
from numpy.typing import NDArray

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.embedding import EmbeddingInput, EmbeddingRequest, Embeddings

Encoding = Literal["float", "base64", "packed"]
Precision = Literal["float32", "float16", "int8"]

MAX_INPUTS: Final = 2048
MAX_DIMENSIONS: Final = 65_536
_LARGEST_HALF: Final = 65_504.0
_ENCODINGS: Final = ("float", "base64", "packed")
_PRECISIONS: Final = ("float32", "float16", "int8")


@dataclass(frozen=True, slots=True)
class Form:
    """How the caller wants its vectors."""

    encoding: Encoding = "float"
    precision: Precision = "float32"


def decode(body: object) -> tuple[EmbeddingRequest, Form]:
    """Check a request's JSON. InvalidInput names the field, what was found and what was expected."""
    if not isinstance(body, dict):
        raise InvalidInput(f"found {_kind(body)}, expected a JSON object")
    request = EmbeddingRequest(
        inputs=_inputs(body),
        model=_text(body, "model", required=True) or "auto",
        dimensions=_whole(body, "dimensions", MAX_DIMENSIONS),
        normalize=_flag(body, "normalize", default=True),
        batch_size=_whole(body, "batch_size", MAX_INPUTS),
    )
    _text(body, "user")
    form = Form(
        encoding=cast("Encoding", _choice(body, "encoding_format", _ENCODINGS)),
        precision=cast("Precision", _choice(body, "precision", _PRECISIONS)),
    )
    return request, form


def encode(embeddings: Embeddings, form: Form) -> bytes:
    """Return the response's JSON. FloatingPointError if a vector is not finite: JSON has no word for that."""
    vectors: NDArray[Any] = np.ascontiguousarray(embeddings.vectors, dtype=np.float32)
    flat = vectors.reshape(-1)
    if not isfinite(np.vdot(flat, flat)) and not np.isfinite(vectors).all():  # the first is the cheap one
        raise FloatingPointError(f"{embeddings.model} gave a vector that is not finite")
    scales: list[float] | None = None
    if form.precision == "float16":
        vectors = vectors.clip(-_LARGEST_HALF, _LARGEST_HALF).astype(np.float16)
    elif form.precision == "int8":
        vectors, scales = _quantized(vectors)
    entries = _entries(vectors, form.encoding)
    data: list[dict[str, Any]] = [
        {"object": "embedding", "index": index, "embedding": entry} for index, entry in enumerate(entries)
    ]
    if scales is not None:
        for entry, scale in zip(data, scales, strict=True):
            entry["scale"] = scale
    tokens = int(sum(embeddings.token_counts))
    return orjson.dumps(
        {
            "object": "list",
            "data": data,
            "model": embeddings.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


def _entries(vectors: NDArray[Any], encoding: Encoding) -> Sequence[object]:
    if encoding == "float":
        return list(vectors)
    if encoding == "base64":
        vectors = vectors.astype("<f4", copy=False)
    else:
        vectors = vectors.astype(vectors.dtype.newbyteorder("<"), copy=False)
    return [b64encode(vector.data).decode("ascii") for vector in vectors]


def _quantized(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int8], list[float]]:
    """Scale each vector to -127..127 by its largest value; a vector of zeros keeps scale 0."""
    peaks = np.abs(vectors).max(axis=1, initial=0.0)
    scales = peaks / np.float32(127)
    divisors = np.where(scales > 0, scales, np.float32(1))[:, None]
    return np.rint(vectors / divisors).astype(np.int8), scales.tolist()


def _inputs(body: dict[str, Any]) -> Sequence[EmbeddingInput]:
    found = body.get("input")
    if found is None:
        raise InvalidInput("found no input, expected a string, a list of strings or token ids", param="input")
    if isinstance(found, str):
        if not found:
            raise InvalidInput("found an empty string, expected text", param="input")
        return [found]
    if not isinstance(found, list):
        raise InvalidInput(f"found {_kind(found)}, expected a string, a list of strings or token ids", param="input")
    if not found:
        raise InvalidInput("found an empty list, expected at least one entry", param="input")
    if type(found[0]) is int:
        return [_tokens(found, "input")]
    if len(found) > MAX_INPUTS:
        raise InvalidInput(f"found {len(found)} entries, expected at most {MAX_INPUTS}", param="input")
    if isinstance(found[0], list):
        return [_tokens(entry, f"input[{index}]") for index, entry in enumerate(found)]
    _check_texts(found)
    return cast("list[str]", found)


def _check_texts(found: list[Any]) -> None:
    if set(map(type, found)) == {str} and "" not in found:
        return
    for index, entry in enumerate(found):
        if not isinstance(entry, str):
            raise InvalidInput(f"found {_kind(entry)} at input[{index}], expected a string", param="input")
        if not entry:
            raise InvalidInput(f"found an empty string at input[{index}], expected text", param="input")


def _tokens(found: object, place: str) -> list[int]:
    if not isinstance(found, list):
        raise InvalidInput(f"found {_kind(found)} at {place}, expected a list of token ids", param="input")
    if not found:
        raise InvalidInput(f"found an empty list at {place}, expected token ids", param="input")
    if set(map(type, found)) != {int}:
        index, entry = next((i, e) for i, e in enumerate(found) if type(e) is not int)
        raise InvalidInput(f"found {_kind(entry)} at {place}[{index}], expected a token id", param="input")
    if min(found) < 0:
        raise InvalidInput(f"found the token id {min(found)} at {place}, expected 0 or more", param="input")
    return found


def _text(body: dict[str, Any], name: str, *, required: bool = False) -> str | None:
    found = body.get(name)
    if found is None:
        if required:
            raise InvalidInput(f"found no {name}, expected a name; `auto` lets the server choose", param=name)
        return None
    if not isinstance(found, str) or (required and not found):
        raise InvalidInput(f"found {_kind(found)}, expected a string for {name}", param=name)
    return found


def _whole(body: dict[str, Any], name: str, largest: int) -> int | None:
    found = body.get(name)
    if found is None:
        return None
    if type(found) is not int or not 1 <= found <= largest:
        shown = found if type(found) in (int, float) else _kind(found)
        raise InvalidInput(f"found {shown}, expected a whole number from 1 to {largest} for {name}", param=name)
    return found


def _flag(body: dict[str, Any], name: str, *, default: bool) -> bool:
    found = body.get(name)
    if found is None:
        return default
    if not isinstance(found, bool):
        raise InvalidInput(f"found {_kind(found)}, expected true or false for {name}", param=name)
    return found


def _choice(body: dict[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    """Return the caller's choice; the first one allowed is the default."""
    found = body.get(name)
    if found is None:
        return allowed[0]
    if found not in allowed:
        shown = repr(found)[:80] if isinstance(found, str) else _kind(found)
        raise InvalidInput(f"found {shown}, expected one of {', '.join(allowed)} for {name}", param=name)
    return cast("str", found)


def _kind(found: object) -> str:
    """Name a JSON value's type, as its author would."""
    names = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    if found == "":
        return "an empty string"
    return names.get(type(found), "an object")
