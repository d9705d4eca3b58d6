"""The text of OpenDocument files: paragraphs, headings, lists, tables, notes and frames, in reading order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from fastembed.documents.opendocument.package import OpenDocument, check_expanded, number, q, tag
from fastembed.documents.outline import Outline, TextCell

_SKIPPED: Final = frozenset(
    {
        *(
            "text:tracked-changes",
            "text:sequence-decls",
            "text:variable-decls",
            "text:user-field-decls",
            "office:forms",
        ),
        *("text:bibliography-configuration", "text:alphabetical-index-auto-mark-file", "office:event-listeners"),
        *("text:index-title-template", "text:dde-connection-decls", "svg:title", "svg:desc", "draw:glue-point"),
    }
)
_PAGE_FIELDS: Final = frozenset({"text:page-number", "text:page-count", "text:page-continuation"})
_BLANKS: Final = {"text:s": " ", "text:tab": "\t", "text:line-break": "\n"}
_MOST_EMPTY: Final = 1000


@dataclass(slots=True)
class AnchoredLine:
    """A paragraph's own words, and what is anchored in it."""

    words: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    frames: list[Any] = field(default_factory=list)
    formulas: int = 0
    counted: bool = False

    @property
    def text(self) -> str:
        """The words as one text; line breaks stay, other white space is single (ODF 1.3, part 3, 6.1.2)."""
        lines = "".join(self.words).split("\n")
        return "\n".join(" ".join(line.split()) for line in lines).strip()


