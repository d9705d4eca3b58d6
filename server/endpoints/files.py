"""Files as OpenAI's clients upload them: POST and GET /v1/files, GET and DELETE /v1/files/{id}, /v1/files/{id}/content.

Each belongs to the API key that it came with; to another key's holder it is not there.
"""

from __future__ import annotations

import asyncio
from typing import Any, BinaryIO, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from fastembed.pipeline.errors import InvalidInput, TooLarge
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.files.record import PURPOSES, StoredFile, is_id
from fastembed.server.files.store import MAX_FILE_BYTES, MAX_FILES, FileStore, IncomingFile
from fastembed.server.http.multipart import MultipartForm, spool_form
from fastembed.server.http.request_body import BODY_TOO_LARGE, declared_bytes, linger
from fastembed.server.wire.expiry import EXPIRY, read_expiry, typed_expiry
from fastembed.server.wire.fields import Fields, refuse
from fastembed.server.wire.operation import FORM, Operation
from fastembed.server.wire.responses import json_answer, listing, whole_parameter
from fastembed.server.wire.schema import an_object, choice, string, whole
from fastembed.server.wire.unknown_fields import UnknownFields

BATCH_S: Final = 30 * 86_400
"""How long the files of batches stay where nothing else is said, as OpenAI has it."""
_FORM_BYTES: Final = 2**20
"""What a form may have around its file."""
_PIECE_BYTES: Final = 2**18


_UPLOAD: Final = Operation(
    "POST",
    "/v1/files",
    "Upload a file",
    body=an_object(
        {
            "file": {"type": "string", "format": "binary"},
            "purpose": choice(*PURPOSES),
            "expires_after": an_object(EXPIRY, required=tuple(EXPIRY)),
        },
        required=("file", "purpose"),
    ),
    media=FORM,
)
_LIST: Final = Operation(
    "GET",
    "/v1/files",
    "The files of this API key",
    query={
        "after": string("the id of the last file of the page before"),
        "limit": whole(1, MAX_FILES),
        "order": choice("asc", "desc"),
        "purpose": string(),
    },
)
_DESCRIBE: Final = Operation("GET", "/v1/files/{id}", "One file")
_DELETE: Final = Operation("DELETE", "/v1/files/{id}", "Delete a file")
_CONTENT: Final = Operation(
    "GET", "/v1/files/{id}/content", "A file's bytes", answer={"application/octet-stream": {"format": "binary"}}
)
OPERATIONS: Final = (_UPLOAD, _LIST, _DESCRIBE, _DELETE, _CONTENT)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the routes; none where the server stores no files."""
    store = site.files
    if store is None:
        return []

    async def collection(request: Request) -> Response:
        return await (_create if request.method == "POST" else _list)(store, request)

    async def one(request: Request) -> Response:
        work = store.delete if request.method == "DELETE" else store.find
        found = await asyncio.to_thread(work, _owner(request), request.path_params["id"], param="id")
        if request.method == "DELETE":
            return json_answer({"id": found.id, "object": "file", "deleted": True})
        return json_answer(describe(found))

    async def content(request: Request) -> Response:
        found, file = await asyncio.to_thread(store.open, _owner(request), request.path_params["id"], param="id")
        return _Content(found, file)

    return [
        Route(_LIST.path, collection, methods=[_LIST.method, _UPLOAD.method]),
        Route(_DESCRIBE.path, one, methods=[_DESCRIBE.method, _DELETE.method]),
        _CONTENT.route(content),
    ]


def describe(found: StoredFile) -> dict[str, Any]:
    """Return a file object."""
    return {
        "id": found.id,
        "object": "file",
        "bytes": found.size_bytes,
        "created_at": found.created_at,
        "expires_at": found.expires_at,
        "filename": found.name,
        "purpose": found.purpose,
        "status": "processed",
        "status_details": None,
    }


async def _create(store: FileStore, request: Request) -> Response:
    scope, receive = request.scope, request.receive
    incoming: IncomingFile | None = None
    try:
        incoming = await asyncio.to_thread(store.receive, _owner(request), declared=declared_bytes(scope))
        form = await spool_form(scope, receive, max_bytes=MAX_FILE_BYTES + _FORM_BYTES, write=incoming.write)
        name, purpose, expires_after_s = _read(form, UnknownFields.of(scope))
        if not incoming.size_bytes:
            refuse("found an empty file, expected at least one byte", "file", "empty_file")
        found = await asyncio.to_thread(incoming.keep, name=name, purpose=purpose, expires_after_s=expires_after_s)
    except TooLarge as error:
        if error.code != BODY_TOO_LARGE:
            await linger(receive)
        raise
    finally:
        if incoming is not None:
            await asyncio.to_thread(incoming.close)
    return json_answer(describe(found))


async def _list(store: FileStore, request: Request) -> Response:
    asked = request.query_params
    order = asked.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidInput(f"found {order[:40]!r}, expected asc or desc for order", param="order")
    after = asked.get("after", "")
    if after and not is_id(after):
        raise InvalidInput(f"found {after[:80]!r}, expected the id of a file for after", param="after")
    found, more = await asyncio.to_thread(
        store.page,
        _owner(request),
        after=after,
        limit=whole_parameter(request, "limit", default=MAX_FILES, most=MAX_FILES),
        oldest_first=order == "asc",
        purpose=asked.get("purpose", ""),
    )
    ends = {"first_id": found[0].id, "last_id": found[-1].id} if found else {"first_id": None, "last_id": None}
    return listing([describe(file) for file in found], has_more=more, **ends)


def _read(form: MultipartForm, unknown: UnknownFields) -> tuple[str, str, int | None]:
    """Check a form. Return the file's name, its purpose, and when it goes (seconds)."""
    typed = dict(form.fields)
    typed_expiry(typed)
    fields = Fields(typed, unknown=unknown)
    fields.known(_UPLOAD.fields)
    if "file" in form.fields:
        refuse("found a field without a filename, expected a file", "file", "invalid_type")
    if set(form.files) != {"file"}:
        found = ", ".join(sorted(form.files)) or "none"
        refuse(f"found the files {found:.200}, expected one, in the field file", "file", "missing_required_parameter")
    purpose = fields.choice("purpose", PURPOSES) or fields.refuse("purpose", f"one of {', '.join(PURPOSES)}")
    return form.files["file"].name, purpose, read_expiry(fields) or (BATCH_S if purpose == "batch" else None)


def _owner(request: Request) -> str:
    owner: str = request.scope["owner"]
    return owner


class _Content(Response):
    """A file's bytes, read as the client takes them; an attachment, so that a browser never renders uploads."""

    def __init__(self, found: StoredFile, file: BinaryIO) -> None:
        plain = "".join(letter if " " <= letter <= "~" else "_" for letter in found.name)
        coded = quote(found.name, safe="")  # RFC 8187
        super().__init__(
            headers={
                "content-length": str(found.size_bytes),
                "content-disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{coded}",
            },
            media_type="application/octet-stream",
        )
        self._file = file

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        with self._file:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while scope["method"] != "HEAD" and (piece := await asyncio.to_thread(self._file.read, _PIECE_BYTES)):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
