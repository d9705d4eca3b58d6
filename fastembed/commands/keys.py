"""`fastembed keys`: issue, list, remove and rotate API keys."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import typer

from fastembed.inference.library.folders import kept_home
from fastembed.pipeline.errors import FastEmbedError
from fastembed.pipeline.units import parse_duration
from fastembed.server.keys.key_file import add_key, read_keys, remove_key, rotate_key
from fastembed.server.keys.record import SCOPES, IssuedKey
from fastembed.server.keys.usage import UsageLog

FILE_NAME: Final = "keys.json"


def key_file(named: Path | None) -> Path:
    """Return the key file: the one that was named, else the one that `fastembed serve` reads by default."""
    return named or kept_home() / FILE_NAME


def add(
    file: Path | None,
    name: str,
    scopes: tuple[str, ...],
    *,
    rpm: int | None,
    tokens: int | None,
    expires: str | None,
    as_json: bool,
) -> int:
    """Issue a key and print its secret."""
    path = key_file(file)
    first = read_keys(path) is None
    key, secret = add_key(
        path,
        name,
        scopes=scopes or tuple(scope for scope in SCOPES if scope != "admin"),
        expires_in_s=_seconds(expires),
        requests_per_minute=rpm,
        tokens_per_day=tokens,
    )
    _print_secret(key, secret, as_json=as_json)
    if first:
        typer.echo(f"This is the first key: the server asks every client for one from now on ({path}).", err=True)
    return 0


def list_keys(file: Path | None, *, as_json: bool) -> int:
    """Print the keys, without their secrets."""
    path = key_file(file)
    keys = read_keys(path)
    usage = {row.key: row for row in UsageLog(kept_home() / "key-usage.sqlite").rows(days=1)}
    rows = [_row(key, usage.get(key.id)) for key in keys or ()]
    if as_json:
        typer.echo(json.dumps(rows))
        return 0
    for row in rows:
        limits = [f"{row['requests_per_minute']} requests a minute"] if row["requests_per_minute"] else []
        limits += [f"{row['tokens_per_day']:,} tokens a day"] if row["tokens_per_day"] else []
        limits += [f"until {_day(row['expires_at'])}"] if row["expires_at"] else []
        used = f"today {row['requests_today']} requests, {row['tokens_today']:,} tokens"
        typer.echo("  ".join((f"{row['name']} (...{row['hint']})", ",".join(row["scopes"]), *limits, used)))
    if not rows:
        closed = f"{path} has no keys: nobody may use the server; without the file, no key is asked for"
        typer.echo("no keys: the server asks for none" if keys is None else closed, err=True)
    return 0


def remove(file: Path | None, name: str) -> int:
    """Remove a key."""
    path = key_file(file)
    key = remove_key(path, name)
    typer.echo(f"removed {key.name}")
    if not read_keys(path):
        typer.echo(f"No key is left: nobody may use the server. Delete {path} to ask for no key.", err=True)
    return 0


def rotate(file: Path | None, name: str, *, as_json: bool) -> int:
    """Give a key another secret and print it."""
    _print_secret(*rotate_key(key_file(file), name), as_json=as_json)
    return 0


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise FastEmbedError(f"--expires: {error}") from None


def _print_secret(key: IssuedKey, secret: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"id": key.id, "name": key.name, "scopes": key.scopes, "key": secret}))
        return
    typer.echo(secret)
    typer.echo(f"The key of {key.name} ({', '.join(key.scopes)}). It is not shown again.", err=True)


def _row(key: IssuedKey, used: Any) -> dict[str, Any]:
    row = asdict(key)
    del row["digest"]
    row["requests_today"] = used.requests if used else 0
    row["tokens_today"] = used.input_tokens + used.output_tokens if used else 0
    return row


def _day(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
