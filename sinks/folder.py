"""Stores failed items in a folder: the file or the value itself, and a JSON letter with the reason."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from fastembed.pipeline.component import Context, Failure, sink
from fastembed.pipeline.errors import ItemError, StepFailed
from fastembed.pipeline.filing import NO_INPUT, destination, move, private_folder, write
from fastembed.pipeline.item import Item
from fastembed.pipeline.ledger import Ledger, LedgerEntry
from fastembed.pipeline.payload.document import File
from fastembed.pipeline.payload.stored import TEXT, CannotStore, store
from fastembed.sinks.lake.dead_letters import DeadLetter, KeptItem, letter_of, letters, post, replay

REASON_CHARS: Final = 500
REPR_CHARS: Final = 10_000
REPLAY_OF: Final = "replay_of"
TRIED: Final = "tried"
"""What the metadata of an item that is put back says: the name of its letter, and how often it was tried before."""
_NO_NAME: Final = str.maketrans("", "", "-:")

_log = logging.getLogger(__name__)


def utc_now() -> str:
    """Return the time as ISO 8601."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@sink
class Folder:
    """Keep each item that failed in a folder, with a `NAME.error.json`: step, error, message, attempts, time.

    Delivery: a failed file is either still in its own folder (and tried again after a restart) or here with its letter
    and a `failed` row in the ledger: the letter is written first, then the file moves, then the ledger is written; what
    a crash leaves undone is finished at the next start. Nothing is replaced: other bytes of the same name keep it.
    What is no file of a watched folder (a request, a message, a part of one) is written as text, bytes or JSON, as the
    step was given it, and `fastembed replay` gives it to that step again. Files that failed under an older definition
    of the pipeline go back at its start, to be tried again. Sources do not look into this folder, and only this user
    can (0700, its files 0600; a file that was moved here keeps its mode).
    Overload: the pipeline waits for the disk.

    In: `Failure` (this is a sink for `on_error`).
    Args: path: the folder, made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        """Store the options; `open` makes the folder."""
        self._path = path
        self._clock: Callable[[], str] = utc_now
        self._pipeline = ""
        self._ledger: Ledger | None = None

    async def open(self, context: Context) -> None:
        """Make the folder; finish what a crash left undone."""
        self._pipeline, self._ledger = context.pipeline, context.ledger
        self._root = await asyncio.to_thread(self._prepare, context.base / self._path.expanduser())
        known = {} if self._ledger is None else {entry.name: entry for entry in await self._ledger.entries()}
        for file, letter in await asyncio.to_thread(self._unfinished, known):
            await self._enter(file, letter)
        if count := await asyncio.to_thread(self._bring_back, context.definition):
            _log.info("%s: %d files that failed under an older definition are tried again", self._pipeline, count)

    async def write(self, item: Item[Failure]) -> None:
        """Store one failure."""
        failure = item.value
        file = failure.origin_value
        if isinstance(file, File) and not failure.resume_at:
            letter = self._letter(failure, file)
            to = await asyncio.to_thread(self._file, file, letter)
            if to is not None:
                await self._enter(to, letter)
        else:
            await asyncio.to_thread(self._keep, failure)

    def _prepare(self, root: Path) -> Path:
        private_folder(root)
        if not (root / NO_INPUT).exists():
            write(root / NO_INPUT, b"FastEmbed keeps files here that failed; no pipeline reads them.\n")
        return root.resolve()

    def _bring_back(self, definition: str) -> int:
        """Move files that failed under another definition of the pipeline back to where they were; return how many."""
        older = [
            file
            for file, letter in letters(self._root)
            if letter.pipeline == self._pipeline and letter.sha256 and letter.definition != definition
            if Path(letter.path.removesuffix(letter.name)).is_dir()  # the inbox itself: it may not be mounted
        ]
        return sum(not replay(file).problem for file in older)

    def _keep(self, failure: Failure) -> None:
        """Write an item, then its letter, so that a letter never speaks of nothing."""
        when = self._clock().translate(_NO_NAME)
        name = f"{self._pipeline}-{when}-{secrets.token_hex(3)}"
        files: list[str] = []

        def attach(path: Path) -> str:
            files.append(f"{name}.{len(files) + 1}{path.suffix[:16]}")
            write(self._root / files[-1], path.read_bytes(), private=True)
            return files[-1]

        problem = ""
        try:
            suffix, content = store(failure.value, attach)
        except CannotStore as error:
            suffix, content, problem = TEXT, repr(failure.value)[:REPR_CHARS].encode("utf-8", "replace"), str(error)
            _log.warning("%s: a failed item cannot be stored, only its description: %s", self._pipeline, error)
        file = self._root / f"{name}{suffix}"
        origin = failure.origin
        kept = KeptItem(
            failure.resume_at, origin.key, origin.time, origin.trace, _meta(origin.meta), tuple(files), problem
        )
        write(file, content, private=True)
        post(file, replace(self._letter(failure, File(file, file.name, "", len(content), 0)), item=kept))

    def _letter(self, failure: Failure, file: File) -> DeadLetter:
        error, message = _explain(failure.error)
        return DeadLetter(
            pipeline=self._pipeline,
            name=file.name,
            path=str(file.path),
            sha256=file.sha256,
            size_bytes=file.size_bytes,
            mtime_ns=file.mtime_ns,
            step=failure.step,
            error=error,
            message=message,
            attempts=failure.attempts + int(failure.origin.meta.get(TRIED, 0)),
            definition=failure.config_hash,
            at=self._clock(),
        )

    def _file(self, file: File, letter: DeadLetter) -> Path | None:
        """Write the letter and move the file; None if the file is not the one any more that failed."""
        try:
            found = file.path.lstat()
        except FileNotFoundError:
            found = None
        if found is None or (found.st_size, found.st_mtime_ns) != (file.size_bytes, file.mtime_ns):
            _log.warning("%s failed and has been removed or changed since: %s", file.path, letter.message)
            return None
        to = destination(self._root, file.name, file.sha256)
        private_folder(to.parent)
        post(to, letter)
        move(file.path, to)
        return to

    async def _enter(self, file: Path, letter: DeadLetter) -> None:
        """Record in the ledger that the file failed, and where it is."""
        if self._ledger is not None:
            reason = f"{letter.step}: {letter.error}: {letter.message}"[:REASON_CHARS]
            await self._ledger.record(
                LedgerEntry(
                    letter.name,
                    letter.sha256,
                    letter.definition,
                    "failed",
                    letter.size_bytes,
                    letter.mtime_ns,
                    reason,
                    str(file),
                )
            )

    def _unfinished(self, known: dict[str, LedgerEntry]) -> list[tuple[Path, DeadLetter]]:
        """Find files that moved here without the ledger knowing; drop letters about files that are well since."""
        for file, letter in letters(self._root, orphans=True):
            entry = known.get(letter.name)
            if letter.pipeline == self._pipeline and entry is not None and entry.state == "done":
                letter_of(file).unlink()
        found = []
        for file, letter in letters(self._root):
            if letter.pipeline != self._pipeline or not letter.sha256:
                continue
            entry = known.get(letter.name)
            outdone = entry is not None and (entry.sha256 == letter.sha256 or entry.state == "failed" or entry.location)
            if not outdone and not Path(letter.path).exists():
                found.append((file, letter))
        return found


def _meta(meta: Mapping[str, Any]) -> Any:
    """Return what of an item's metadata JSON can hold."""
    kept = {}
    for name, value in meta.items():
        with suppress(CannotStore):
            kept[name] = json.loads(store([value])[1])[0]
    return kept


def _explain(error: ItemError) -> tuple[str, str]:
    """Return the class and the text of what went wrong, without the wrapping of the step that it went wrong in."""
    cause = error.__cause__ if isinstance(error, StepFailed) else None
    reported = cause if cause is not None else error
    return type(reported).__name__, str(reported) or type(reported).__name__
