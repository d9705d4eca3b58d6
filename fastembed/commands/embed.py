"""`fastembed embed`: vectors of texts, from the running server."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson
import typer

from fastembed.commands.server import asked_server
from fastembed.pipeline.errors import ConfigError

_AT_ONCE: Final = 256
"""Lines of one request."""


def embed(
    text: str,
    model: str,
    options: Mapping[str, Any],
    *,
    as_json: bool,
    config: Path | None,
    url: str,
    api_key: str | None,
) -> int:
    """Print a JSON array a text, with `as_json` an object with its text and model. `-`: each line of standard input."""
    texts = (line.rstrip("\r\n") for line in sys.stdin) if text == "-" else iter([text])
    wanted = (one for one in texts if one.strip())
    fields = {name: value for name, value in options.items() if value is not None}
    count = 0
    with asked_server(url, api_key, config) as client:
        for batch in _batches(wanted):
            answer = client.embeddings.create(model=model, input=batch, encoding_format="float", extra_body=fields)
            for one, row in zip(batch, answer.data, strict=True):
                shown = {"text": one, "model": answer.model, "embedding": row.embedding} if as_json else row.embedding
                typer.echo(orjson.dumps(shown))
            count += len(batch)
    if not count:
        raise ConfigError(["found no text, expected one, or lines on standard input after -"])
    return 0


def _batches(texts: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(texts, _AT_ONCE)):
        yield batch
