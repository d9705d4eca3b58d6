"""Size limits checked before a parser reads the file: what a small file can unfold to.

A 600 KB DOCX can hold 600 MB, a 400 KB PNG 400 million pixels, a page of `<div>` a stack overflow. Each check reads
only what it must (the archive's directory, the cells, the image's header) and takes milliseconds.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from fastembed.pipeline.errors import TooLarge, Unprocessable

_BOMB_RATIO: Final = 200
_BOMB_BYTES: Final = 32 << 20
_WINDOW_BYTES: Final = 1 << 20
_CELL: Final = re.compile(rb"<(?:[A-Za-z0-9]+:)?c(?=[\s>/])")
_PARAGRAPH: Final = re.compile(rb"<(?:w:p|text:p|text:h)(?=[\s>/])")
_TAG: Final = re.compile(rb"<(/?)([a-zA-Z][a-zA-Z0-9-]*)[^<>]*?(/?)>")
# Elements that HTML closes by itself: they never nest by being left open.
_VOID: Final = frozenset(
    b"area base br col dd dt embed hr img input link meta option p source tbody td tfoot th thead tr track wbr".split()
)
_QUOTES: Final = re.compile(rb"^[ \t]*((?:>[ \t]*)+)", re.MULTILINE)
_ITEM: Final = re.compile(rb"^([ \t]*)(?:[-*+]|\d+[.)])[ \t]", re.MULTILINE)
_BRACKETS: Final = re.compile(rb"[\[(*_]{400,}")


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """How large a file and its content may be.

    unpacked_bytes: of an Office archive's members together. cells: that hold something, in a workbook or a CSV file.
    area: places of a sheet's table, without its blank rows and columns. nesting: levels of HTML or Markdown. pixels: of
    an image. paragraphs: of a DOCX or ODT. parts, parts_bytes: files within a mail or an archive, and their bytes.
    """

    file_bytes: int = 200 << 20
    unpacked_bytes: int = 1 << 30
    cells: int = 300_000
    area: int = 2_000_000
    nesting: int = 200
    pixels: int = 100_000_000
    paragraphs: int = 300_000
    parts: int = 1000
    parts_bytes: int = 1 << 30


def check_file(path: Path, name: str, limits: DocumentLimits) -> None:
    """TooLarge if the file has more bytes than allowed."""
    size = path.stat().st_size
    if size > limits.file_bytes:
        raise TooLarge(
            f"{name}: found a file of {size:,} bytes, expected at most {limits.file_bytes:,} (`max_size`)",
            code="too_large",
        )


def check_archive(path: Path, name: str, limits: DocumentLimits) -> None:
    """TooLarge if an Office archive unfolds to more than allowed, by its directory's own figures."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    unpacked = sum(member.file_size for member in members)
    packed = max(1, sum(member.compress_size for member in members))
    if unpacked > limits.unpacked_bytes:
        raise TooLarge(
            f"{name}: found {unpacked:,} bytes once unpacked, expected at most {limits.unpacked_bytes:,}",
            code="archive_bomb",
        )
    if unpacked > _BOMB_BYTES and unpacked / packed > _BOMB_RATIO:
        raise TooLarge(
            f"{name}: found an archive bomb ({packed:,} bytes unfold to {unpacked:,}, {unpacked // packed} times as "
            f"many), expected at most {_BOMB_RATIO} times",
            code="archive_bomb",
        )


def check_workbook(path: Path, name: str, limits: DocumentLimits) -> None:
    """TooLarge if a workbook's sheets have more cells than allowed."""
    with zipfile.ZipFile(path) as archive:
        cells = 0
        for sheet in archive.infolist():
            if sheet.filename.startswith("xl/worksheets/") and not sheet.is_dir():
                with archive.open(sheet) as stream:
                    for count in _counts(stream, _CELL):
                        cells += count
                        _check_cells(name, cells, limits)


def check_paragraphs(path: Path, name: str, limits: DocumentLimits) -> None:
    """TooLarge if a DOCX or ODT has more paragraphs than allowed: each takes its reader a fraction of a millisecond."""
    if not zipfile.is_zipfile(path):
        return
    count = 0
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            if part.filename in ("word/document.xml", "content.xml"):
                with archive.open(part) as stream:
                    count += sum(_counts(stream, _PARAGRAPH))
    if count > limits.paragraphs:
        raise TooLarge(f"{name}: found {count:,} paragraphs, expected at most {limits.paragraphs:,}", code="too_large")


def check_csv(path: Path, name: str, limits: DocumentLimits) -> None:
    """TooLarge if a CSV file has more cells than allowed, by its separators."""
    separators = 0
    with path.open("rb") as file:
        head = file.readline(_WINDOW_BYTES)
        mark = max(b",;\t|:", key=head.count)
        file.seek(0)
        while block := file.read(_WINDOW_BYTES):
            separators += block.count(mark) + block.count(b"\n")
    _check_cells(name, separators, limits)


def check_html(path: Path, name: str, limits: DocumentLimits) -> None:
    """Unprocessable if elements are nested more deeply than allowed."""
    depth = deepest = 0
    for match in _TAG.finditer(path.read_bytes()):
        closing, tag, closed = match.groups()
        if closed or tag.lower() in _VOID:
            continue
        depth = max(0, depth - 1) if closing else depth + 1
        deepest = max(deepest, depth)
    _check_nesting(name, deepest, limits)


def check_markdown(path: Path, name: str, limits: DocumentLimits) -> None:
    """Unprocessable if quotes, lists or brackets are nested more deeply than allowed."""
    text = path.read_bytes()
    quotes = max((match[1].count(b">") for match in _QUOTES.finditer(text)), default=0)
    lists = max((len(match[1].expandtabs(4)) // 2 for match in _ITEM.finditer(text)), default=0)
    brackets = max((len(match[0]) for match in _BRACKETS.finditer(text)), default=0)
    _check_nesting(name, max(quotes, lists, brackets), limits)


def check_pixels(width: int, height: int, name: str, limits: DocumentLimits) -> None:
    """TooLarge if an image has more pixels than allowed."""
    if width * height > limits.pixels:
        raise TooLarge(
            f"{name}: found an image of {width:,} x {height:,} pixels, expected at most {limits.pixels:,} in all",
            code="too_large",
        )


def _check_cells(name: str, cells: int, limits: DocumentLimits) -> None:
    if cells > limits.cells:
        raise TooLarge(
            f"{name}: found more than {limits.cells:,} cells, expected at most that many (`max_cells`)",
            code="too_large",
        )


def _check_nesting(name: str, depth: int, limits: DocumentLimits) -> None:
    if depth > limits.nesting:
        raise Unprocessable(
            f"{name}: found {depth:,} levels of nesting, expected at most {limits.nesting}", code="too_deep"
        )


def _counts(stream: IO[bytes], element: re.Pattern[bytes]) -> Iterator[int]:
    """Yield, a window of a sheet's XML at a time, how many of the elements start in it."""
    rest = b""
    while block := stream.read(_WINDOW_BYTES):
        window = rest + block
        cut = window.rfind(b"<")  # a tag that the window cuts belongs to the next one
        rest, window = (window[cut:], window[:cut]) if cut >= 0 else (b"", window)
        yield len(element.findall(window))
    yield len(element.findall(rest))
