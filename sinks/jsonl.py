"""Appends items to a JSON Lines file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, BinaryIO, Final

from fastembed.pipeline.component import Context, sink
from fastembed.pipeline.filing import private_folder
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.json_values import to_json

_BLOCK: Final = 64 * 2**10


@sink
class Jsonl:
    """Append each value to a file as a line of JSON.

    Delivery: at least once where the source repeats, else at most once. A line is with the operating system before its
    item counts as delivered: `kill -9` loses none, a power cut may lose the last ones. Overload: the pipeline waits for
    the disk. Restart: it goes on behind the last whole line; a part of one that a full disk left is taken off.

    In: what JSON can hold: text, dataclasses, pydantic models, mappings, lists, arrays.

    Args:
        path: the file, made if there is none, for this user alone (0600); its folder is made, too.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    async def open(self, context: Context) -> None:
        """Open the file behind its last whole line."""
        self._file = await asyncio.to_thread(self._opened, context.base / self._path.expanduser())

    async def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    async def write(self, item: Item[Any]) -> None:
        """Append one line."""
        await asyncio.to_thread(self._append, to_json(item.value) + b"\n")

    def _append(self, line: bytes) -> None:
        file = self._file
        if file is None:
            msg = "the sink jsonl is not open"
            raise RuntimeError(msg)
        end = file.seek(0, 2)
        try:
            written = file.write(line)
            while written < len(line):  # the disk took a part: the rest fits, or the next write says why not
                written += file.write(line[written:])
        except OSError:
            file.truncate(end)
            raise

    @staticmethod
    def _opened(path: Path) -> BinaryIO:
        if not path.parent.exists():
            private_folder(path.parent)
        path.touch(mode=0o600)
        file = path.open("r+b", buffering=0)
        file.truncate(_end_of_last_line(file))
        return file


def _end_of_last_line(file: BinaryIO) -> int:
    """Return the length of a file without what follows its last line end."""
    end = file.seek(0, 2)
    while end > 0:
        start = max(0, end - _BLOCK)
        file.seek(start)
        block = file.read(end - start)
        if (found := block.rfind(b"\n")) >= 0:
            return start + found + 1
        end = start
    return 0
