"""POST /v1/embeddings (OpenAI API 2.3.0): JSON to `EmbeddingRequest`, `Embeddings` to JSON.

Checked by hand rather than with pydantic, whose models cost more than the whole request (measured: 2048 strings take
30 us here), and because every message names the field and what was found in it.

Extensions: `batch_size`, `normalize`, `precision`, and `input_type` (`query`, `document` or `passage`), which puts
before each text what the model was trained with. Returned values are float32; with `float16` they are rounded to
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

from fastembed.pipeline.payload.embedding import EmbeddingInput, EmbeddingRequest, Embeddings
from fastembed.server.wire.chat.sampling import MAX_TOKENS, MODEL, read_model
from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.fields import Fields, kind, refuse
from fastembed.server.wire.headers import model_headers
from fastembed.server.wire.operation import Operation, PipelineEndpoint
from fastembed.server.wire.schema import an_object, choice, flag, listed, one_of, string, whole

Encoding = Literal["float", "base64", "packed"]
Precision = Literal["float32", "float16", "int8"]

MAX_INPUTS: Final = 2048
MAX_DIMENSIONS: Final = 65_536
_EXPECTED: Final = "a string, a list of strings or token ids"
_LARGEST_HALF: Final = 65_504.0
_ENCODINGS: Final = ("float", "base64", "packed")
_PURPOSES: Final[dict[str, Literal["query", "document"] | None]] = {
    "query": "query",
    "search_query": "query",
    "document": "document",
    "passage": "document",
    "search_document": "document",
    "classification": None,
    "clustering": None,
}
"""What clients of several services call it; the last two want texts as they are."""
_PRECISIONS: Final = ("float32", "float16", "int8")
_TRUNCATIONS: Final = ("NONE", "END")
"""Cohere's words; Hugging Face's and Ollama's servers take a boolean, vLLM a number of tokens."""

OPERATION: Final = Operation(
    "POST",
    "/v1/embeddings",
    "Embed texts",
    body=an_object(
        {
            "input": one_of(
                string(),
                listed(string(), most=MAX_INPUTS),
                listed({"type": "integer", "minimum": 0}, "token ids"),
                listed(listed({"type": "integer", "minimum": 0}), most=MAX_INPUTS),
            ),
            "model": MODEL,
            "dimensions": whole(1, MAX_DIMENSIONS, "keep the first values, at length 1"),
            "encoding_format": choice(*_ENCODINGS),
            "precision": choice(*_PRECISIONS),
            "normalize": flag("to length 1", default=True),
            "batch_size": whole(1, MAX_INPUTS, "at most so many inputs in one model call"),
            "input_type": choice(*_PURPOSES),
            "token_ids": flag("the input's token ids are this model's own"),
            "truncate": one_of(flag(), choice(*_TRUNCATIONS), about="cut inputs that are too long, at their ends"),
            "truncate_prompt_tokens": whole(-1, MAX_TOKENS, "cut longer inputs; -1: at the model's window"),
            "user": string("checked, without effect"),
        },
        required=("input", "model"),
    ),
)


@dataclass(frozen=True, slots=True)
class VectorFormat:
    """The encoding and precision of the returned vectors."""

    encoding: Encoding = "float"
    precision: Precision = "float32"


async def answer_embeddings(exchange: Exchange) -> None:
    """POST /v1/embeddings."""
    request, form = decode(await exchange.fields())
    with exchange.watched():
        async with exchange.submitted(request, whole=True) as (results,):
            vectors = await results.one()
    await exchange.respond(encode(vectors, form), headers=model_headers(vectors.model))


def decode(fields: Fields) -> tuple[EmbeddingRequest, VectorFormat]:
    """Check a request's JSON. InvalidInput names the field, what was found and what was expected."""
    fields.known(OPERATION.fields)
    request = EmbeddingRequest(
        inputs=_inputs(fields),
        model=read_model(fields),
        dimensions=fields.whole("dimensions", 1, MAX_DIMENSIONS),
        normalize=fields.flag("normalize", default=True),
        batch_size=fields.whole("batch_size", 1, MAX_INPUTS),
        purpose=_PURPOSES[said] if (said := fields.choice("input_type", tuple(_PURPOSES))) else None,
        most_tokens=_most_tokens(fields),
        own_ids=fields.flag("token_ids"),
    )
    fields.text("user")
    form = VectorFormat(
        encoding=cast("Encoding", fields.choice("encoding_format", _ENCODINGS) or "float"),
        precision=cast("Precision", fields.choice("precision", _PRECISIONS) or "float32"),
    )
    return request, form


def _most_tokens(fields: Fields) -> int | None:
    """Return where longer inputs are cut, as `EmbeddingRequest` has it, by the fields of several services."""
    most = fields.whole("truncate_prompt_tokens", -1, MAX_TOKENS)
    if most == 0:
        fields.refuse("truncate_prompt_tokens", "-1, or at least 1")
    if most is not None:
        return max(0, most)
    found = fields.raw("truncate")
    if isinstance(found, str):
        if found.upper() not in _TRUNCATIONS:
            fields.refuse("truncate", "true, false, NONE or END: the beginning of a text is kept")
        return 0 if found.upper() == "END" else None
    return 0 if fields.flag("truncate") else None


def encode(embeddings: Embeddings, form: VectorFormat) -> bytes:
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


def _inputs(fields: Fields) -> Sequence[EmbeddingInput]:
    found = fields.raw("input")
    if isinstance(found, str):
        return [found] if found else fields.refuse("input", "text")
    if not isinstance(found, list):
        fields.refuse("input", _EXPECTED, "invalid_type")
    if not found:
        refuse("found an empty list, expected at least one entry", "input", "empty_array")
    if type(found[0]) is int:
        return [_tokens(found, "input")]
    if len(found) > MAX_INPUTS:
        refuse(f"found {len(found)} entries, expected at most {MAX_INPUTS}", "input", "array_above_max_length")
    if isinstance(found[0], list):
        return [_tokens(entry, f"input[{index}]") for index, entry in enumerate(found)]
    _check_texts(found)
    return found


def _check_texts(found: list[Any]) -> None:
    if set(map(type, found)) == {str} and "" not in found:  # the whole list at once, in C: it may have 2048 entries
        return
    for index, entry in enumerate(found):
        if not isinstance(entry, str):
            refuse(f"found {kind(entry)} at input[{index}], expected a string", "input", "invalid_type")
        if not entry:
            refuse(f"found an empty string at input[{index}], expected text", "input", "invalid_value")


def _tokens(found: object, place: str) -> list[int]:
    if not isinstance(found, list):
        refuse(f"found {kind(found)} at {place}, expected a list of token ids", "input", "invalid_type")
    if not found:
        refuse(f"found an empty list at {place}, expected token ids", "input", "empty_array")
    if set(map(type, found)) != {int}:
        index, entry = next((i, e) for i, e in enumerate(found) if type(e) is not int)
        refuse(f"found {kind(entry)} at {place}[{index}], expected a token id", "input", "invalid_type")
    if min(found) < 0:
        refuse(f"found the token id {min(found)} at {place}, expected 0 or more", "input", "invalid_value")
    return found


ENDPOINT: Final = PipelineEndpoint(OPERATION, answer_embeddings, EmbeddingRequest, Embeddings)
