"""POST /v1/documents/process: read the document in the request, and answer with its content.

    {"document": {"type": "pdf", "source": "base64", "content": "..."},
     "processing_options": {"extract_text": true, "extract_tables": true, "extract_images": true,
                            "extract_formulas": true, "output_format": "markdown"},
     "model": "auto"}

or as a form (multipart/form-data): the file in the field `file`, beside it `model`, `output_format` and `extract_*`.

`type`: pdf, image, docx, pptx ...; what a file really is, its content tells. `name`: the file's, which the answer
repeats. `content` may also be a
data URL; with the source `url` it is an http(s) URL, which is fetched where whoever runs the server allows that
(`fastembed.server.fetching`), with `upload_id` the field `upload_id`, in its place, is the id of a file of /v1/files.
`model` is a document model, or "auto": as the pipeline's `parse` says; the answer names the one that read the document,
or "model-free". `content` is the whole document, as Markdown, HTML or docling's own JSON (a `DoclingDocument`);
`extract_*: false` leaves the field of that name out.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

import orjson

from fastembed.documents.formats import IMAGES, SOUND, VIDEO, Format
from fastembed.inference.library.shipped import is_stand_in_for
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.document import Document, DocumentRequest, File, UnreadPart
from fastembed.server.http.multipart import MultipartForm
from fastembed.server.http.request_body import header
from fastembed.server.wire.base64_text import decode_base64
from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.fields import Fields, refuse
from fastembed.server.wire.headers import model_headers
from fastembed.server.wire.operation import Operation, PipelineEndpoint
from fastembed.server.wire.schema import an_object, choice, flag, string
from fastembed.server.wire.unknown_fields import UnknownFields

Output = Literal["markdown", "html", "json"]

MODEL_FREE: Final = "model-free"
_TYPES: Final = tuple(
    dict.fromkeys(
        [
            "pdf",
            "image",
            *(format_ for format_ in Format if format_ not in IMAGES),
            *sorted(suffix[1:] for suffix in SOUND | VIDEO),
        ]
    )
)
_SUFFIXES: Final = {"image": "png"}  # a JPG or TIFF is one, too: nothing depends on which
_CONTENTS: Final = {
    "base64": ("content", "base64 of a file"),
    "url": ("content", "an http(s) URL"),
    "upload_id": ("upload_id", "the id of an uploaded file"),
}
"""Where the document is, by `source`: the field, and what it holds."""
_MOST_NAME: Final = 255
_LONGEST_SUFFIX: Final = 16
_FLAGS: Final = {"true": True, "false": False, "1": True, "0": False}
_OUTPUTS: Final = ("markdown", "html", "json")
_PARTS: Final = ("text", "tables", "images", "formulas")
_OPTIONS: Final = frozenset(("output_format", *(f"extract_{part}" for part in _PARTS)))

OPERATION: Final = Operation(
    "POST",
    "/v1/documents/process",
    "Read a document",
    body=an_object(
        {
            "document": an_object(
                {
                    "name": string("the file's name, which the answer repeats", most=_MOST_NAME),
                    "type": choice(*_TYPES),
                    "source": choice(*_CONTENTS),
                    "content": string("base64, a data URL, or with the source url a URL"),
                    "upload_id": string("the id of a file of /v1/files, with the source upload_id"),
                },
                required=("type", "source"),
            ),
            "processing_options": an_object(
                {"output_format": choice(*_OUTPUTS), **{f"extract_{part}": flag(default=True) for part in _PARTS}}
            ),
            "model": string("a document model, or auto", most=256),
        },
        required=("document",),
    ),
)


@dataclass(frozen=True, slots=True)
class ProcessingRequest:
    """A checked request. content: as `source` says, base64, a URL or the id of a file.

    parts: what the answer shall hold, out of `_PARTS`. name: of the file, "" where none is given.
    """

    kind: str
    source: str
    content: str | bytes
    model: str
    output: Output
    parts: frozenset[str]
    name: str = ""


async def answer_document(exchange: Exchange) -> None:
    """POST /v1/documents/process."""
    began = time.perf_counter()
    form = (header(exchange.scope, b"content-type") or b"").lower().startswith(b"multipart/form-data")
    request = (
        decode_form(await exchange.form(), UnknownFields.of(exchange.scope))
        if form
        else decode(await exchange.fields())
    )
    with exchange.watched():
        content = await _content(request, exchange)
        with tempfile.TemporaryDirectory(prefix="fastembed-") as folder:
            file = await asyncio.to_thread(_write_file, request, content, Path(folder))
            item = DocumentRequest(file, request.model, html=request.output == "html")
            try:
                async with exchange.submitted(item) as (results,):
                    document = await results.one()
            except InvalidInput as error:
                raise _about_the_request(error, request, file.name) from error
    model = document.model or MODEL_FREE
    body = await asyncio.to_thread(encode, document, request, exchange.request_id, began)
    await exchange.respond(body, headers=model_headers(model, "pocket" if is_stand_in_for("document", model) else ""))


def decode(fields: Fields) -> ProcessingRequest:
    """Check a request's JSON. InvalidInput names the field, what was found and what was expected."""
    fields.known(OPERATION.fields)
    document = fields.required("document", 'an object {"type", "source": "base64", "content"}')
    kind = document.choice("type", _TYPES) or document.refuse("type", f"one of {', '.join(_TYPES)}")
    source = document.choice("source", tuple(_CONTENTS)) or document.refuse("source", f"one of {', '.join(_CONTENTS)}")
    name, expected = _CONTENTS[source]
    content = document.needed(name, expected)
    file_name = document.text("name", most=_MOST_NAME) or ""
    document.known({"type", "source", "name", name})
    options = fields.object("processing_options") or fields.inner({}, "processing_options")
    options.known(_OPTIONS)
    return _request(fields, options, kind, source, content, name=file_name)


