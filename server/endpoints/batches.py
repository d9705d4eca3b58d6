"""/v1/batches (OpenAI API 2.3.0): a file of requests in, files of answers out, while nobody waits.

The lines go through the pipeline whose source is `batches`; `fastembed.server.batches.keeper` says how a batch begins
and ends.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fastembed.pipeline.errors import Conflict, InvalidInput, NotFound, Unavailable
from fastembed.pipeline.units import parse_duration
from fastembed.server.batches.keeper import ENDPOINTS, MAX_FILE_BYTES
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.files.store import FileStore
from fastembed.server.http.scopes import needed_scope, require_scope
from fastembed.server.wire.expiry import EXPIRY, read_expiry
from fastembed.server.wire.fields import Fields, read_fields
from fastembed.server.wire.metadata import MAX_METADATA, read_metadata
from fastembed.server.wire.operation import Operation
from fastembed.server.wire.responses import json_answer, listing, whole_parameter
from fastembed.server.wire.schema import an_object, choice, string, whole
from fastembed.sources.batching.record import BatchRecord, BatchStatus, new_batch_id
from fastembed.sources.batching.store import BatchStore
from fastembed.sources.batching.work import BatchWork

MAX_PAGE: Final = 100
_PAGE: Final = 20
_MAX_BODY_BYTES: Final = 2**20
_LEAST_S: Final = 60.0
_MOST_S: Final = 30 * 86_400.0
_TIMES: Final = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")

_CREATE: Final = Operation(
    "POST",
    "/v1/batches",
    "Have the requests of a file answered",
    body=an_object(
        {
            "input_file_id": string("a file of JSON Lines: custom_id, method, url and body"),
            "endpoint": choice(*ENDPOINTS),
            "completion_window": string("how long it may take: 24h, or another time from 1m to 30d"),
            "metadata": an_object(about=f"at most {MAX_METADATA} pairs of strings"),
            "output_expires_after": an_object(EXPIRY, required=tuple(EXPIRY)),
        },
        required=("input_file_id", "endpoint", "completion_window"),
    ),
)
_LIST: Final = Operation(
    "GET",
    "/v1/batches",
    "The batches of this API key, the newest first",
    query={"after": string("the id of the last batch of the page before"), "limit": whole(1, MAX_PAGE)},
)
_SHOW: Final = Operation("GET", "/v1/batches/{id}", "One batch, and how far it is")
_CANCEL: Final = Operation("POST", "/v1/batches/{id}/cancel", "Answer no further lines of a batch")
OPERATIONS: Final = (_CREATE, _LIST, _SHOW, _CANCEL)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the routes; none where no files are stored."""
    work = site.resources.find(BatchWork)
    if site.files is None or work is None:
        return []
    own = _Batches(site, site.files, work)

    async def collection(request: Request) -> Response:
        return await (own.create if request.method == "POST" else own.page)(request)

    return [
        Route(_LIST.path, collection, methods=[_LIST.method, _CREATE.method]),
        _SHOW.route(own.show),
        _CANCEL.route(own.cancel),
    ]


