"""Read a file into a document, by rules or by a document model.

Formats: PDF, DOCX, PPTX, XLSX, ODT, ODS, ODP, RTF, EPUB, HTML, MHT, MD, ADOC, TEX, CSV, TXT, JSON, JSONL, XML (JATS),
VTT, SRT, PNG, JPG, TIFF, GIF, WEBP, BMP, AVIF; DOC, XLS, PPT, XLSB where LibreOffice is installed, HEIC where
pillow-heif is. Mails (EML, MSG, MBOX) and ZIP archives are read with the files that they hold, each a document of its
own (`parts`). Sound and video (MP3, WAV, M4A, OGG, OPUS, FLAC, AAC, AIFF, WEBM, MP4, MOV, MKV) become what is said in
them, with times, and what videos show in letters (`operators/parsing/recordings.py`).

The reading happens in a parser process of its own, since any of these formats can hang, crash or bloat its parser: the
process is killed when its item is cancelled or times out, and replaced when it dies, grows or has read `recycle` files.
Importing this module is cheap; the process imports docling (3 to 5 s) in the background.

Why a file is refused (each error says what was found and what was expected; `code` names the reason):

    code             error             found
    empty_file       Unprocessable     0 bytes
    missing_file     NotFound          nothing at the path any more
    unreadable       Unprocessable     no permission to read, a disk error
    too_large        TooLarge          more bytes, cells or pixels than allowed; cells scattered over too many places
    archive_bomb     TooLarge          an Office file that unfolds to too much
    unknown_format   UnsupportedMedia  a format that nothing here reads (a program, a database ...)
    reader_missing   UnsupportedMedia  a format whose reader its user has to install (LibreOffice, pillow-heif)
    format_mismatch  UnsupportedMedia  content that contradicts the name (a PDF called .docx)
    encrypted        Unprocessable     a password
    corrupt          Unprocessable     damage, truncation, or what its parser cannot make sense of
    too_deep         Unprocessable     HTML or Markdown nested beyond reason
    out_of_memory    TooLarge          a fresh parser that needed more than `memory`
    parser_died      Unprocessable     two fresh parsers that crashed
    parse_timeout    Expired           no result within `limit`

What is not the file's fault (a parser that cannot start or is killed from outside, text recognition that fails) is
tried again twice in a fresh process, and is Unavailable then: a folder keeps the file waiting, HTTP answers 503.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field

from fastembed.documents.formats import SOUND, VIDEO
from fastembed.documents.lanes import Lanes
from fastembed.documents.pool import WorkerPool
from fastembed.documents.wire import from_path, pictures_of, printable
from fastembed.documents.worker import WorkerSettings
from fastembed.operators.parsing.parts import PartReader
from fastembed.pipeline.component import Context, operator
from fastembed.pipeline.errors import ModelNotFound
from fastembed.pipeline.payload.document import Block, Document, DocumentRequest, File
from fastembed.pipeline.units import Duration, Size

if TYPE_CHECKING:
    from fastembed.inference.serving.models import Models
    from fastembed.operators.parsing.recordings import RecordingReader

AUTO: Final = "auto"
_CONVERTER: Final = "fastembed.documents.convert:open_converter"
_GIB: Final = 1 << 30
_START_AFTER_S: Final = 2.0
_MIB: Final = 1 << 20


@operator
class Parse:
    """Read a file into a document: Markdown, structure and blocks, in reading order; scanned pages by OCR on OpenVINO.

    In: `File`, or a `DocumentRequest` that may name another model. Out: `Document`, one a file.

    Args:
        model: a document model of `models:` (granite-docling-258m) that reads PDFs and images, page by page as
            pictures; a page on which it fails is read by rules, and the document says so. "auto": none, rules only.
        ocr: `auto` reads pages that have no text of their own, `always` reads every page from its pixels, `never` none.
        memory: that the parser process may have to itself (its data, not the files that it maps), 0: unlimited; a file
            that needs more is refused. A document model has a process of its own, which counts among the models
            (`devices: memory`).
        recycle: files until the parser process is replaced by a fresh one.
        max_pages: of a PDF; the rest is left out and the document says so in its warnings. Default: all.
        max_size: of a file.
        max_cells: of a workbook or a CSV file.
        limit: for one file, from when its parser is ready; the step's `timeout` counts the waiting, too.
        threads: that OCR may use.
        ahead: start a parser process (3 to 5 s, 180 MB) before the first file comes.
        speech: who hears recordings: a transcription model of `models:`, or "auto", as for `transcribe`.

    Raises: ItemError, see the table of this module; ModelNotFound: no such model, or its files are missing;
    Unavailable: the model does not fit into the memory that models may take; the machine cannot run a parser now.
    """

    workers = 16
    """Files at a time, most of them waiting for a place in one of the lanes (`fastembed.documents.lanes`)."""

    def __init__(
        self,
        *,
        model: str = AUTO,
        ocr: Literal["auto", "never", "always"] = "auto",
        memory: Size = 3 * _GIB,
        recycle: Annotated[int, Field(gt=0)] = 50,
        max_pages: Annotated[int, Field(gt=0)] | None = None,
        max_size: Size = 200 * _MIB,
        max_cells: Annotated[int, Field(gt=0)] = 300_000,
        limit: Duration = 600.0,
        threads: Annotated[int, Field(gt=0)] = 2,
        ahead: bool = True,
        speech: str = AUTO,
    ) -> None:
        self._model = model
        self._models: Models | None = None
        self._limit_s = limit or None
        self._ahead = ahead
        self._starting: asyncio.TimerHandle | None = None
        options = {"ocr": ocr, "max_pages": max_pages, "threads": threads, "file_bytes": max_size, "cells": max_cells}
        self._pool = WorkerPool(
            WorkerSettings(target=_CONVERTER, options=options, memory_bytes=memory, recycle=recycle)
        )
        self._lanes: Lanes[dict[str, Any]] = Lanes()
        self._speech = speech
        self._recordings: RecordingReader | None = None
        self._pictures = ocr != "never"

    @property
    def pids(self) -> list[int]:
        """The parser processes alive now."""
        return self._pool.pids

    async def open(self, context: Context) -> None:
        """Start a parser process, which imports its parsers in the background.

        A server has better to do with its cores until it is ready: the process starts a little later there, or with
        the first document. ModelNotFound: there is no such model, or its files are missing.
        """
        # Imported here: what hears recordings brings OpenVINO along, which `check` and other commands do not need.
        from fastembed.operators.listening.speakers import SpeakerModel
        from fastembed.operators.parsing.recordings import RecordingReader, engine_of

        self._models = _models(context)
        self._recordings = RecordingReader(
            partial(engine_of, context.resources, self._speech),
            self._read_picture if self._pictures else None,
            SpeakerModel(self._models),
        )
        if self._model != AUTO:
            self._model_name(self._model)
        if not self._ahead:
            return
        if context.once:
            self._pool.start()
        else:
            self._starting = asyncio.get_running_loop().call_later(_START_AFTER_S, self._pool.start)

    async def __call__(self, value: File | DocumentRequest) -> Document:
        """Return the document that a file holds."""
        request = value if isinstance(value, DocumentRequest) else DocumentRequest(value)
        model = self._model if request.model == AUTO else request.model
        options = {"model": self._model_name(model) if model != AUTO else None, "html": request.html}
        return await PartReader(partial(self._read, options), request.file).document()

    async def _read(
        self, options: dict[str, Any], file: File, folder: Path | None
    ) -> tuple[Document, list[dict[str, Any]]]:
        """Return the document of one file, and what it holds. folder: where that is laid out."""
        if self._recordings is not None and Path(file.name).suffix.lower() in SOUND | VIDEO:
            return await self._recordings.read(file), []
        message = {**options, "path": from_path(file.path), "name": printable(file.name)}
        if folder is not None:
            message["parts"] = from_path(folder)
        answer = await self._lanes.run(
            lambda: self._pool.run(message, limit_s=self._limit_s, run_model=self._run_model)
        )
        return to_document(file, answer), answer["parts"]

    async def _read_picture(self, path: Path, name: str) -> Document:
        file = File(path, name, "", 0, 0)
        return (await self._read({"model": None, "html": False}, file, None))[0]

    async def close(self) -> None:
        """End the parser processes and wait until they are gone."""
        if self._starting is not None:
            self._starting.cancel()
        await self._pool.close()

    def _model_name(self, name: str) -> str:
        """Return the name of the model that a name or an alias stands for. ModelNotFound says what gets its files."""
        if self._models is None:
            raise ModelNotFound(f"found the model {name!r:.80}, but this process has no models: leave the option out")
        return self._models.catalog.place(name, "document").name

    async def _run_model(self, message: dict[str, Any]) -> list[list[Any]]:
        """Run a document's model on some pages; between two calls its memory is free for other models."""
        if self._models is None:  # pragma: no cover - no model is named then
            raise AssertionError
        pictures = await asyncio.to_thread(pictures_of, message)
        async with self._models.lend(message["model"], "document") as model:
            written = await model.read(pictures)
        return [[page.text, page.token_count, page.ending] for page in written]


def _models(context: Context) -> Models | None:
    """Return the process's models; None: documents are read by rules."""
    from fastembed.inference.serving.models import Models

    try:
        return context.resources.get(Models)
    except LookupError:
        return None


def to_document(file: File, answer: dict[str, Any]) -> Document:
    """Return the document that a parser process's answer describes."""
    return Document(
        file=file,
        title=answer["title"],
        markdown=answer["markdown"],
        structure=answer["structure"],
        blocks=tuple(
            Block(kind, text, page, level, None if seconds is None else (seconds[0], seconds[1]))
            for kind, text, page, level, seconds in answer["blocks"]
        ),
        page_count=answer["page_count"],
        parser=answer["parser"],
        ocr_pages=answer["ocr_pages"],
        parse_seconds=answer["parse_seconds"],
        warnings=tuple(answer["warnings"]),
        model=answer["model"],
        unread=tuple(answer["unread"]),
        html=answer["html"],
        metadata=answer["metadata"],
    )
