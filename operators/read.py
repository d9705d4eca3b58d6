"""Replace the attached files in conversations with their text."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from fastembed.operators.parse import AUTO, Parse
from fastembed.pipeline.component import Context, operator
from fastembed.pipeline.errors import InvalidInput, TooLarge, Unprocessable, UnsupportedMedia
from fastembed.pipeline.payload.chat import ChatRequest, DocumentPart, Message, Part, TextPart
from fastembed.pipeline.payload.document import Document, DocumentRequest, File
from fastembed.pipeline.units import Duration

_CHARS_A_TOKEN: Final = 4


@operator
class Read:
    """Replace the files attached to a conversation with their text, as Markdown, with the files' names.

    In: `ChatRequest`. Out: the same; each `DocumentPart` has become a `TextPart`, and `notes`, which the answer's route
    shows, say what was read. What has no files passes untouched. Documents are read as the operator `parse` reads
    them, in a process that is killed when its request is cancelled.

    Args:
        model: a document model of `models:` that reads PDFs, or "auto": none, rules only.
        ocr: `auto` reads pages that have no text of their own, `always` reads every page from its pixels, `never` none.
        max_pages: of a PDF; the rest is left out and the model is told so. Default: all.
        tokens: most of a file's text (about four characters each) that the model is given; the rest is left out and the
            model is told so. Default: all; a conversation that is then longer than the model's context is refused.
        limit: for one file.
        at_once: files that are read at a time, each in a process of its own.

    Raises:
        InvalidInput: a file that cannot be read; the message and the code are `parse`'s.
        Expired: a file took longer than `limit`.
        ModelNotFound: no such model, or its files are missing.

    """

    workers = 64
    """Requests at a time: most have no files."""

    def __init__(
        self,
        *,
        model: str = AUTO,
        ocr: Literal["auto", "never", "always"] = "auto",
        max_pages: Annotated[int, Field(gt=0)] | None = None,
        tokens: Annotated[int, Field(gt=0)] | None = None,
        limit: Duration = 300.0,
        at_once: Annotated[int, Field(gt=0)] = 2,
    ) -> None:
        self._parse = Parse(model=model, ocr=ocr, max_pages=max_pages, limit=limit, ahead=False)
        self._most_chars = None if tokens is None else tokens * _CHARS_A_TOKEN
        self._turns = asyncio.Semaphore(at_once)

    @property
    def pids(self) -> Sequence[int]:
        """The parser processes alive now; the first starts with the first document."""
        return self._parse.pids

    async def open(self, context: Context) -> None:
        """Find the document model, where one is named."""
        await self._parse.open(context)

    async def __call__(self, request: ChatRequest) -> ChatRequest:
        """Read one request's files, one after the other."""
        if not any(_attached(part) for message in request.messages for part in message.parts):
            return request
        notes: list[str] = []
        messages = [await self._message(message, index, notes) for index, message in enumerate(request.messages)]
        return replace(request, messages=tuple(messages), notes=(*request.notes, *notes))

    async def close(self) -> None:
        """End the parser processes and wait until they are gone."""
        await self._parse.close()

    async def _message(self, message: Message, index: int, notes: list[str]) -> Message:
        parts: list[Part] = []
        for place, part in enumerate(message.parts):
            read = part
            if isinstance(part, DocumentPart):
                document = await self._document(part, f"messages[{index}].content[{place}]")
                read = TextPart.of_file(part.name, _as_text(document))
                notes.append(f"{part.name:.60} read as {_shape(document)}")
            parts.append(self._clipped(read, notes) if isinstance(read, TextPart) and read.file else read)
        return replace(message, parts=tuple(parts))

    async def _document(self, part: DocumentPart, place: str) -> Document:
        async with self._turns:
            with tempfile.TemporaryDirectory(prefix="fastembed-") as folder:
                file = await asyncio.to_thread(_stored, part, Path(folder))
                try:
                    return await self._parse(DocumentRequest(file))
                except (UnsupportedMedia, Unprocessable, TooLarge) as error:  # the real API answers all with 400
                    raise InvalidInput(f"{place}: {error.message}", param=place, code=error.code) from error

    def _clipped(self, part: TextPart, notes: list[str]) -> TextPart:
        most = self._most_chars
        if most is None or len(part.text) <= most:
            return part
        remark = f"{part.file:.60} cut at {most:,} of {len(part.text):,} characters"
        notes.append(remark)
        return TextPart(f"{part.text[:most]}\n[{remark}]\n", part.file)


def _attached(part: Part) -> bool:
    return isinstance(part, DocumentPart) or (isinstance(part, TextPart) and bool(part.file))


def _stored(part: DocumentPart, folder: Path) -> File:
    """Write the file where the parser process reads it: under a generated name with the original suffix."""
    path = folder / f"file{Path(part.name).suffix[:16]}"
    path.write_bytes(part.data)
    return File(path, part.name, hashlib.sha256(part.data).hexdigest(), len(part.data), 0)


def _as_text(document: Document) -> str:
    """Return the text that the model gets, with a note of what was cut."""
    own = "\n".join([document.markdown, *(f"[{warning}]" for warning in document.warnings)])
    parts = [
        f"# {part.file.name}\n\n{_as_text(part)}"
        if isinstance(part, Document)
        else f"[{part.file.name}: {part.reason}]"
        for part in document.parts
    ]
    return "\n".join([own, *parts])


def _shape(document: Document) -> str:
    pages = f", {document.page_count} page{'s' if document.page_count > 1 else ''}" if document.page_count else ""
    return f"{document.parser}{pages}"
