"""`fastembed process`: one document, read by the running server."""

from __future__ import annotations

from pathlib import Path

import orjson
import typer

from fastembed.commands.server import asked_server
from fastembed.pipeline.errors import FastEmbedError


def process(
    file: str,
    model: str | None,
    output_format: str,
    *,
    as_json: bool,
    config: Path | None,
    url: str,
    api_key: str | None,
) -> int:
    """Print a document's content; with `as_json` the whole answer, tables included."""
    if not file.startswith(("http://", "https://")) and not Path(file).expanduser().is_file():
        raise FastEmbedError(f"found no file {file}, expected a document or a URL")
    with asked_server(url, api_key, config) as client:
        found = client.documents.process(file, model=model, output_format=output_format)
    for warning in found.warnings or ():
        typer.echo(f"fastembed: {warning}", err=True)
    if as_json:
        typer.echo(orjson.dumps(found.to_dict(), option=orjson.OPT_INDENT_2))
    elif isinstance(found.content, str):
        typer.echo(found.content, nl=not found.content.endswith("\n"))
    else:
        typer.echo(orjson.dumps(found.content, option=orjson.OPT_INDENT_2))
    return 0
