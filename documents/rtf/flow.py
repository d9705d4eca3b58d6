"""What an RTF file says, piece by piece: paragraphs, rows, notes, pictures; and their way into an outline."""

from __future__ import annotations

import io
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Final

from PIL import Image, UnidentifiedImageError

from fastembed.documents.outline import Outline, TextCell
from fastembed.documents.rtf.tokens import joined

_LONGEST_HEADING: Final = 120
_NUMBER: Final = re.compile(r"\d|\w[.):]")
"""What a list's marker has that counts; a bullet may be a single letter (`o` in Courier New)."""
_TEXT_LEVEL: Final = 9
"""The outline level of what is no heading."""
_LARGER: Final = 1.1
"""Bold letters of a heading are so much larger than the text's, at least."""


@dataclass(slots=True)
class Paragraph:
    """A paragraph. level: of a heading, 0 of the title. marker: of a list's item. size: of its letters, if all bold."""

    text: str
    level: int | None = None
    marker: str | None = None
    depth: int = 0
    size: int = 0
    bold: bool = False


@dataclass(slots=True)
class CellShape:
    """A cell of a row: its right edge, and whether it goes on from the left or from above."""

    edge: int
    goes_right: bool = False
    goes_down: bool = False


@dataclass(slots=True)
class Row:
    """A row of a table."""

    texts: list[str]
    shapes: list[CellShape]
    header: bool = False


@dataclass(slots=True)
class Note:
    """A footnote, an endnote or a comment."""

    text: str


@dataclass(slots=True)
class Picture:
    """A picture's bytes (PNG or JPEG)."""

    data: bytes


Piece = Paragraph | Row | Note | Picture


@dataclass(slots=True)
class TextFlow:
    """A run of text: the body, a note, a text box. words: of the paragraph that is growing; later: what follows it."""

    pieces: list[Piece] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    later: list[Piece] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    shapes: list[CellShape] = field(default_factory=list)
    inner: list[str] = field(default_factory=list)
    header: bool = False
    letters: int = 0
    bold_letters: int = 0
    size: int = 0
    paged: bool = False

    @property
    def text(self) -> str:
        """All that was said so far, a line a paragraph."""
        texts = [piece.text for piece in self.pieces if isinstance(piece, Paragraph | Note)]
        texts += ["; ".join(piece.texts) for piece in self.pieces if isinstance(piece, Row)]
        return "\n".join([*texts, *filter(None, ["".join(self.words).strip()])])


def write(flow: TextFlow, outline: Outline) -> None:
    """Write a flow into an outline; rows that follow each other are one table."""
    sizes = _heading_sizes(flow)
    rows: list[Row] = []
    for piece in flow.pieces:
        if isinstance(piece, Row):
            rows.append(piece)
            continue
        _write_table(rows, outline)
        rows = []
        match piece:
            case Paragraph():
                _write_paragraph(piece, outline, sizes)
            case Note():
                outline.footnote(piece.text)
            case Picture():
                outline.picture(_image(piece.data))
    _write_table(rows, outline)


def _write_paragraph(piece: Paragraph, outline: Outline, sizes: list[int]) -> None:
    if piece.marker is not None:
        outline.item(piece.text, piece.depth, marker=piece.marker if _NUMBER.search(piece.marker) else "")
    elif piece.level == 0:
        outline.title(piece.text)
    elif piece.level is not None:
        outline.heading(piece.text, piece.level)
    elif piece.bold and piece.size in sizes and len(piece.text) <= _LONGEST_HEADING:
        outline.heading(piece.text, sizes.index(piece.size) + 1)
    else:
        outline.paragraph(piece.text)


def _heading_sizes(flow: TextFlow) -> list[int]:
    """Return the sizes of headings that no style tells, the largest first; none where styles tell some."""
    paragraphs = [piece for piece in flow.pieces if isinstance(piece, Paragraph) and piece.text]
    if any(piece.level is not None for piece in paragraphs):
        return []
    letters = Counter[int]()
    for piece in paragraphs:
        letters[piece.size] += len(piece.text)
    usual = max(letters, key=lambda size: letters[size], default=0)
    return sorted({piece.size for piece in paragraphs if piece.bold and piece.size > usual * _LARGER}, reverse=True)


def _write_table(rows: list[Row], outline: Outline) -> None:
    """Write rows as a table whose columns begin and end where their cells' edges are."""
    if not rows:
        return
    edges = sorted({shape.edge for row in rows for shape in row.shapes[: len(row.texts)]})
    place = {edge: column for column, edge in enumerate(edges, 1)}
    columns: list[dict[int, TextCell]] = [_cells(row, place) for row in rows]
    for number in range(len(rows) - 1, 0, -1):
        for column in _continued(rows[number], place):
            above, cell = columns[number - 1].get(column), columns[number].get(column)
            if above is not None and cell is not None:
                del columns[number][column]
                columns[number - 1][column] = replace(above, text=above.text or cell.text, rows=cell.rows + 1)
    outline.table([list(cells.values()) for cells in columns])


def _cells(row: Row, place: dict[int, int]) -> dict[int, TextCell]:
    """Return a row's cells by the columns in which they begin."""
    cells: dict[int, TextCell] = {}
    before = last = 0
    for index, text in enumerate(row.texts):
        shape = row.shapes[index] if index < len(row.shapes) else None
        end = before + 1 if shape is None else max(place[shape.edge], before + 1)
        if shape is not None and shape.goes_right and cells:
            cells[last] = replace(cells[last], text=cells[last].text or text, columns=end - last)
        else:
            last = before
            cells[before] = TextCell(text, columns=end - before, header=row.header)
        before = end
    return cells


def _continued(row: Row, place: dict[int, int]) -> list[int]:
    """Return the columns of a row's cells that go on from above."""
    edges = [0, *(place[shape.edge] for shape in row.shapes[: len(row.texts)])]
    return [edges[index] for index, shape in enumerate(row.shapes[: len(row.texts)]) if shape.goes_down]


def _image(data: bytes) -> Image.Image | None:
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):  # Pillow raises each for damaged files
        return None
    return image


def level_of(outline: int | None) -> int | None:
    """Return the level of the heading that an outline level stands for; None: no heading."""
    return outline + 1 if outline is not None and outline < _TEXT_LEVEL else None


def tidy(words: list[str]) -> str:
    """Return the words of a paragraph, its line breaks kept, without what inner tables leave at its end."""
    text = joined("".join(words))
    lines = (" ".join(line.split(" ")).strip() for line in text.replace("\t", " ").split("\n"))
    return re.sub(r",\s*(?=;|$)", "", "\n".join(line for line in lines if line), flags=re.MULTILINE).strip(" ;")