class TextWalk:
    """Writes what stands below an element into an outline."""

    def __init__(self, source: OpenDocument, outline: Outline, name: str, cells: Any = None) -> None:
        """Walk through `source`; `name` is for messages. cells: counts all cells of the file against its limit."""
        self._source = source
        self._outline = outline
        self._name = name
        self._cells = cells or CellCount(name, source)
        self._numbers: dict[str, int] = {}

    def blocks(self, element: Any) -> None:
        """Write the children of an element that holds paragraphs."""
        for child in element:
            self.block(child)

    def block(self, element: Any) -> None:
        """Write one paragraph, heading, list, table, section or frame."""
        kind = tag(element)
        if kind in _SKIPPED:
            return
        if kind in ("text:p", "text:h"):
            self._paragraph(element, kind)
        elif kind == "text:list":
            self._list(element, 0, "")
        elif kind == "table:table":
            self._table(element)
        elif kind == "text:section" and element.get(q("text:display")) == "none":
            return
        elif kind.startswith("draw:"):
            self.frame(element)
        elif kind == "office:annotation":
            self._outline.footnote(comment_of(element))
        else:
            self.blocks(element)

    def line(self, element: Any) -> AnchoredLine:
        """Return the words of a paragraph and what is anchored in it."""
        line = AnchoredLine()
        self._inline(element, line)
        return line

    def words(self, element: Any) -> str:
        """Return all words below an element that holds paragraphs as one text, a line a paragraph."""
        lines = []
        for part in paragraphs(element):
            line = self.line(part)
            inner = [self.words(frame) for frame in line.frames]
            lines += [line.text, *inner, *line.notes]
        return "\n".join(text for text in lines if text)

    def _paragraph(self, element: Any, kind: str) -> None:
        line = self.line(element)
        style = element.get(q("text:style-name"), "")
        level = self._level(element, kind, style)
        if level == 0:
            self._outline.title(" ".join(line.text.split()))
        elif level is not None:
            self._outline.heading(line.text, level)
        else:
            self._outline.paragraph(line.text)
        self._anchored(line)

    def _anchored(self, line: AnchoredLine) -> None:
        for note in line.notes:
            self._outline.footnote(note)
        for frame in line.frames:
            self.frame(frame)

    def _level(self, element: Any, kind: str, style: str) -> int | None:
        """Return a heading's level, 0 for the title, None for a paragraph."""
        parents = (found.get(q("style:parent-style-name"), "") for found in self._source.ancestry("paragraph", style))
        names = [style, *parents]
        if "Title" in names:
            return 0
        if kind == "text:h":
            return number(element, "text:outline-level")
        for name in names:
            head, _, level = name.partition("_20_")
            if head == "Heading" and level.isdigit():
                return int(level)
        return None

    def _inline(self, element: Any, line: AnchoredLine) -> None:
        line.words.append(_flat(element.text))
        for child in element:
            self._inline_child(child, line)
            line.words.append(_flat(child.tail))

    def _inline_child(self, child: Any, line: AnchoredLine) -> None:
        kind = tag(child)
        if kind in _BLANKS:
            line.words.append(_BLANKS[kind])
        elif kind == "text:note":
            self._note(child, line)
        elif kind == "office:annotation":
            line.notes.append(comment_of(child))
        elif kind == "text:ruby":
            self._ruby(child, line)
        elif kind.startswith("draw:"):
            self._drawn(child, line)
        elif kind in _SKIPPED or kind == "text:hidden-text" or self._hidden(child, kind):
            return
        else:
            line.counted |= kind in _PAGE_FIELDS
            self._inline(child, line)

    def _ruby(self, child: Any, line: AnchoredLine) -> None:
        """Put the reading of a word behind it."""
        base, ruby = child.find(q("text:ruby-base")), child.find(q("text:ruby-text"))
        if base is not None:
            self._inline(base, line)
        if ruby is not None and (said := "".join(ruby.itertext()).strip()):
            line.words.append(f" ({said})")

    def _drawn(self, child: Any, line: AnchoredLine) -> None:
        formula = self._formula(child)
        if formula:
            line.words.append(f"${formula}$")
        else:
            line.frames.append(child)

    def _hidden(self, child: Any, kind: str) -> bool:
        style = child.get(q("text:style-name"), "") if kind == "text:span" else ""
        return bool(style) and self._source.property("text", style, "text-properties", "text:display") == "none"

    def _note(self, note: Any, line: AnchoredLine) -> None:
        """Put the note's mark into the words, and the note behind the paragraph."""
        citation, body = note.find(q("text:note-citation")), note.find(q("text:note-body"))
        mark = "" if citation is None else "".join(citation.itertext()).strip()
        line.words.append(f"[{mark}]" if mark else "")
        if body is not None:
            line.notes.append(f"[{mark}] {self.words(body)}" if mark else self.words(body))

    def _list(self, element: Any, depth: int, style: str) -> None:
        style = element.get(q("text:style-name"), "") or style
        if depth == 0:
            self._outline.end_list()
        key = f"{style}/{depth}"
        if element.get(q("text:continue-numbering")) != "true" and not element.get(q("text:continue-list")):
            self._numbers.pop(key, None)
        ordered, start = self._numbering(style, depth)
        for item in element:
            kind = tag(item)
            if kind not in ("text:list-item", "text:list-header"):
                continue
            count = number(item, "text:start-value", self._numbers.get(key, start - 1) + 1)
            self._numbers[key] = count
            self._item(item, depth, style, f"{count}." if ordered and kind == "text:list-item" else "")

    def _item(self, item: Any, depth: int, style: str, marker: str) -> None:
        texts: list[str] = []
        anchored = AnchoredLine()
        later: list[Any] = []
        for child in item:
            kind = tag(child)
            if kind in ("text:p", "text:h"):
                if kind == "text:h":  # a numbered heading stands in a list
                    later.append(child)
                    continue
                line = self.line(child)
                texts.append(line.text)
                anchored.notes += line.notes
                anchored.frames += line.frames
            else:
                later.append(child)
        self._outline.item("\n".join(text for text in texts if text), depth, marker=marker)
        for child in later:
            if tag(child) == "text:list":
                self._list(child, depth + 1, style)
            else:
                self.block(child)
        self._anchored(anchored)

    def _numbering(self, style: str, depth: int) -> tuple[bool, int]:
        """Return whether a list counts its items at this depth, and from which number."""
        found = self._source.list_styles.get(style)
        for level in () if found is None else found:
            if number(level, "text:level") == depth + 1 and tag(level) == "text:list-level-style-number":
                return bool(level.get(q("style:num-format"))), number(level, "text:start-value")
        return False, 1

    def _table(self, element: Any) -> None:
        rows = [self._row(row, header=header) for row, header in table_rows(element, self._cells)]
        title = element.find(q("table:title"))
        self._outline.table(rows, "" if title is None else "".join(title.itertext()))

    def _row(self, row: Any, *, header: bool) -> list[TextCell]:
        cells = []
        for cell in row:
            if tag(cell) != "table:table-cell":  # a covered one is part of another
                continue
            made = TextCell(
                self.words(cell),
                number(cell, "table:number-rows-spanned"),
                number(cell, "table:number-columns-spanned"),
                header,
            )
            repeated = self._cells.repeated(cell, "table:number-columns-repeated")
            cells += [made] * repeated
        return cells

    # Frames

    def frame(self, element: Any) -> None:
        """Write what a frame or shape holds: a text box, a picture, a table, an object; or the words in the shape."""
        kind = tag(element)
        if kind == "draw:frame":
            self._framed(element)
        elif kind in ("draw:g", "draw:a"):
            for child in element:
                if tag(child).startswith("draw:"):
                    self.frame(child)
        elif kind != "draw:page":
            self.blocks(element)

    def _framed(self, element: Any) -> None:
        kinds = {tag(child): child for child in reversed(element)}
        if "draw:text-box" in kinds:
            self.blocks(kinds["draw:text-box"])
        elif "table:table" in kinds:
            self._table(kinds["table:table"])
        elif "draw:object" in kinds and self._chart(kinds["draw:object"]):
            return
        elif formula := self._formula(element):
            self._outline.formula(formula)
        elif "draw:image" in kinds:
            said = [kinds[part] for part in ("svg:title", "svg:desc") if part in kinds]
            caption = "\n".join(text for part in said if (text := "".join(part.itertext()).strip()))
            self._outline.picture(self._source.picture(kinds["draw:image"].get(q("xlink:href"), "")), caption)

    def _chart(self, element: Any) -> bool:
        """Write the data of a chart as a table; False if the object is none."""
        root = self._source.object_root(element.get(q("xlink:href"), ""))
        chart = None if root is None else next(root.iter(q("chart:chart")), None)
        if chart is None:
            return False
        title = chart.find(q("chart:title"))
        caption = "" if title is None else self.words(title)
        tables = list(chart.iter(q("table:table")))
        if tables:
            rows = [self._row(row, header=header) for row, header in table_rows(tables[0], self._cells)]
            self._outline.table(rows, caption)
        else:
            self._outline.paragraph(caption)
        return True

    def _formula(self, element: Any) -> str:
        """Return the formula that a frame shows: as it was typed, or the letters of its MathML."""
        found = element.find(q("draw:object"))
        root = None if found is None else self._source.object_root(found.get(q("xlink:href"), ""))
        if root is None or tag(root) != "math:math":
            return ""
        typed = next(root.iter(q("math:annotation")), None)
        if typed is not None and typed.text:
            return " ".join(typed.text.split())
        return " ".join("".join(root.itertext()).split())


