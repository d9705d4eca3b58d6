"""Ollama's `/api/embed` and `/api/embeddings`, from the pipeline that embeds."""

from __future__ import annotations

from time import perf_counter_ns
from typing import Any, Final

import numpy as np
import orjson

from fastembed.pipeline.payload.embedding import EmbeddingRequest
from fastembed.server.endpoints.ollama.request import model_name
from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.fields import Fields, refuse
from fastembed.server.wire.headers import model_headers
from fastembed.server.wire.operation import Operation
from fastembed.server.wire.schema import an_object, flag, listed, one_of, string, whole

EMBEDDINGS_PATH: Final = "/v1/embeddings"
MAX_INPUTS: Final = 2048
_MAX_DIMENSIONS: Final = 65_536
_SHARED: Final = {
    "model": string("a name from /api/tags, or auto"),
    "options": an_object(about="without effect"),
    "keep_alive": one_of(string(), {"type": "number"}, about="without effect"),
}

EMBED: Final = Operation(
    "POST",
    "/api/embed",
    "Embed texts, as Ollama does",
    body=an_object(
        {
            **_SHARED,
            "input": one_of(string(), listed(string(), most=MAX_INPUTS)),
            "truncate": flag("cut texts that are too long, at their ends", default=True),
            "dimensions": whole(1, _MAX_DIMENSIONS),
        },
        required=("model", "input"),
    ),
    through=EMBEDDINGS_PATH,
)
EMBEDDINGS: Final = Operation(
    "POST",
    "/api/embeddings",
    "Embed a text, as older clients of Ollama ask for it",
    body=an_object({**_SHARED, "prompt": string()}, required=("model", "prompt")),
    through=EMBEDDINGS_PATH,
)


async def answer_embed(exchange: Exchange) -> None:
    """POST /api/embed."""
    fields = await exchange.fields()
    fields.known(EMBED.fields)
    texts = _texts(fields)
    vectors, more = await _embedded(exchange, fields, texts) if texts else ([], {})
    await _respond(exchange, {"model": model_name(fields), "embeddings": vectors, **more}, model_name(fields))


async def answer_embeddings(exchange: Exchange) -> None:
    """POST /api/embeddings."""
    fields = await exchange.fields()
    fields.known(EMBEDDINGS.fields)
    vectors, _ = await _embedded(exchange, fields, [fields.needed("prompt", "a text")])
    await _respond(exchange, {"embedding": vectors[0]}, model_name(fields))


async def _embedded(exchange: Exchange, fields: Fields, texts: list[str]) -> tuple[Any, dict[str, int]]:
    """Return the vectors, and the counters of the answer."""
    began_ns = perf_counter_ns()
    request = EmbeddingRequest(
        texts,
        model_name(fields),
        dimensions=fields.whole("dimensions", 1, _MAX_DIMENSIONS),
        most_tokens=0 if fields.flag("truncate", default=True) else None,
    )
    with exchange.watched():
        async with exchange.submitted(request, whole=True) as (results,):
            found = await results.one()
    counters = {"total_duration": perf_counter_ns() - began_ns, "load_duration": 0}
    vectors = np.ascontiguousarray(found.vectors, dtype=np.float32)
    return vectors, {**counters, "prompt_eval_count": int(sum(found.token_counts))}


async def _respond(exchange: Exchange, body: dict[str, Any], model: str) -> None:
    await exchange.respond(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), headers=model_headers(model))


def _texts(fields: Fields) -> list[str]:
    found = fields.raw("input")
    if isinstance(found, str):
        return [found] if found else []
    if found == []:
        return []
    entries = fields.entries("input", "a text or a list of texts", most=MAX_INPUTS)
    for place, entry in entries:
        if type(entry) is not str or not entry:
            refuse("found no text, expected one", place, "invalid_type")
    return [entry for _, entry in entries]
