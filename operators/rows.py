"""Read a table's file row by row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import islice
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from fastembed.documents.limits import DocumentLimits, check_file
from fastembed.operators.tabular.reading import reader_of
from fastembed.pipeline.component import operator
from fastembed.pipeline.errors import TooLarge
from fastembed.pipeline.payload.document import File
from fastembed.pipeline.units import Size

_AT_ONCE: Final = 500
"""Rows that are read in one visit to a thread."""


@operator
class Rows:
    """Read a CSV, JSONL, Parquet or XLSX file row by row; each row is a mapping of its columns' names to values.

    A CSV file's delimiter, quotes and header are found out; bytes that are no UTF-8 are read as Latin-1. The first row
    of a sheet holds its columns' names, those without one are left out.

    In: `File`, by the end of its name: .csv, .tsv, .txt, .jsonl, .ndjson, .parquet, .xlsx. Out: mapping.

    Args:
        types: of a CSV file: `infer` makes numbers, truth values, dates and times of columns that hold nothing else,
            `text` leaves all as it is.
        header: of a CSV file, whether its first row holds names; by default that is found out.
        delimiter: of a CSV file; by default it is found out.
        sheet: of a workbook, by its name; by default the first one.
        most: rows of a file; one with more is refused as a whole.
        max_size: of a file.

    Raises:
        UnsupportedMedia: a file of another kind.
        Unprocessable: a broken file, or a line that is no JSON object; the message says where.
        TooLarge: a larger file, or one with more rows.

    """

    workers = 2

    def __init__(
        self,
        *,
        types: Literal["infer", "text"] = "infer",
        header: bool | None = None,
        delimiter: str | None = None,
        sheet: str | None = None,
        most: Annotated[int, Field(ge=1)] = 1_000_000,
        max_size: Size = 2 * 2**30,
    ) -> None:
        if delimiter is not None and len(delimiter) != 1:
            msg = f"found the delimiter {delimiter!r}, expected one character"
            raise ValueError(msg)
        self._csv = {"types": types, "header": header, "delimiter": delimiter}
        self._sheet = sheet
        self._most = most
        self._limits = DocumentLimits(file_bytes=max_size, cells=50_000_000)

    async def __call__(self, file: File) -> AsyncIterator[dict[str, Any]]:
        """Yield one file's rows; reads no further than they are taken."""
        await asyncio.to_thread(check_file, file.path, file.name, self._limits)
        rows = reader_of(file)(file, csv=self._csv, sheet=self._sheet, limits=self._limits)
        count = 0
        try:
            while block := await asyncio.to_thread(lambda: list(islice(rows, _AT_ONCE))):
                count += len(block)
                if count > self._most:
                    raise TooLarge(f"{file.name}: found more than {self._most} rows, expected at most so many (`most`)")
                for row in block:
                    yield row
        finally:
            await asyncio.to_thread(rows.close)
