"""Copies of a database at one moment, while it is written: a DuckDB file, or a folder of Parquet files."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal

import duckdb

from fastembed.sinks.lake.opening import FULL, LakeFull, relations, transfer_folder
from fastembed.sinks.lake.schema import Connection

ExportFormat = Literal["duckdb", "parquet"]
_INTERRUPT_S: Final = 0.1


@asynccontextmanager
async def exported(path: Path, cursor: Callable[[], Connection], form: ExportFormat) -> AsyncGenerator[list[Path]]:
    """Make the copy beside the database and yield its files while the block runs; they are deleted then.

    duckdb: one file, a whole lake. parquet: one file a table and view that queries may read. Raises LakeFull.
    """
    loop = asyncio.get_running_loop()
    with await asyncio.to_thread(TemporaryDirectory, dir=transfer_folder(path), prefix="export-") as place:
        own = cursor()
        work = loop.run_in_executor(None, partial(_export, own, Path(place), path, form))
        try:
            yield await asyncio.shield(work)
        finally:
            while not work.done():  # cancelled: the folder goes when nothing writes into it any more
                own.interrupt()
                await asyncio.wait([work], timeout=_INTERRUPT_S)
            await asyncio.to_thread(own.close)


def zipped(files: list[Path]) -> Path:
    """Put files into a ZIP beside them, uncompressed: Parquet is compressed already. Return it."""
    target = files[0].with_name("export.zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            archive.write(file, file.name)
    return target


def _export(con: Connection, folder: Path, path: Path, form: ExportFormat) -> list[Path]:
    try:
        return _to_duckdb(con, folder / path.name) if form == "duckdb" else _to_parquet(con, folder)
    except duckdb.Error as error:
        with suppress(duckdb.Error):  # the failed transaction may have ended already
            con.rollback()
        if FULL.search(str(error)):
            raise LakeFull(path, error) from error
        raise


def _to_duckdb(con: Connection, target: Path) -> list[Path]:
    """COPY FROM DATABASE reads one snapshot; writers go on meanwhile."""
    name = f"export_{id(con):x}"
    database = con.execute("SELECT current_database()").fetchone()[0]
    con.execute(f"ATTACH '{_quoted(target)}' AS {name}")
    try:
        con.execute(f'COPY FROM DATABASE "{database}" TO {name}')
    finally:
        con.execute(f"DETACH {name}")
    return [target]


def _to_parquet(con: Connection, folder: Path) -> list[Path]:
    con.execute("BEGIN TRANSACTION READ ONLY")
    files: list[Path] = []
    for relation in sorted(relations(con)):
        files.append(folder / f"{relation}.parquet")
        con.execute(f"COPY (SELECT * FROM \"{relation}\") TO '{_quoted(files[-1])}' (FORMAT parquet)")  # noqa: S608
    con.rollback()
    return files


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
