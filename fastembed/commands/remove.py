"""`fastembed rm`: a model's files off the disk."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from fastembed.assembly import make_resources, read_configuration
from fastembed.inference.library.catalog import Catalog
from fastembed.inference.library.folders import BUILT_IN, locate, models_home
from fastembed.inference.library.hub.checks import amount
from fastembed.inference.library.hub.gathering import partial_of
from fastembed.inference.library.hub.model_store import check_ours, delete, size_of, stored_models
from fastembed.inference.library.hub.reference import read_reference, split_name
from fastembed.inference.serving.models import Models
from fastembed.pipeline.errors import FastEmbedError


def remove(name: str, config: Path | None, *, yes: bool) -> int:
    """Delete what was pulled or exported under a name; ask before, unless `yes`."""
    folders = folders_of(name, make_resources(read_configuration(config)).get(Models).catalog)
    for folder in folders:
        check_ours(folder)
    sizes = {folder: sum(size_of(path) for path in (folder, partial_of(folder)) if path.is_dir()) for folder in folders}
    for folder, size in sizes.items():
        typer.echo(f"{folder} ({amount(size)})")
    if not yes and not _agreed(len(folders)):
        typer.echo("nothing was deleted", err=True)
        return 1
    for folder in folders:
        delete(folder)
    typer.echo(f"deleted {name}, {amount(sum(sizes.values()))} are free again")
    return 0


def folders_of(name: str, models: Catalog) -> list[Path]:
    """Return the folders in the models folder that a name stands for.

    FastEmbedError: it ships, it is not there, or it is a folder of the user's own.
    """
    placed = next((model for model in models.placed() if name in (model.name, *model.spec.aliases)), None)
    origin = placed.spec.origin if placed else name
    if origin.startswith(BUILT_IN) or locate(f"{BUILT_IN}{name}", Path()):
        raise FastEmbedError(f"found {name}, which ships with fastembed and frees nothing; expected {_there()}")
    if placed and placed.folder and read_reference(origin) is None and not split_name(origin)[0]:
        check_ours(placed.folder)
    names = {model.name for model in stored_models()}
    found = [place for place in _places(name, origin) if place in names]
    if not found and placed and placed.folder:
        check_ours(placed.folder)
    if not found:
        raise FastEmbedError(f"found nothing of {name} in {models_home()}, expected {_there()}")
    return [models_home() / place for place in found]


def _places(name: str, origin: str) -> list[str]:
    """Return where in the models folder a name's files may be: what was exported, what was pulled."""
    for text in (origin, name):
        known, revision = split_name(text)
        if known:
            pinned = f"@{revision}" if revision else ""
            return [known.name, *([f"{known.repository}{pinned}"] if known.repository else [])]
    path = Path(origin)
    return [path.relative_to(models_home()).as_posix() if path.is_relative_to(models_home()) else origin]


def _there() -> str:
    names = [model.name for model in stored_models()]
    return f"one of {', '.join(names)}" if names else "a downloaded model, and there is none"


def _agreed(count: int) -> bool:
    if not sys.stdin.isatty():
        raise FastEmbedError("stdin is not a terminal: pass --yes")
    return typer.confirm(f"delete {'it' if count == 1 else f'these {count} folders'}?", default=False)
