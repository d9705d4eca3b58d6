"""What the document pipelines carry: a file, the document read from it, its chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

BlockKind = Literal[
    "title", "heading", "paragraph", "list_item", "code", "table", "figure", "caption", "formula", "footnote"
]


@dataclass(frozen=True, slots=True)
class File:
    """A file that is complete on disk.

    path: absolute. name: its path relative to the watched folder, with forward slashes. sha256: hex digest.
    inode, changed_ns: of the file that was hashed and the last change of anything about it, 0: not known.
    container: the name of the file that holds this one (a mail, an archive), "" for a file of the folder; `name` begins
    with it, and `path` is its path.
    """

    path: Path
    name: str
    sha256: str
    size_bytes: int
    mtime_ns: int
    inode: int = 0
    changed_ns: int = 0
    container: str = ""


@dataclass(frozen=True, slots=True)
class DocumentRequest:
    """A request to parse a file now.

    model: a document model of `models:`, or "auto": as the pipeline's `parse` says. html: the document as HTML, too.
    """

    file: File
    model: str = "auto"
    html: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """One piece of a document in reading order: markdown text, its page (1-based, None where pages do not exist).

    level: of a heading, 1 is the highest; 0 for everything else. seconds: of a recording, from when to when it is said
    or shown; None where there is no such thing. speaker: who says it, where several do.
    """

    kind: BlockKind
    text: str
    page: int | None = None
    level: int = 0
    seconds: tuple[float, float] | None = None
    speaker: str = ""


@dataclass(frozen=True, slots=True)
class UnreadPart:
    """A file within another one (an attachment, a file of an archive) that was not read, and why.

    ignored: nothing is wrong with it, it is of a kind that is not read.
    """

    file: File
    reason: str
    ignored: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A parsed document.

    structure: the `DoclingDocument` as JSON text. page_count: 0 where the format has no pages.
    parser: what read it, for example "pdf", "pdf+ocr", "pdf+granite-docling-258m", "docx". ocr_pages: how many pages
    were read by OCR. model: the document model that read it, None: none did. unread: the pages (from 1) on which that
    model failed, which were read without it; `warnings` say why. html: the document as HTML, "" unless asked for.
    metadata: what the file says about itself: a Markdown file's front matter, an Office file's author, a mail's head.
    parts: the files within the file (attachments, files of an archive), at every depth. duration_s: of a recording.
    """

    file: File
    title: str
    markdown: str
    structure: str
    blocks: tuple[Block, ...]
    page_count: int
    parser: str
    ocr_pages: int = 0
    parse_seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    model: str | None = None
    unread: tuple[int, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    html: str = ""
    parts: tuple[Document | UnreadPart, ...] = ()
    duration_s: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """A piece of a document small enough to embed.

    index: 0-based place in the document; count: chunks of the document. headings: the path from the title down.
    pages: first and last page, or None. seconds: of a recording, from when to when; speakers: who is heard in it.
    embedding: float32 [dimensions], unit length, or None before `embed`. model, model_revision: what made it
    (`VectorOrigin`).
    """

    document: Document
    index: int
    count: int
    text: str
    headings: tuple[str, ...] = ()
    pages: tuple[int, int] | None = None
    token_count: int = 0
    embedding: NDArray[np.float32] | None = field(default=None, repr=False)
    model: str | None = None
    seconds: tuple[float, float] | None = None
    model_revision: str = ""
    speakers: tuple[str, ...] = ()

    @property
    def embedding_text(self) -> str:
        """The text to embed: the heading path, then the text, so that a chunk is also found by its section's words."""
        return embedding_text(self.headings, self.text)


def embedding_text(headings: Sequence[str], text: str) -> str:
    """Return what a chunk's vector is made of."""
    return "\n".join((" > ".join(headings), text)) if headings else text
