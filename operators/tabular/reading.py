"""The readers of tables: each yields a file's rows, one mapping of names to values a row, in a thread."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol
from zipfile import BadZipFile

import orjson

from fastembed.documents.limits import DocumentLimits, check_archive
from fastembed.pipeline.errors import NotFound, Unprocessable, UnsupportedMedia
from fastembed.pipeline.payload.document import File

Row = dict[str, Any]
_BLOCK: Final = 1024
_MAX_LINE: Final = 32 * 2**20


class Reader(Protocol):
    """Yields the rows of a file. csv: the options of CSV files. sheet: of a workbook, None: the first."""

    def __call__(
        self, file: File, *, csv: Mapping[str, Any], sheet: str | None, limits: DocumentLimits
    ) -> Generator[Row]:
        """Open the file with the first row; closing the generator closes it."""


def reader_of(file: File) -> Reader:
    """Return what reads a file, by its name. UnsupportedMedia names the kinds that are read."""
    found = _READERS.get(Path(file.name).suffix.lower())
    if found is None:
        raise UnsupportedMedia(f"found {file.name}, expected one of {', '.join(_READERS)}")
    return found


def read_csv(file: File, *, csv: Mapping[str, Any], **_: Any) -> Generator[Row]:
    """Yield the rows of a text with delimiters."""
    # skip: DuckDB 2.0 takes lines that have fewer fields than later ones for a preface, and leaves them out unsaid.
    options: dict[str, Any] = {"all_varchar": csv["types"] == "text", "sample_size": -1, "skip": 0}
    options |= {"header": csv["header"]} if csv["header"] is not None else {}
    options |= {"delim": csv["delimiter"]} if csv["delimiter"] is not None else {}
    if file.size_bytes == 0:
        return
    with _opened(file) as (path, handle):
        if (encoding := _encoding(handle)) != "utf-8":
            options["encoding"] = encoding
        yield from _queried(file, "read_csv", path, options)


def read_parquet(file: File, **_: Any) -> Generator[Row]:
    """Yield the rows of a Parquet file."""
    with _opened(file) as (path, _handle):
        yield from _queried(file, "read_parquet", path, {})


def read_jsonl(file: File, **_: Any) -> Generator[Row]:
    """Yield the objects of a file with one on each line; empty lines are passed over."""
    with _opened(file) as (_path, handle), os.fdopen(os.dup(handle), "rb") as lines:
        number = 0
        while line := lines.readline(_MAX_LINE):
            number += 1
            if not line.strip():
                continue
            try:
                row = orjson.loads(line.removeprefix(b"\xef\xbb\xbf"))
            except orjson.JSONDecodeError as error:
                raise Unprocessable(f"{file.name}:{number}: found {line[:40]!r}, expected JSON: {error}") from None
            if not isinstance(row, dict):
                raise Unprocessable(f"{file.name}:{number}: found {line[:40]!r}, expected an object")
            yield row


def read_xlsx(file: File, *, sheet: str | None, limits: DocumentLimits, **_: Any) -> Generator[Row]:
    """Yield the rows of a workbook's sheet below the one that holds the names."""
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        check_archive(file.path, file.name, limits)
        book = openpyxl.load_workbook(file.path, read_only=True, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError, ValueError, OSError) as error:
        raise Unprocessable(f"{file.name}: found no workbook: {error}") from None
    with closing(book):
        if sheet is not None and sheet not in book.sheetnames:
            raise Unprocessable(f"{file.name}: found no sheet {sheet!r}, expected one of {', '.join(book.sheetnames)}")
        rows = (book[sheet] if sheet is not None else book.worksheets[0]).iter_rows(values_only=True)
        names = [None if name is None else str(name).strip() for name in next(rows, ())]
        for row in rows:
            if any(value is not None for value in row):
                yield {name: value for name, value in zip(names, row, strict=False) if name}


_READERS: Final[dict[str, Reader]] = {
    **dict.fromkeys((".csv", ".tsv", ".txt"), read_csv),
    **dict.fromkeys((".jsonl", ".ndjson"), read_jsonl),
    ".parquet": read_parquet,
    ".xlsx": read_xlsx,
}


@contextmanager
def _opened(file: File) -> Iterator[tuple[str, int]]:
    """Open a file; give a path of its handle, too: DuckDB takes `*` and `[` in names for patterns."""
    try:
        handle = os.open(file.path, os.O_RDONLY)
    except FileNotFoundError:
        raise NotFound(f"{file.name}: found no such file any more") from None
    except OSError as error:
        raise Unprocessable(f"{file.name}: cannot be read: {error.strerror}") from error
    try:
        yield f"/dev/fd/{handle}", handle
    finally:
        os.close(handle)


def _queried(file: File, function: str, path: str, options: Mapping[str, Any]) -> Generator[Row]:
    import duckdb

    names = "".join(f", {name} = ?" for name in options)
    with duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": False}) as con:
        try:
            found = con.execute(f"SELECT * FROM {function}(?{names})", [path, *options.values()])  # noqa: S608 - constants
            columns = [column[0] for column in found.description]
            if len(columns) == 1 and "all_varchar" in options and "delim" not in options:
                _check_single(file, columns[0])
            while block := found.fetchmany(_BLOCK):
                for row in block:
                    yield dict(zip(columns, row, strict=True))
        except duckdb.Error as error:
            reason = str(error).split("\n", 1)[0].replace(path, file.name)
            raise Unprocessable(f"{file.name}: cannot be read: {reason}") from None


def _check_single(file: File, name: str) -> None:
    """Unprocessable if a file of one column looks like one of several, whose lines do not agree on how many."""
    if any(mark in name for mark in ",;|\t"):
        raise Unprocessable(
            f"{file.name}: found no delimiter by which all lines have as many fields as the first, {name[:60]!r}; "
            "expected one, or the option `delimiter`"
        )


def _encoding(handle: int) -> str:
    """Return DuckDB's name of a text's encoding: UTF-16 with its mark, UTF-8 where all of it is that, else Latin-1."""
    with os.fdopen(os.dup(handle), "rb") as file:
        head = file.read(2)
        file.seek(0)
        if head in (b"\xff\xfe", b"\xfe\xff"):
            return "utf-16"
        from codecs import getincrementaldecoder

        decoder = getincrementaldecoder("utf-8")()
        try:
            while block := file.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8"
