"""Large files in parts, as OpenAI's clients upload them: /v1/uploads, .../parts, .../complete, .../cancel."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from fastembed.pipeline.errors import TooLarge
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.endpoints.files import BATCH_S, describe
from fastembed.server.files.record import PURPOSES, StoredFile, clean_name
from fastembed.server.files.store import MAX_FILE_BYTES
from fastembed.server.files.uploads import MAX_PART_BYTES, MAX_PARTS, PartialUpload, UploadStore
from fastembed.server.http.multipart import spool_form
from fastembed.server.http.request_body import BODY_TOO_LARGE, linger
from fastembed.server.wire.expiry import EXPIRY, read_expiry
from fastembed.server.wire.fields import read_fields, refuse
from fastembed.server.wire.operation import FORM, Operation
from fastembed.server.wire.responses import json_answer
from fastembed.server.wire.schema import an_object, choice, listed, string, whole

_MAX_BODY_BYTES: Final = 2**20
_FORM_BYTES: Final = 2**16

_CREATE: Final = Operation(
    "POST",
    "/v1/uploads",
    "Begin to upload a file in parts",
    body=an_object(
        {
            "filename": string(),
            "purpose": choice(*PURPOSES),
            "bytes": whole(1, MAX_FILE_BYTES, "of the whole file"),
            "mime_type": string("checked, without effect: what a file is, its bytes tell"),
            "expires_after": an_object(EXPIRY, required=tuple(EXPIRY)),
        },
        required=("filename", "purpose", "bytes", "mime_type"),
    ),
)
_PART: Final = Operation(
    "POST",
    "/v1/uploads/{id}/parts",
    "Upload one part",
    body=an_object({"data": {"type": "string", "format": "binary"}}, required=("data",)),
    media=FORM,
)
_COMPLETE: Final = Operation(
    "POST",
    "/v1/uploads/{id}/complete",
    "Make a file of the parts",
    body=an_object(
        {"part_ids": listed(string(), "in the order of the file", most=MAX_PARTS), "md5": string("of the whole file")},
        required=("part_ids",),
    ),
)
_CANCEL: Final = Operation("POST", "/v1/uploads/{id}/cancel", "Give an upload up")
OPERATIONS: Final = (_CREATE, _PART, _COMPLETE, _CANCEL)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the routes; none where the server stores no files."""
    if site.uploads is None:
        return []
    own = _Uploads(site.uploads)
    return [
        _CREATE.route(own.create),
        _PART.route(own.part),
        _COMPLETE.route(own.complete),
        _CANCEL.route(own.cancel),
    ]


class _Uploads:
    """The handlers."""

    def __init__(self, store: UploadStore) -> None:
        self._store = store

    async def create(self, request: Request) -> Response:
        fields = await read_fields(request.scope, request.receive, max_bytes=_MAX_BODY_BYTES)
        fields.known(_CREATE.fields)
        purpose = fields.choice("purpose", PURPOSES) or fields.refuse("purpose", f"one of {', '.join(PURPOSES)}")
        fields.needed("mime_type", "a media type such as application/pdf")
        size = fields.whole("bytes", 1, MAX_FILE_BYTES)
        found = await asyncio.to_thread(
            self._store.create,
            request.scope["owner"],
            name=clean_name(fields.needed("filename", "the file's name")),
            purpose=purpose,
            size_bytes=fields.refuse("bytes", f"1 to {MAX_FILE_BYTES:,}") if size is None else size,
            expires_after_s=read_expiry(fields) or (BATCH_S if purpose == "batch" else None),
        )
        return json_answer(_upload(found))

    async def part(self, request: Request) -> Response:
        id_ = request.path_params["id"]
        incoming = await asyncio.to_thread(self._store.receive, request.scope["owner"], id_)
        try:
            form = await spool_form(
                request.scope, request.receive, max_bytes=MAX_PART_BYTES + _FORM_BYTES, write=incoming.write
            )
            if set(form.files) != {"data"} or not incoming.size_bytes:
                refuse("expected one file that is not empty, in the field data", "data", "missing_required_parameter")
            part = await asyncio.to_thread(incoming.keep)
        except TooLarge as error:
            if error.code != BODY_TOO_LARGE:
                await linger(request.receive)
            raise
        finally:
            await asyncio.to_thread(incoming.close)
        return json_answer({"id": part, "object": "upload.part", "created_at": int(time.time()), "upload_id": id_})

    async def complete(self, request: Request) -> Response:
        fields = await read_fields(request.scope, request.receive, max_bytes=_MAX_BODY_BYTES)
        fields.known(_COMPLETE.fields)
        parts = [
            part if isinstance(part, str) else refuse("expected the id of a part", place, "invalid_type")
            for place, part in fields.entries("part_ids", "the ids of the parts, in order", most=MAX_PARTS)
        ]
        done, stored = await asyncio.to_thread(
            self._store.complete, request.scope["owner"], request.path_params["id"], parts, fields.text("md5")
        )
        return json_answer(_upload(done, stored))

    async def cancel(self, request: Request) -> Response:
        found = await asyncio.to_thread(self._store.cancel, request.scope["owner"], request.path_params["id"])
        return json_answer(_upload(found))


def _upload(found: PartialUpload, stored: StoredFile | None = None) -> dict[str, Any]:
    """Return an upload object."""
    return {
        "id": found.id,
        "object": "upload",
        "bytes": found.size_bytes,
        "created_at": found.created_at,
        "filename": found.name,
        "purpose": found.purpose,
        "status": found.status,
        "expires_at": found.expires_at,
        "file": None if stored is None else describe(stored),
    }
