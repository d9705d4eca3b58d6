"""Takes batches from state to state: validates what came in, ends what is answered, cancelled or expired.

    validating -> in_progress -> finalizing -> completed
    validating -> failed
    in_progress -> cancelling -> cancelled
    in_progress -> expired (expires_at has passed)

Theory of operation. Every step reads the batch's state from the store and writes the next one in one transaction, so a
killed server goes on where it was. An output file's id is written down before the file is kept: after a crash
between the two the file that is there is taken, and none is left behind.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from fastembed.pipeline.errors import ItemError, NotFound, Unavailable
from fastembed.server.files.store import FileStore
from fastembed.sources.batching.record import BatchLine, BatchRecord, BatchStatus, LineResult
from fastembed.sources.batching.store import BatchStore
from fastembed.sources.batching.work import BatchWork

MAX_LINES: Final = 50_000
MAX_FILE_BYTES: Final = 200 * 2**20
"""OpenAI's limits."""
ENDPOINTS: Final = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/rerank")
KEPT_S: Final = 30 * 86_400
"""How long the files of a batch stay where nothing else is said."""

_log: Final = logging.getLogger("fastembed.batches")
_MAX_ERRORS: Final = 100
_MAX_ID_CHARS: Final = 512
_LOOK_S: Final = 5.0
_UNANSWERED: Final[Mapping[BatchStatus, tuple[str, str]]] = {
    "expired": ("batch_expired", "This request could not be executed before the completion window expired."),
    "cancelled": ("batch_cancelled", "The batch was cancelled before this request was executed."),
}


class BatchKeeper:
    """Owns the batches' states. files: where their files are."""

    def __init__(self, work: BatchWork, files: FileStore) -> None:
        self._work = work
        self._store: BatchStore = work.store
        self._files = files
        self._changed = work.watch()

    async def run(self) -> None:
        """Take batches further until cancelled; a disk that fails is logged, and tried again."""
        while True:
            self._changed.clear()
            try:
                for record in await asyncio.to_thread(self._mine):
                    await self._step(record)
                await asyncio.to_thread(self._store.sweep)
            except (OSError, Unavailable) as error:
                _log.warning("batches cannot go on: %s", error)
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _mine(self) -> Sequence[BatchRecord]:
        return self._store.open_batches() if self._store.leads() else ()

    async def _step(self, record: BatchRecord) -> None:
        now = int(self._store.clock())
        if record.status == "validating":
            await asyncio.to_thread(self._validate, record, now)
        elif record.status == "in_progress" and record.body["expires_at"] <= now:
            await self._finish(record, "expired", now)
        elif record.status == "in_progress":
            if not await asyncio.to_thread(self._store.pending, record.id, limit=1) and self._work.is_idle(record.id):
                await self._finish(record, "completed", now)
        elif record.status == "cancelling":
            await self._finish(record, "cancelled", now)
        else:
            await self._finish(record, "completed", now)
        self._work.stir()

    async def _finish(self, record: BatchRecord, end: BatchStatus, now: int) -> None:
        """End a batch; lines that are under way are cancelled first, and waited for."""
        if not self._work.is_idle(record.id):
            self._work.cancel(record.id)
            return
        await asyncio.to_thread(self._write_files, record, end, now)

    def _validate(self, record: BatchRecord, now: int) -> None:
        try:
            _, text = self._files.read(record.owner, record.body["input_file_id"], most_bytes=MAX_FILE_BYTES)
            lines, errors = read_lines(record, text)
        except ItemError as error:
            lines, errors = [], [_problem("invalid_input_file", error.message, None)]
        if errors:
            found = {"errors": {"object": "list", "data": errors[:_MAX_ERRORS]}, "failed_at": now}
            self._store.advance(record.id, ["validating"], "failed", found)
            _log.info("%s: not begun: %s", record.id, errors[0]["message"])
        else:
            self._store.advance(record.id, ["validating"], "in_progress", {"in_progress_at": now}, lines)
            _log.info("%s: began with %d lines", record.id, len(lines))

    def _write_files(self, record: BatchRecord, end: BatchStatus, now: int) -> None:
        """Write the output and the error file, then end the batch."""
        states: list[BatchStatus] = ["in_progress", "finalizing", "cancelling"]
        status: BatchStatus = "cancelling" if record.status == "cancelling" else "finalizing"
        if end == "expired":  # stays in progress: should this process end here, the next one finds it expired again
            status = "in_progress"
        held = self._store.advance(record.id, states, status, {"finalizing_at": now})
        if held is None:
            return
        total, completed, failed = self._store.counts(record.id)
        counts = {"total": total, "completed": completed, "failed": total - completed}
        try:
            output = self._write(held, "output", end, completed > 0)
            errors = self._write(held, "error", end, completed < total)
        except ItemError as error:
            if isinstance(error, Unavailable):
                raise
            problem = {"object": "list", "data": [_problem("output_not_stored", error.message, None)]}
            self._store.advance(record.id, states, "failed", {"errors": problem, "failed_at": now, "counts": counts})
            return
        ended = {"output_file_id": output, "error_file_id": errors, f"{end}_at": now, "counts": counts}
        self._store.advance(record.id, states, end, ended)
        _log.info("%s: %s, %d of %d lines answered well, %d not", record.id, end, completed, total, failed)

    def _write(self, record: BatchRecord, kind: str, end: BatchStatus, wanted: bool) -> str | None:  # noqa: FBT001
        """Keep one file of a batch; return its id. None: no line belongs there."""
        if not wanted:
            return None
        name = f"{kind}_file_id"
        if (known := record.body.get(name)) is not None:
            try:
                return self._files.find(record.owner, known).id
            except NotFound:
                pass  # its id was written down, the file was not kept: write it now
        incoming = self._files.receive(record.owner)
        try:
            self._store.advance(record.id, [record.status], record.status, {name: incoming.id})
            for line in self._lines(record, kind, end):
                incoming.write(line)
            expiry = record.body.get("output_expires_s") or KEPT_S
            return incoming.keep(name=f"{record.id}_{kind}.jsonl", purpose="batch_output", expires_after_s=expiry).id
        finally:
            incoming.close()

    def _lines(self, record: BatchRecord, kind: str, end: BatchStatus) -> Iterator[bytes]:
        after = -1
        while found := self._store.results(record.id, after=after):
            after = found[-1].number
            for result in found:
                well = result.status is not None and result.status < 400  # noqa: PLR2004 - an error's status
                if well == (kind == "output"):
                    yield encode_line(record, result, end)


