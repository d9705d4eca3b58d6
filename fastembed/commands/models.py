"""`fastembed models`."""

from __future__ import annotations

from pathlib import Path

import typer

from fastembed.assembly import make_resources, read_configuration
from inference.catalog import Models
from server.endpoints.models import describe


def list_models(config: Path | None, *, as_json: bool) -> int:
    """Print the declared models and the built-in ones."""
    cards = make_resources(read_configuration(config)).get(Models).cards()
    if as_json:
        import orjson

        typer.echo(orjson.dumps([describe(card) for card in cards], option=orjson.OPT_INDENT_2))
        return 0
    for card in cards:
        where = str(card.folder) if card.folder else f"missing; get it with: fastembed pull {card.name}"
        typer.echo(f"{card.name:<28} {card.task or '?':<14} {where}")
    return 0
