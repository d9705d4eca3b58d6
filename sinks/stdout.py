"""Writes items to standard output."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, BinaryIO

from fastembed.pipeline.component import sink
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.json_values import to_json


@sink
class Stdout:
    """Write each value on a line of its own: text as it is, everything else as JSON.

    Delivery: at least once where the source repeats. Overload: the pipeline waits for the reader. A reader that has
    gone ends the item as failed.

    In: text, or what JSON can hold: dataclasses, pydantic models, mappings, lists, arrays.

    Args:
        json: write text as JSON, too.

    """

    def __init__(self, *, json: bool = False) -> None:
        self._json = json
        self._output: BinaryIO = sys.stdout.buffer

    async def write(self, item: Item[Any]) -> None:
        """Write one line."""
        value = item.value
        line = value.encode() if isinstance(value, str) and not self._json else to_json(value)
        await asyncio.to_thread(self._put, line + b"\n")

    def _put(self, line: bytes) -> None:
        self._output.write(line)
        self._output.flush()