def encode_line(record: BatchRecord, result: LineResult, end: BatchStatus) -> bytes:
    """Return a line of an output or error file."""
    request_id = f"batch_req_{record.id.removeprefix('batch_')}_{result.number}"
    line: dict[str, Any] = {"id": request_id, "custom_id": result.custom_id, "response": None, "error": None}
    if result.status is None:
        code, message = _UNANSWERED.get(end, ("server_error", "not answered"))
        line["error"] = {"code": code, "message": message}
    else:
        body = orjson.Fragment(result.answer)
        line["response"] = {"status_code": result.status, "request_id": request_id, "body": body}
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def read_lines(record: BatchRecord, text: bytes) -> tuple[list[BatchLine], list[dict[str, Any]]]:
    """Return the requests of an input file, and what is wrong with it, each with its line from 1."""
    lines: list[BatchLine] = []
    errors: list[dict[str, Any]] = []
    names: dict[str, int] = {}
    for number, part in enumerate(text.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not part.strip() or len(errors) >= _MAX_ERRORS:
            continue
        problem = _wrong(part, record.body["endpoint"])
        if isinstance(problem, str):
            errors.append(_problem("invalid_line", problem, number))
            continue
        name, body = problem
        if name in names:
            errors.append(_problem("duplicate_custom_id", f"found {name!r:.80}, as in line {names[name]}", number))
        names.setdefault(name, number)
        lines.append(BatchLine(record.id, len(lines), name, body))
    if not lines and not errors:
        errors.append(_problem("empty_file", "found no line, expected one request in JSON on each", None))
    if len(lines) > MAX_LINES:
        errors.append(_problem("too_many_tasks", f"found {len(lines):,} lines, expected at most {MAX_LINES:,}", None))
    return lines, errors


def _wrong(part: bytes, endpoint: str) -> str | tuple[str, bytes]:
    """Return what is wrong with a line, or its custom_id and the body of its request."""
    try:
        found = orjson.loads(part)
    except orjson.JSONDecodeError as error:
        return f"not valid JSON: {error}"
    if not isinstance(found, dict):
        return "expected an object with custom_id, method, url and body"
    name, method, url, body = (found.get(key) for key in ("custom_id", "method", "url", "body"))
    problems = {
        f"expected a custom_id: a string of 1 to {_MAX_ID_CHARS} characters": isinstance(name, str)
        and 0 < len(name) <= _MAX_ID_CHARS,
        f"found the method {method!r:.40}, expected POST": method in (None, "POST"),
        f"found the url {url!r:.80}, expected the batch's endpoint {endpoint}": url == endpoint,
        "expected the field body: the request, an object": isinstance(body, dict),
    }
    wrong = [problem for problem, right in problems.items() if not right]
    return wrong[0] if wrong else (str(name), orjson.dumps(body))


def _problem(code: str, message: str, line: int | None) -> dict[str, Any]:
    return {"code": code, "message": message, "param": None, "line": line}
