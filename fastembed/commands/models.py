"""`fastembed models` and `fastembed pull`."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

import typer

from fastembed.assembly import make_resources, read_configuration
from inference.catalog import Models
from inference.folders import models_home
from pipeline.errors import FastEmbedError
from server.endpoints.models import describe

_HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")


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


def pull(name: str, config: Path | None) -> int:
    """Download a model's files: `name` is one of `models:`, or a hub id (`organisation/name`)."""
    models = make_resources(read_configuration(config)).get(Models)
    placed = next((model for model in models.placed() if name in (model.name, *model.spec.aliases)), None)
    if placed is not None and placed.folder is not None:
        typer.echo(f"{placed.name} is here: {placed.folder}")
        return 0
    origin = name if placed is None else placed.spec.origin
    if not _HUB_ID.fullmatch(origin):
        known = ", ".join(model.name for model in models.placed())
        raise FastEmbedError(
            f"found {origin!r}, expected the hub id of a model (organisation/name) or one of `models:`: {known}"
        )
    folder = models_home() / origin
    download(origin, folder)
    typer.echo(f"{name} is here: {folder}")
    return 0


def download(hub_id: str, folder: Path) -> None:
    """Fetch a model's files into `folder`, which is there only when it is complete; an aborted download goes on."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    partial = folder.with_name(f".{folder.name}.partial")
    try:
        snapshot_download(hub_id, local_dir=partial)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise FastEmbedError(f"cannot get {hub_id} from the hub: {reason}") from error
    shutil.rmtree(partial / ".cache", ignore_errors=True)
    if folder.exists():  # somebody else's download was faster
        shutil.rmtree(partial)
        return
    partial.replace(folder)