def decode_form(form: MultipartForm, unknown: UnknownFields | None = None) -> ProcessingRequest:
    """Check a request that came as a form: a file in the field `file`. InvalidInput names what is wrong with it."""
    upload = form.files.get("file")
    if upload is None or len(form.files) > 1:
        found = f"the files {', '.join(sorted(form.files))}" if form.files else "no file"
        refuse(f"found {found}, expected one, in the field file", "file", "missing_required_parameter")
    typed = {
        name: _FLAGS.get(text, text) if name.startswith("extract_") else text for name, text in form.fields.items()
    }
    fields = Fields(typed, unknown=unknown)
    fields.known(_OPTIONS | {"model"})
    name = Path(upload.name.replace("\\", "/")).name[:_MOST_NAME]
    return _request(fields, fields, Path(name).suffix[1:].lower(), "file", upload.data, name=name)


def _request(
    fields: Fields, options: Fields, kind: str, source: str, content: str | bytes, *, name: str
) -> ProcessingRequest:
    return ProcessingRequest(
        kind=kind,
        source=source,
        content=content,
        model=fields.text("model", most=256) or "auto",
        output=cast("Output", options.choice("output_format", _OUTPUTS) or "markdown"),
        parts=frozenset(part for part in _PARTS if options.flag(f"extract_{part}", default=True)),
        name=name,
    )


def encode(document: Document, request: ProcessingRequest, request_id: str, began: float) -> bytes:
    """Return the response's JSON. began: `time.perf_counter()` when the request came."""
    structure = orjson.loads(document.structure)
    contents = {"markdown": document.markdown, "html": document.html, "json": structure}
    parts = {
        "content": contents[request.output] if "text" in request.parts else None,
        "tables": tables_of(structure) if "tables" in request.parts else None,
        "images": images_of(structure) if "images" in request.parts else None,
        "formulas": formulas_of(structure) if "formulas" in request.parts else None,
    }
    return orjson.dumps(
        {
            "id": f"doc-{request_id}",
            "object": "document",
            "name": document.file.name,
            "created": int(time.time()),
            "model": document.model or MODEL_FREE,
            "parser": document.parser,
            "title": document.title,
            "page_count": document.page_count,
            "ocr_pages": document.ocr_pages,
            "metadata": document.metadata,
            "pages_without_model": document.unread,
            "output_format": request.output,
            **{name: part for name, part in parts.items() if part is not None},
            **({"parts": [_part(part) for part in document.parts]} if document.parts else {}),
            "warnings": document.warnings,
            "timings": {"parse_seconds": document.parse_seconds, "total_seconds": time.perf_counter() - began},
        }
    )


