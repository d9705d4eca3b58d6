"""What docling-serve's clients send to /v1/convert, and the document that they get."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from fastembed.pipeline.errors import InvalidInput, Unprocessable
from fastembed.pipeline.payload.document import Document, DocumentRequest, File
from fastembed.server.http.multipart import MultipartForm
from fastembed.server.wire.base64_text import decode_base64
from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.fields import refuse
from fastembed.server.wire.schema import Schema, an_object, choice, listed, string, whole

FORMATS: Final = ("md", "json", "html", "text")
_MOST_PAGE: Final = 2**63 - 1
_ALL_PAGES: Final = (1, _MOST_PAGE)
_KINDS: Final = ("file", "http")
_MOST_NAME: Final = 255

OPTIONS: Final[Schema] = an_object(
    {
        "to_formats": listed(choice(*FORMATS), "what the answer holds; md if it is left out"),
        "page_range": listed(whole(1, _MOST_PAGE), "the first and the last page", most=2),
    },
    about="docling-serve's further options are ignored: the pipeline on POST /v1/documents/process decides",
)
SOURCE: Final[Schema] = an_object(
    {
        "sources": listed(
            an_object(
                {
                    "kind": choice(*_KINDS),
                    "base64_string": string("with the kind file"),
                    "filename": string("with the kind file"),
                    "url": string("with the kind http"),
                },
                required=("kind",),
            ),
            "one",
            most=1,
        ),
        "options": OPTIONS,
        "target": an_object({"kind": choice("inbody")}),
    },
    required=("sources",),
)
FORM: Final[Schema] = an_object(
    {
        "files": {"type": "string", "format": "binary"},
        "to_formats": listed(choice(*FORMATS)),
        "page_range": listed(whole(1, _MOST_PAGE), most=2),
        "target_type": choice("inbody"),
    },
    required=("files",),
)


@dataclass(frozen=True, slots=True)
class ConversionRequest:
    """A checked request. formats: what the answer holds. pages: the first and the last."""

    name: str
    data: bytes
    formats: tuple[str, ...]
    pages: tuple[int, int] = _ALL_PAGES


async def decode_source(exchange: Exchange) -> ConversionRequest:
    """Read a JSON request; what is at a URL is fetched. InvalidInput names the field."""
    fields = await exchange.fields()
    options = fields.object("options") or fields.inner({}, "options")
    target = fields.object("target")
    if target is not None:
        _check_target(target.text("kind") or "inbody", "target.kind")
    formats = _formats(options.raw("to_formats"), "options.to_formats")
    pages = _pages(options.raw("page_range"), formats, "options.page_range")
    place, found = fields.entries("sources", "a list with one source", most=1)[0]
    source = fields.inner(found, place)
    kind = source.choice("kind", _KINDS) or source.refuse("kind", f"one of {', '.join(_KINDS)}")
    most = exchange.source.max_body_bytes
    if kind == "http":
        url = source.needed("url", "an http(s) URL")
        data = await exchange.references.url(url, most_bytes=most, place=source.at("url"))
        return ConversionRequest(_file_name(url.partition("?")[0]), data, formats, pages)
    data = decode_base64(source.needed("base64_string", "base64 of a file"), source.at("base64_string"))
    return ConversionRequest(_file_name(source.needed("filename", "the file's name")), data, formats, pages)


async def decode_form(exchange: Exchange) -> ConversionRequest:
    """Read a form. InvalidInput names the field."""
    form: MultipartForm = await exchange.form()
    upload = form.files.get("files")
    if upload is None or len(form.files) > 1:
        refuse("expected one file, in the field files", "files", "missing_required_parameter")
    _check_target(str(form.fields.get("target_type", "inbody")), "target_type")
    formats = _formats(form.repeated.get("to_formats"), "to_formats")
    pages = _pages([_number(text) for text in form.repeated.get("page_range", ())] or None, formats, "page_range")
    return ConversionRequest(_file_name(upload.name), upload.data, formats, pages)


def _number(text: str) -> object:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else text  # noqa: PLR2004 - of 64 bits


def _check_target(found: str, place: str) -> None:
    """Refuse other targets in the words by which docling's client learns to ask for answers in the body."""
    if found != "inbody":
        raise Unprocessable(f"{place}: Input should be 'inbody', not '{found:.40}'", param=place)


def _formats(found: object, place: str) -> tuple[str, ...]:
    if found is None:
        return ("md",)
    wrong = None if isinstance(found, list) and found else found
    wrong = next((name for name in found if name not in FORMATS), None) if isinstance(found, list) else wrong
    if wrong is not None or not isinstance(found, list):
        refuse(f"found {wrong!r:.60}, expected some of {', '.join(FORMATS)}", place, "invalid_value")
    return tuple(dict.fromkeys(found)) or ("md",)


def _pages(found: object, formats: Sequence[str], place: str) -> tuple[int, int]:
    if found is None:
        return _ALL_PAGES
    if not isinstance(found, list) or len(found) != 2 or not all(type(page) is int for page in found):  # noqa: PLR2004
        refuse("expected two page numbers: the first and the last", place, "invalid_value")
    first, last = found
    if not 1 <= first <= last:
        refuse(f"found pages {first} to {last}, expected at least 1, and the last not before the first", place)
    if (first, last) != _ALL_PAGES and not set(formats) <= {"md", "text"}:
        refuse("expected the whole document for json and html; pages can be chosen for md and text", place)
    return first, min(last, _MOST_PAGE)


def _file_name(found: str) -> str:
    return Path(found.replace("\\", "/")).name[-_MOST_NAME:] or "document"


async def convert(exchange: Exchange, request: ConversionRequest) -> bytes:
    """Have the pipeline read the document; return the response's JSON."""
    began_s = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="fastembed-") as folder:
        file = await asyncio.to_thread(_write, request, Path(folder))
        try:
            async with exchange.submitted(DocumentRequest(file, html="html" in request.formats)) as (results,):
                document: Document = await results.one()
        except InvalidInput as error:
            raise type(error)(error.message, param=error.param or "files", code=error.code) from error
    return await asyncio.to_thread(encode, document, request, time.perf_counter() - began_s)


def _write(request: ConversionRequest, folder: Path) -> File:
    suffix = Path(request.name).suffix.lower()
    path = folder / f"document{suffix if suffix[1:].isalnum() else ''}"
    path.write_bytes(request.data)
    return File(path, request.name, hashlib.sha256(request.data).hexdigest(), len(request.data), 0)


def encode(document: Document, request: ConversionRequest, seconds: float) -> bytes:
    """Return the response's JSON."""
    text = _markdown(document, request.pages)
    contents: dict[str, Any] = {
        "md": text,
        "text": text,
        "html": document.html,
        "json": orjson.Fragment(document.structure.encode()),
    }
    held = {f"{name}_content": contents[name] if name in request.formats else None for name in FORMATS}
    return orjson.dumps(
        {
            "document": {"filename": request.name, **held, "doctags_content": None},
            "status": "partial_success" if document.unread else "success",
            "errors": [
                {"component_type": "pipeline", "module_name": document.parser, "error_message": text}
                for text in document.warnings
            ],
            "processing_time": seconds,
            "timings": {},
        }
    )


def _markdown(document: Document, pages: tuple[int, int]) -> str:
    """Return the Markdown of the pages; what has no page is on every one."""
    if pages == _ALL_PAGES:
        return document.markdown
    first, last = pages
    return "\n\n".join(block.text for block in document.blocks if block.page is None or first <= block.page <= last)