class CellCount:
    """Counts cells as tables are unfolded."""

    def __init__(self, name: str, source: OpenDocument) -> None:
        """Count for one file."""
        self._name = name
        self._limits = source.limits
        self._count = 0

    def repeated(self, element: Any, attribute: str) -> int:
        """Return how often an element that holds something stands there. TooLarge beyond the limit of cells."""
        times = max(number(element, attribute), 1)
        if times > 1 and not has_content(element):
            return 1 if attribute.endswith("rows-repeated") else min(times, _MOST_EMPTY)
        self._count += times
        check_expanded(self._name, self._count, self._limits)
        return times


def has_content(element: Any) -> bool:
    """Whether anything stands in an element."""
    return any(text.strip() for text in element.itertext())


def table_rows(table: Any, count: CellCount) -> Iterator[tuple[Any, bool]]:
    """Yield a table's rows, those of groups too, repeated ones as often, and whether each is of the header."""
    for child in table:
        kind = tag(child)
        if kind == "table:table-row":
            header = tag(table) == "table:table-header-rows"
            for _ in range(count.repeated(child, "table:number-rows-repeated")):
                yield child, header
        elif kind in ("table:table-header-rows", "table:table-rows", "table:table-row-group"):
            yield from table_rows(child, count)


def paragraphs(element: Any) -> Iterator[Any]:
    """Yield the paragraphs and headings below an element, in lists and nested tables too, in order."""
    for child in element:
        kind = tag(child)
        if kind in ("text:p", "text:h"):
            yield child
        elif kind not in _SKIPPED and kind != "office:annotation":
            yield from paragraphs(child)


def comment_of(annotation: Any) -> str:
    """Return a comment with its author."""
    creator = annotation.find(q("dc:creator"))
    author = "" if creator is None else "".join(creator.itertext()).strip()
    text = "\n".join("".join(part.itertext()).strip() for part in paragraphs(annotation))
    return f"Comment ({author}): {text}" if author else f"Comment: {text}"


def _flat(text: str | None) -> str:
    """Return text with its white space as blanks: line ends and tabs in the XML mean nothing."""
    return "" if not text else " ".join(text.replace("\t", " ").replace("\r", " ").split("\n"))
