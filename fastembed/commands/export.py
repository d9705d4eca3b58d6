"""`fastembed export`: a copy of the stored documents at one moment, by the server that holds them, or of the file."""

from __future__ import annotations

import asyncio
import shutil
import zipfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import typer

from fastembed.commands.documents import AnswerSource
from fastembed.commands.server import download
from fastembed.guards import keep_files_private
from fastembed.inference.library.hub.reference import read_reference, split_name
from fastembed.pipeline.errors import FastEmbedError
from fastembed.sinks.lake.database import Lake
from fastembed.sinks.lake.export import ExportFormat, exported
from fastembed.sinks.lake.opening import LakeLocked

if TYPE_CHECKING:
    from fastembed.client import FastEmbedClient

_DATABASE_SUFFIXES: Final = frozenset({".duckdb", ".db", ".ddb"})


def is_model(target: str) -> bool:
    """Whether what was given means a model, as it did when this command converted models.

    A known name that is nothing here, or `organisation/name` where there is no folder `organisation`.
    """
    path = Path(target)
    known, _ = split_name(target)
    if path.exists() or path.suffix in _DATABASE_SUFFIXES:
        return False
    return known is not None or (read_reference(target) is not None and not path.parent.exists())


def export(source: AnswerSource, target: Path, *, force: bool) -> int:
    """Write the copy and say what it holds."""
    keep_files_private()
    form: ExportFormat = "duckdb" if target.suffix.lower() in _DATABASE_SUFFIXES else "parquet"
    _check_target(target, form, force=force)
    asyncio.run(_export(source, target, form))
    typer.echo(f"{target} is written" if form == "duckdb" else f"{target}: {_names(target)}")
    return 0


def _check_target(target: Path, form: ExportFormat, *, force: bool) -> None:
    if form == "duckdb" and target.is_dir():
        raise FastEmbedError(f"found the folder {target}, expected a file to write")
    if form == "parquet" and target.is_file():
        raise FastEmbedError(f"found the file {target}, expected a folder, or a file that ends in .duckdb")
    if not force and (target.is_file() or (target.is_dir() and any(target.iterdir()))):
        raise FastEmbedError(f"found {target} already, expected nothing there: --force replaces it")


async def _export(source: AnswerSource, target: Path, form: ExportFormat) -> None:
    async with _copies(source, form) as files:
        if form == "duckdb":
            await asyncio.to_thread(_move, files[0], target)
            return
        for file in files:
            await asyncio.to_thread(_move, file, target / file.name)


@asynccontextmanager
async def _copies(source: AnswerSource, form: ExportFormat) -> AsyncGenerator[list[Path]]:
    path = source.file()
    try:
        lake = await Lake.open(path)
    except LakeLocked as locked:
        with TemporaryDirectory(prefix="fastembed-export-") as folder:
            yield await source.of_server(
                lambda client, database: _download(client, database, form, Path(folder)), str(path), locked
            )
        return
    try:
        async with exported(path, lake.cursor, form) as files:
            yield files
    finally:
        await lake.close()


async def _download(client: FastEmbedClient, database: str | None, form: ExportFormat, folder: Path) -> list[Path]:
    file = folder / f"export.{form}"
    with await asyncio.to_thread(file.open, "wb") as out:
        async for piece in download(client, "/v1/export", {"format": form, "database": database}):
            await asyncio.to_thread(out.write, piece)
    return [file] if form == "duckdb" else await asyncio.to_thread(_unzipped, file, folder / "files")


def _unzipped(file: Path, folder: Path) -> list[Path]:
    with zipfile.ZipFile(file) as archive:  # extractall leaves out parts of names that would climb out of the folder
        archive.extractall(folder)
    return sorted(folder.iterdir())


def _move(file: Path, target: Path) -> None:
    """Move a file so that its name is there whole or not at all, across file systems too."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.part")
    shutil.move(file, partial)
    partial.replace(target)


def _names(folder: Path) -> str:
    return ", ".join(sorted(file.name for file in folder.glob("*.parquet")))
