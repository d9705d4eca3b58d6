"""`fastembed batch`: a file of requests in, files of answers and errors out."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson
import typer

from fastembed.commands.server import asked_server
from fastembed.pipeline.errors import FastEmbedError

if TYPE_CHECKING:
    from openai.types import Batch

    from fastembed.client import SyncFastEmbedClient

_LOOK_S: Final = 0.5
_ENDED: Final = frozenset({"completed", "failed", "expired", "cancelled"})


@dataclass(frozen=True, slots=True)
class BatchFiles:
    """The requests, and where their answers and errors go; None: beside the requests."""

    requests: Path
    output: Path | None = None
    errors: Path | None = None

    def place(self, kind: str) -> Path:
        """Return where the answers (`output`) or errors (`errors`) go."""
        named = self.output if kind == "output" else self.errors
        return named or self.requests.with_suffix(f".{kind}.jsonl")


def batch(
    files: BatchFiles, window: str, *, wait: bool, as_json: bool, config: Path | None, url: str, api_key: str | None
) -> int:
    """Begin a batch; wait for it and write its files down. 1: some lines were not answered well."""
    endpoint = endpoint_of(files.requests)
    with asked_server(url, api_key, config) as client:
        with files.requests.open("rb") as file:
            sent = client.files.create(file=file, purpose="batch")
        found = client.batches.create(input_file_id=sent.id, endpoint=endpoint, completion_window=window)  # type: ignore[arg-type] # this server takes other times and endpoints, too
        if wait:
            found = _ended(client, found)
            _write(client, files, found)
    if as_json:
        typer.echo(orjson.dumps(found.model_dump()).decode())
    else:
        _tell(files, found, wait=wait)
    counts = found.request_counts
    return int(wait and (found.status != "completed" or counts is None or counts.failed > 0))


def endpoint_of(path: Path) -> str:
    """Return what the file's first line asks. FastEmbedError: it asks nothing."""
    try:
        with path.open("rb") as file:
            first = next((line for line in file if line.strip()), b"")
    except OSError as error:
        raise FastEmbedError(f"{path}: {error.strerror}") from error
    try:
        url = orjson.loads(first)["url"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        url = None
    if not isinstance(url, str):
        expected = 'such as {"custom_id": "1", "method": "POST", "url": "/v1/embeddings", "body": {...}}'
        raise FastEmbedError(f"{path}: found {first[:60].decode(errors='replace')!r}, expected lines {expected}")
    return url


def _ended(client: SyncFastEmbedClient, found: Batch) -> Batch:
    """Wait for the end of a batch; on a terminal, show how far it is."""
    try:
        while found.status not in _ENDED:
            counts = found.request_counts
            if counts is not None and sys.stderr.isatty():
                done = counts.completed + counts.failed
                typer.echo(f"\r{found.status} {done}/{counts.total} ", err=True, nl=False)
            time.sleep(_LOOK_S)
            found = client.batches.retrieve(found.id)
    except KeyboardInterrupt:
        typer.echo(f"\n{found.id} goes on at the server", err=True)
        raise
    if sys.stderr.isatty():
        typer.echo("", err=True)
    return found


def _write(client: SyncFastEmbedClient, files: BatchFiles, found: Batch) -> None:
    for kind, id_ in (("output", found.output_file_id), ("errors", found.error_file_id)):
        if id_ is not None:
            client.files.content(id_).write_to_file(files.place(kind))


def _tell(files: BatchFiles, found: Batch, *, wait: bool) -> None:
    for problem in (found.errors.data or []) if found.errors else ():
        place = f"{files.requests}:{problem.line}: " if problem.line else ""
        typer.echo(f"{place}{problem.message}", err=True)
    if not wait:
        typer.echo(found.id)
        return
    counts = found.request_counts
    if counts is not None and counts.total:
        typer.echo(f"{found.status}: {counts.completed} of {counts.total} answered, {counts.failed} not", err=True)
    for kind, id_ in (("output", found.output_file_id), ("errors", found.error_file_id)):
        if id_ is not None:
            typer.echo(str(files.place(kind)))