def _part(part: Document | UnreadPart) -> dict[str, Any]:
    """Return a file within the document: its Markdown, or why there is none."""
    if isinstance(part, UnreadPart):
        return {"name": part.file.name, "reason": part.reason}
    return {
        "name": part.file.name,
        "title": part.title,
        "parser": part.parser,
        "page_count": part.page_count,
        "metadata": part.metadata,
        "content": part.markdown,
        "warnings": part.warnings,
    }


def tables_of(structure: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each table's page, and its rows of cells; one that spans several places is in each of them."""
    return [{"page": _page(table), "rows": _rows(table["data"])} for table in structure.get("tables", ())]


def images_of(structure: dict[str, Any]) -> dict[str, Any]:
    """Return how many pictures there are, and the page and caption of each."""
    pictures = structure.get("pictures", ())
    items = [{"page": _page(picture), "caption": _caption(picture, structure)} for picture in pictures]
    return {"count": len(items), "items": items}


def formulas_of(structure: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each display formula: its page, and its LaTeX if the parser has it, else its text."""
    texts = structure.get("texts", ())
    return [{"page": _page(text), "text": text["text"]} for text in texts if text["label"] == "formula"]


def _about_the_request(error: InvalidInput, request: ProcessingRequest, name: str) -> InvalidInput:
    """Return a parser's error with the field that it is about: parsers name a file, which the request does not."""
    if error.param is not None:
        return error
    if request.source == "file":
        return type(error)(error.message, param="file", code=error.code)
    said = error.message.removeprefix(f"{name}: ").replace("as its name says", "as document.type says")
    place = f"document.{_CONTENTS[request.source][0]}"
    return type(error)(f"{place}: {said}", param=place, code=error.code)


async def _content(request: ProcessingRequest, exchange: Exchange) -> str | bytes:
    """Return the base64 text that a request holds, or the bytes that it refers to."""
    most, references = exchange.source.max_body_bytes, exchange.references
    if isinstance(request.content, bytes):
        return request.content
    if request.source == "url":
        return await references.url(request.content, most_bytes=most, place="document.content")
    if request.source == "upload_id":
        return (await references.file(request.content, most_bytes=most, place="document.upload_id"))[1]
    return request.content


def _write_file(request: ProcessingRequest, content: str | bytes, folder: Path) -> File:
    """Write the document of a request into a folder."""
    if isinstance(content, str):
        encoded = content.partition(",")[2] if content.startswith("data:") else content
        content = decode_base64(encoded, "document.content")
    suffix = _SUFFIXES.get(request.kind, request.kind)
    path = folder / (f"document.{suffix[:_LONGEST_SUFFIX]}" if suffix.isalnum() else "document")
    name = request.name or path.name
    path.write_bytes(content)
    return File(path, name, hashlib.sha256(content).hexdigest(), len(content), 0)


def _rows(data: dict[str, Any]) -> list[list[str]]:
    rows = [[""] * data["num_cols"] for _ in range(data["num_rows"])]
    for cell in data["table_cells"]:
        for row in range(cell["start_row_offset_idx"], cell["end_row_offset_idx"]):
            for column in range(cell["start_col_offset_idx"], cell["end_col_offset_idx"]):
                rows[row][column] = cell["text"]
    return rows


def _page(item: dict[str, Any]) -> int | None:
    places = item.get("prov")
    return places[0]["page_no"] if places else None


def _caption(picture: dict[str, Any], structure: dict[str, Any]) -> str:
    """Return a picture's captions, each a reference such as `#/texts/3`."""
    indexes = [int(caption["$ref"].rpartition("/")[2]) for caption in picture.get("captions", ())]
    return " ".join(structure["texts"][index]["text"] for index in indexes)


ENDPOINT: Final = PipelineEndpoint(OPERATION, answer_document, DocumentRequest, Document)