class _Batches:
    """The handlers."""

    def __init__(self, site: ServerContext, files: FileStore, work: BatchWork) -> None:
        self._site = site
        self._files = files
        self._work = work
        self._store: BatchStore = work.store

    async def create(self, request: Request) -> Response:
        fields = await read_fields(request.scope, request.receive, max_bytes=_MAX_BODY_BYTES)
        self._check_pipeline()
        record = self._read(fields, request)
        require_scope(request.scope, needed_scope(record.body["endpoint"]), record.body["endpoint"])
        found = await asyncio.to_thread(
            self._files.find, record.owner, record.body["input_file_id"], param="input_file_id"
        )
        if found.size_bytes > MAX_FILE_BYTES:
            text = f"found a file of {found.size_bytes:,} bytes, expected at most {MAX_FILE_BYTES:,}"
            raise InvalidInput(text, param="input_file_id")
        await asyncio.to_thread(self._store.create, record)
        self._work.stir()
        return json_answer(describe(record, (0, 0, 0)))

    async def page(self, request: Request) -> Response:
        limit = whole_parameter(request, "limit", default=_PAGE, most=MAX_PAGE)
        after = request.query_params.get("after", "")
        found, more = await asyncio.to_thread(self._store.page, request.scope["owner"], after=after, limit=limit)
        rows = [await self._described(record) for record in found]
        ends = {"first_id": found[0].id, "last_id": found[-1].id} if found else {"first_id": None, "last_id": None}
        return listing(rows, has_more=more, **ends)

    async def show(self, request: Request) -> Response:
        return json_answer(await self._described(await self._find(request)))

    async def cancel(self, request: Request) -> Response:
        record = await self._find(request)
        states: list[BatchStatus] = ["validating", "in_progress"]
        now = int(self._store.clock())
        changed = await asyncio.to_thread(self._store.advance, record.id, states, "cancelling", {"cancelling_at": now})
        if changed is None and (record := await self._find(request)).status not in ("cancelling", "cancelled"):
            raise Conflict(f"found the batch {record.status}, expected one that is in progress", param="id")
        self._work.cancel(record.id)
        self._work.stir()
        return json_answer(await self._described(changed or record))

    def _check_pipeline(self) -> None:
        if self._work.sources:
            return
        if self._site.lifecycle.phase == "starting":
            raise Unavailable("the server is starting; batches may be served soon, try again", retry_after_s=1.0)
        raise NotFound(
            "found no pipeline with the source batches, expected one in pipelines.yaml: "
            "`batches: {source: batches, operators: [request], sink: reply}`",
            code="unknown_url",
        )

    def _read(self, fields: Fields, request: Request) -> BatchRecord:
        fields.known(_CREATE.fields)
        now_s = self._store.clock()
        window = fields.needed("completion_window", "24h")
        try:
            window_s = parse_duration(window)
        except ValueError:
            window_s = 0.0
        if not _LEAST_S <= window_s <= _MOST_S:
            fields.refuse("completion_window", "24h, or another time from 1m to 30d")
        body: dict[str, Any] = {
            "endpoint": fields.choice("endpoint", ENDPOINTS) or fields.refuse("endpoint", ", ".join(ENDPOINTS)),
            "input_file_id": fields.needed("input_file_id", "the id of an uploaded file"),
            "completion_window": window,
            "expires_at": int(now_s + window_s),
            "metadata": dict(read_metadata(fields)) or None,
            "output_expires_s": read_expiry(fields, "output_expires_after"),
        }
        scope = request.scope
        return BatchRecord(new_batch_id(now_s), scope["owner"], scope.get("key", ""), "validating", int(now_s), body)

    async def _find(self, request: Request) -> BatchRecord:
        return await asyncio.to_thread(self._store.find, request.scope["owner"], request.path_params["id"])

    async def _described(self, record: BatchRecord) -> dict[str, Any]:
        if (counts := record.body.get("counts")) is not None:
            return describe(record, (counts["total"], counts["completed"], counts["failed"]))
        return describe(record, await asyncio.to_thread(self._store.counts, record.id))


def describe(record: BatchRecord, counts: tuple[int, int, int]) -> dict[str, Any]:
    """Return a batch object. counts: all lines, those that ended well, those that did not."""
    body = record.body
    ended = record.status in ("completed", "expired", "cancelled")
    return {
        "id": record.id,
        "object": "batch",
        "endpoint": body["endpoint"],
        "errors": body.get("errors"),
        "input_file_id": body["input_file_id"],
        "completion_window": body["completion_window"],
        "status": record.status,
        "output_file_id": body.get("output_file_id") if ended else None,
        "error_file_id": body.get("error_file_id") if ended else None,
        "created_at": record.created_at,
        "expires_at": body["expires_at"],
        **{f"{name}_at": body.get(f"{name}_at") for name in _TIMES},
        "request_counts": dict(zip(("total", "completed", "failed"), counts, strict=True)),
        "metadata": body["metadata"],
    }
