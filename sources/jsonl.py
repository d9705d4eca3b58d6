"""Yields the lines of a JSON Lines file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Final

from fastembed.pipeline.component import Context, source
from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.item import Item

MAX_LINE_BYTES: Final = 32 * 2**20
_LOOK_S: Final = 0.2


@source
class Jsonl:
    """Yield each line of a file as text, for `json` to read; with `follow` also those that are appended later.

    Delivery: at most once. Overload: it reads no further. Restart: the file is read from its beginning, or, with
    `follow`, from its end. A file that was cut or replaced is read from its beginning.

    Out: str; `meta.line` is its number, from 1, `meta.name` the file's name.

    Args:
        path: the file. With `follow` it may come later.
        follow: wait for further lines, as `tail -F` does, until the pipeline is stopped.

    """

    exclusive = True

    def __init__(self, path: Path, *, follow: bool = False) -> None:
        self._path = path
        self._follow = follow
        self._stopped = False

    async def open(self, context: Context) -> None:
        """Check that the file is there. ConfigError if not; with `run --once` nothing is waited for."""
        self._follow = self._follow and not context.once
        if not self._follow and not await asyncio.to_thread(self._path.is_file):
            raise ConfigError([f"found no file {self._path}, expected one with a JSON value on each line"])

    def stop(self) -> None:
        """Wait for no further lines."""
        self._stopped = True

    async def items(self) -> AsyncIterator[Item[str]]:
        """Yield each line that has its end; of a file that is not followed the last one, too."""
        file: BinaryIO | None = None
        number, part = 0, b""
        at_end = self._follow
        try:
            while not self._stopped:
                file = file or await asyncio.to_thread(self._opened, at_end=at_end)
                at_end = False  # what is opened from now on came while it was followed
                line = b"" if file is None else await asyncio.to_thread(file.readline, MAX_LINE_BYTES)
                part += line
                if line and not part.endswith(b"\n") and self._follow:
                    continue  # a line that is still being written
                if part.strip() and (line or not self._follow):
                    number += 1
                    yield Item(part.decode("utf-8", "replace").strip(), meta={"line": number, "name": self._path.name})
                if line:
                    part = b""
                    continue
                if not self._follow:
                    return
                if file is not None and await asyncio.to_thread(self._replaced, file):
                    file.close()
                    file, number, part = None, 0, b""
                await asyncio.sleep(_LOOK_S)
        finally:
            if file is not None:
                file.close()

    def _opened(self, *, at_end: bool) -> BinaryIO | None:
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return None
        if at_end:
            file.seek(0, 2)
        return file

    def _replaced(self, file: BinaryIO) -> bool:
        """Whether another file has the name now, or this one is shorter than what was read of it."""
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        read = os.fstat(file.fileno())
        return (now.st_dev, now.st_ino) != (read.st_dev, read.st_ino) or now.st_size < file.tell()
