"""Reads Rich Text Format: text in all its encodings, headings, lists, tables, notes, comments, text boxes, pictures.

Theory of operation. Braces nest groups; a group inherits the state of the one around it, and what it changes ends with
it. A control word at a group's start may name a destination: text there is no part of the paragraph (a font's name, a
footnote, a picture's bytes). An asterisk says that readers who do not know the destination skip it. Some are flows of
their own (a note, a text box): they are collected apart and put behind the paragraph in which they are anchored.
Bytes are gathered until something else than text comes, since characters of East Asian encodings take two of them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Final

from docling_core.types.doc.document import DoclingDocument

from fastembed.documents.outline import Outline
from fastembed.documents.rtf.flow import CellShape, Note, Paragraph, Picture, Row, TextFlow, level_of, tidy, write
from fastembed.documents.rtf.state import (
    COLLECTED,
    FLOWS,
    INFO,
    KNOWN_STARRED,
    SKIPPED,
    Group,
    ParagraphState,
    RtfStyle,
    Tables,
)
from fastembed.documents.rtf.tokens import SPECIAL, RtfToken, codec_of, codec_of_page, joined, tokens
from fastembed.pipeline.errors import Unprocessable

_HEADING: Final = re.compile(r"(?:heading|überschrift|titre|titolo|título|заголовок)\s*(\d)", re.IGNORECASE)
_DEEPEST: Final = 2000
_PAGE_WORDS: Final = 3
"""Words beside a page number ("Page 3 of 12") that say nothing else."""
_HEX: Final = re.compile(rb"[^0-9a-fA-F]")


def read_rtf(path: Path, name: str) -> tuple[DoclingDocument, dict[str, str]]:
    """Return the document and what it says about itself. Unprocessable: groups nested beyond reason."""
    reader = RtfReader(name)
    reader.read(path.read_bytes())
    outline = Outline(Path(name).stem)
    for text in dict.fromkeys(reader.margins["header"]):
        outline.paragraph(text)
    write(reader.body, outline)
    for text in dict.fromkeys(reader.margins["footer"]):
        outline.paragraph(text)
    return outline.document, reader.tables.info


class RtfReader:
    """Reads one file; `body` holds what it says."""

    def __init__(self, name: str) -> None:
        """`name` is for messages."""
        self.body = TextFlow()
        self.tables = Tables()
        self.margins: dict[str, list[str]] = {"header": [], "footer": []}
        self._name = name
        self._flows = [self.body]
        self._groups = [Group()]
        self._paragraph = ParagraphState()
        self._page = "cp1252"
        self._bytes = bytearray()
        self._font = 0
        self._default_font: int | None = None
        self._collected: list[str] = []
        self._author = ""
        self._style = (0, RtfStyle())
        self._to_skip = 0
        self._starred = False
        self._merge = ""
        self._notes = 0

    def read(self, content: bytes) -> None:
        """Read a whole file."""
        for token in tokens(content):
            if token.kind == "t":
                self._text(token.data)
            elif token.kind == "x":
                self._byte(token.data)
            elif token.kind == "s" and token.word in "{}\\":  # perhaps the second byte of a letter
                self._text(token.word.encode())
            elif token.kind == "{":
                self._open()
            elif token.kind == "}":
                self._close()
            else:
                self._control(token)
        self._end_paragraph()

    # Groups and text

    @property
    def _group(self) -> Group:
        return self._groups[-1]

    @property
    def _flow(self) -> TextFlow:
        return self._flows[-1]

    def _open(self) -> None:
        self._flush()
        if len(self._groups) > _DEEPEST:
            raise Unprocessable(
                f"{self._name}: found {_DEEPEST:,} groups within each other, expected fewer", code="too_deep"
            )
        self._groups.append(replace(self._group, ends=None))
        self._starred = False
        self._to_skip = 0

    def _close(self) -> None:
        self._flush()
        self._to_skip = 0
        if len(self._groups) > 1:
            ended = self._groups.pop()
            if ended.ends is not None:
                ended.ends()

    def _text(self, data: bytes) -> None:
        if self._to_skip:
            skipped = min(self._to_skip, len(data))
            self._to_skip -= skipped
            data = data[skipped:]
        if self._group.target != "skip":
            self._bytes += data

    def _byte(self, data: bytes) -> None:
        if self._to_skip:
            self._to_skip -= 1
        elif self._group.target != "skip":
            self._bytes += data

    def _flush(self) -> None:
        if self._bytes:
            codec = self._group.codec or self._page
            data, self._bytes = bytes(self._bytes), bytearray()
            if self._group.target == "pict":
                self._collected.append(data.decode("latin-1"))
            else:
                self._add(data.decode(codec, "replace"))

    def _add(self, text: str) -> None:
        group = self._group
        if group.target == "skip" or not text:
            return
        if group.target in COLLECTED:
            self._collected.append(text)
        elif not group.hidden:
            flow = self._flow
            flow.words.append(text)
            flow.letters += len(text)
            flow.bold_letters += len(text) if group.bold or not text.strip() else 0
            flow.size = max(flow.size, group.size if text.strip() else 0)

    # Controls

    def _control(self, token: RtfToken) -> None:
        if token.word == "*":
            self._starred = True
            return
        if self._to_skip and token.word in SPECIAL:
            self._to_skip -= 1
            return
        starred, self._starred = self._starred, False
        self._flush()
        word, number = token.word, token.number
        if self._group.target == "skip":
            return
        if starred and word not in KNOWN_STARRED and word not in COLLECTED:
            self._group.target = "skip"
        elif word == "u":
            self._unicode(number or 0)
        elif word in SPECIAL:
            self._add(SPECIAL[word])
        elif self._destination(word) or self._table_word(word, number):
            return
        else:
            self._word(word, number)

    def _unicode(self, number: int) -> None:
        self._add(chr(number + 0x10000 if number < 0 else number & 0xFFFF))
        self._to_skip = self._group.fallback

    def _destination(self, word: str) -> bool:
        """Enter the destination that a word names; False if it names none."""
        group = self._group
        if word in SKIPPED:
            group.target = "skip"
        elif word in FLOWS:
            self._enter(FLOWS[word])
        elif word == "upr":  # the same text twice: in the file's encoding, then in Unicode
            group.target = "upr"
        elif word == "ud":
            group.target = "body"
        elif word in COLLECTED and (word not in INFO or group.target == "info"):
            outer = self._collected
            self._collected = []
            group.target, group.ends = word, lambda: self._collect(word, outer)
        elif word == "info":
            group.target = "info"
        else:
            return False
        return True

    def _enter(self, kind: str) -> None:
        """Collect what comes until the group's end apart."""
        flow, paragraph = TextFlow(), self._paragraph
        self._flows.append(flow)
        self._paragraph = ParagraphState()
        self._group.target, self._group.ends = "body", lambda: self._leave(kind, paragraph)
        self._group.hidden = False

    def _leave(self, kind: str, paragraph: ParagraphState) -> None:
        self._end_paragraph()
        flow, self._paragraph = self._flows.pop(), paragraph
        text = flow.text.strip()
        if kind in self.margins:
            if text and not (flow.paged and len([word for word in text.split() if word.isalpha()]) <= _PAGE_WORDS):
                self.margins[kind].append(text)
        elif kind == "box":
            self._flow.later += flow.pieces
        elif kind == "comment" and text:
            author, self._author = self._author, ""
            self._flow.later.append(Note(f"Comment ({author}): {text}" if author else f"Comment: {text}"))
        elif text:
            self._notes += 1
            self._flow.words.append(f"[{self._notes}]")
            self._flow.later.append(Note(f"[{self._notes}] {text}"))

    def _collect(self, word: str, outer: list[str]) -> None:
        """Use what a destination held."""
        text, self._collected = "".join(self._collected), outer
        if word in INFO and text.strip():
            self.tables.info.setdefault(INFO[word], joined(text).strip())
        elif word in ("listtext", "pntext"):
            self._paragraph.marker = joined(text).strip()
        elif word == "atnauthor":
            self._author = joined(text).strip()
        elif word == "pict" and text:
            data = bytes.fromhex(_HEX.sub(b"", text.encode("latin-1", "replace"))[: len(text) // 2 * 2].decode())
            if data.startswith((b"\x89PNG", b"\xff\xd8")):
                self._flow.later.append(Picture(data))

    def _word(self, word: str, number: int | None) -> None:
        match word:
            case "par" | "sect" | "page":
                if self._group.target == "body":
                    self._end_paragraph()
            case "pard":
                self._paragraph = ParagraphState(marker=self._paragraph.marker)
            case "outlinelevel":
                self._paragraph.outline = number or 0
            case "ilvl":
                self._paragraph.depth = number or 0
            case "chpgn":
                self._flow.paged = True
            case _:
                self._letter_word(word, number)

    def _letter_word(self, word: str, number: int | None) -> None:
        """Follow a word that changes the letters."""
        group = self._group
        match word:
            case "plain":
                group.hidden = group.bold = False
                group.size = 24
                self._use_font(self._default_font)
            case "f":
                self._use_font(number or 0)
            case "fs":
                group.size = number or 24
            case "b":
                group.bold = number != 0
            case "v" | "deleted":
                group.hidden = number != 0
            case "uc":
                group.fallback = max(number or 0, 0)
            case _:
                self._head_word(word, number)

    def _head_word(self, word: str, number: int | None) -> None:
        """Follow a word of the file's head: encodings, fonts, styles."""
        group = self._group
        match word:
            case "ansicpg":
                self._page = codec_of_page(number)
            case "mac":
                self._page = "mac-roman"
            case "pc":
                self._page = "cp437"
            case "pca":
                self._page = "cp850"
            case "deff":
                self._default_font = number
            case "fcharset" if group.target == "fonttbl":
                self.tables.fonts[self._font] = codec_of(number or 0)
            case "cpg" if group.target == "fonttbl":
                self.tables.fonts[self._font] = codec_of_page(number)
            case "s" if group.target == "stylesheet":
                self._begin_style(number or 0)
            case "s":
                self._paragraph.style = number or 0

    def _use_font(self, font: int | None) -> None:
        if self._group.target == "fonttbl":
            self._font = font or 0
        else:
            self._group.codec = None if font is None else self.tables.fonts.get(font)

    def _begin_style(self, number: int) -> None:
        """Note a style; its name follows, up to the group's end."""
        style = self.tables.styles.setdefault(number, RtfStyle())
        start, paragraph = len(self._collected), self._paragraph
        self._paragraph = ParagraphState()

        def end() -> None:
            name = "".join(self._collected[start:]).strip().rstrip(";").strip()
            match = _HEADING.match(name)
            style.level = int(match[1]) if match else 0 if name.lower() in ("title", "titel", "titre") else None
            if style.level is None:
                style.level = level_of(self._paragraph.outline)
            self._paragraph = paragraph

        self._group.ends = end

    # Paragraphs and tables

    def _end_paragraph(self) -> None:
        flow, paragraph = self._flow, self._paragraph
        self._flush()
        if paragraph.in_table:
            flow.words.append("\n")
            return
        text = tidy(flow.words)
        if text:
            level = level_of(paragraph.outline)
            style = self.tables.styles.get(paragraph.style, RtfStyle())
            flow.pieces.append(
                Paragraph(
                    text,
                    style.level if style.level is not None else level,
                    paragraph.marker,
                    paragraph.depth,
                    flow.size,
                    bold=flow.bold_letters == flow.letters,
                )
            )
            paragraph.marker = None
        flow.pieces += flow.later
        flow.words, flow.later, flow.letters, flow.bold_letters, flow.size = [], [], 0, 0, 0

    def _table_word(self, word: str, number: int | None) -> bool:
        """Follow a word of tables; False if it is none."""
        flow = self._flow
        match word:
            case "intbl":
                self._paragraph.in_table = True
            case "itap":
                self._paragraph.nested = number or 0
                self._paragraph.in_table = bool(number)
            case "trowd":
                flow.shapes, flow.header, self._merge = [], False, ""
            case "trhdr":
                flow.header = True
            case "clmrg" | "clvmrg":
                self._merge += word
            case "cellx":
                flow.shapes.append(CellShape(number or 0, "clmrg" in self._merge, "clvmrg" in self._merge))
                self._merge = ""
            case "cell":
                self._end_cell()
            case "nestcell" | "nestrow":
                flow.words.append(", " if word == "nestcell" else "; ")
            case "row":
                if flow.cells:
                    flow.pieces.append(Row(flow.cells, list(flow.shapes), flow.header))
                flow.pieces += flow.later
                flow.cells, flow.words, flow.later = [], [], []
            case _:
                return False
        return True

    def _end_cell(self) -> None:
        flow = self._flow
        marker, self._paragraph.marker = self._paragraph.marker, None
        text = tidy(flow.words)
        flow.cells.append(f"{marker} {text}" if marker and text else text)
        flow.words, flow.letters, flow.bold_letters, flow.size = [], 0, 0, 0
