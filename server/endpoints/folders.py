"""Watched folders over HTTP: GET /v1/folders lists them, POST /v1/folders/{pipeline}/files drops a file into one.

A file is there for its pipeline when it is whole; a name that is taken by other content is a 409, and nothing is ever
overwritten. Subfolders cannot be named: of a path only the last part counts.
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from fastembed.pipeline.errors import InvalidInput, NotFound, TooLarge
from fastembed.pipeline.names import did_you_mean
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.files.dropped import DroppedFile, dropped_name
from fastembed.server.files.store import MAX_FILE_BYTES
from fastembed.server.http.multipart import MultipartForm, spool_form
from fastembed.server.http.request_body import BODY_TOO_LARGE, linger
from fastembed.server.wire.fields import Fields, refuse
from fastembed.server.wire.operation import FORM, Operation
from fastembed.server.wire.responses import json_answer, listing
from fastembed.server.wire.schema import an_object
from fastembed.server.wire.unknown_fields import UnknownFields
from fastembed.sources.folder import Folder

_FORM_BYTES: Final = 2**20

_LIST: Final = Operation("GET", "/v1/folders", "The watched folders")
_DROP: Final = Operation(
    "POST",
    "/v1/folders/{pipeline}/files",
    "Drop a file into a watched folder",
    body=an_object({"file": {"type": "string", "format": "binary"}}, required=("file",)),
    media=FORM,
)
OPERATIONS: Final = (_LIST, _DROP)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the routes."""

    async def folders(_: Request) -> Response:
        sources = {view.name: view.source.removeprefix("folder ") for view in site.running.views()}
        return listing([{"pipeline": name, "folder": sources[name]} for name in site.running.folders()])

    async def drop(request: Request) -> Response:
        pipeline = request.path_params["pipeline"]
        return await _drop(_folder(site, pipeline), pipeline, request)

    return [_LIST.route(folders), _DROP.route(drop)]


def _folder(site: ServerContext, pipeline: str) -> Folder:
    known = site.running.folders()
    if pipeline not in known:
        expected = f"expected one of {', '.join(known)}" if known else "there is none here"
        near = did_you_mean(pipeline, list(known))
        raise NotFound(
            f"found no pipeline {pipeline!r:.80} with a folder as source, {expected}{near}",
            param="pipeline",
        )
    return known[pipeline]


async def _drop(folder: Folder, pipeline: str, request: Request) -> Response:
    scope, receive = request.scope, request.receive
    dropped: DroppedFile | None = None
    try:
        dropped = await asyncio.to_thread(DroppedFile, folder.root)
        form = await spool_form(scope, receive, max_bytes=MAX_FILE_BYTES + _FORM_BYTES, write=dropped.write)
        name = _name(form, UnknownFields.of(scope), folder)
        is_new = await asyncio.to_thread(dropped.place, name)
    except TooLarge as error:
        if error.code != BODY_TOO_LARGE:
            await linger(receive)
        raise
    finally:
        if dropped is not None:
            await asyncio.to_thread(dropped.close)
    state = "written" if is_new else "unchanged"
    answer = {"object": "folder.file", "pipeline": pipeline, "name": name, "bytes": dropped.size_bytes, "state": state}
    return json_answer(answer, 201 if is_new else 200)


def _name(form: MultipartForm, unknown: UnknownFields, folder: Folder) -> str:
    """Return the name for the file of a form. InvalidInput: there is no file, or the pipeline does not take it."""
    Fields(dict(form.fields), unknown=unknown).known(_DROP.fields)
    if set(form.files) != {"file"}:
        found = ", ".join(sorted(form.files)) or "none"
        refuse(f"found the files {found:.200}, expected one, in the field file", "file", "missing_required_parameter")
    name = dropped_name(form.files["file"].name)
    if why := folder.why_ignored(name):
        raise InvalidInput(f"{name} would not be read: {why}", param="file", code="ignored_file")
    return name
