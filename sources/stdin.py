"""Yields what is piped into the process."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import BinaryIO, Final

from fastembed.pipeline.component import source
from fastembed.pipeline.item import Item

MAX_LINE_BYTES: Final = 32 * 2**20
_WAITING: Final = 64


@source
class Stdin:
    """Yield the lines of standard input as text; its end is the end of the pipeline. Empty lines are left out.

    Bytes that are not UTF-8 become U+FFFD; a line of more than 32 MiB comes in pieces. `json` behind it reads JSON
    Lines.

    Delivery: at most once. Overload: the writer waits. Restart: what was read is gone.

    Out: str, without its line end; `meta.line` is its number, from 1.
    """

    exclusive = True
    resumes = True

    def __init__(self) -> None:
        self._input: BinaryIO = sys.stdin.buffer

    async def items(self) -> AsyncIterator[Item[str]]:
        """Yield each line."""
        lines: asyncio.Queue[bytes] = asyncio.Queue(_WAITING)
        loop = asyncio.get_running_loop()

        def read() -> None:
            # A read of a terminal or an open pipe cannot be interrupted. A daemon thread, unlike an executor's, does
            # not keep the process when the pipeline is stopped meanwhile; its loop may be closed by then.
            with suppress(RuntimeError, CancelledError):
                for line in iter(lambda: self._input.readline(MAX_LINE_BYTES), b""):
                    asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()
                asyncio.run_coroutine_threadsafe(lines.put(b""), loop).result()

        threading.Thread(target=read, name="stdin", daemon=True).start()
        number = 0
        while line := await lines.get():
            number += 1
            if text := line.decode("utf-8", "replace").rstrip("\r\n"):
                yield Item(text, meta={"line": number})
