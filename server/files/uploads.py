"""Uploads in parts (OpenAI's /v1/uploads): on this disk until they are put together to a file, or an hour has gone.

    folder/OWNER/upload_0123.../upload.json     what is known of it (`PartialUpload`)
    folder/OWNER/upload_0123.../part_0123...    one part; `.new` behind its name while it comes in

Parts survive a restart. Every method blocks for the disk: call it in a thread.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import orjson

from fastembed.pipeline.errors import Conflict, InvalidInput, NotFound, TooLarge
from fastembed.pipeline.filing import private_folder, write
from fastembed.server.files.record import StoredFile
from fastembed.server.files.store import MAX_FILE_BYTES, FileStore

TTL_S: Final = 3_600
"""How long an upload waits for its parts, as OpenAI has it."""
MAX_PART_BYTES: Final = 64 * 2**20
MAX_PARTS: Final = 10_000
MAX_UPLOADS: Final = 100
"""Of one owner, at once."""

_ID: Final = re.compile(r"upload_[0-9a-f]{32}")
_PART_ID: Final = re.compile(r"part_[0-9a-f]{32}")
_RECORD: Final = "upload.json"
_NEW: Final = ".new"
_PIECE_BYTES: Final = 2**20

UploadStatus = Literal["pending", "completed", "cancelled", "expired"]


@dataclass(frozen=True, slots=True)
class PartialUpload:
    """An upload. size_bytes: what it is to have in all. file: the id of the file that it became; "": none yet."""

    id: str
    name: str
    purpose: str
    size_bytes: int
    created_at: int
    expires_at: int
    status: UploadStatus = "pending"
    expires_after_s: int | None = None
    file: str = ""


class UploadStore:
    """The uploads of all owners. files: takes what is complete. clock: Unix seconds."""

    def __init__(self, folder: Path, files: FileStore, *, clock: Callable[[], float] = time.time) -> None:
        """Create nothing yet."""
        self.folder = folder
        self.files = files
        self.clock = clock

    def create(
        self, owner: str, *, name: str, purpose: str, size_bytes: int, expires_after_s: int | None
    ) -> PartialUpload:
        """Begin an upload. TooLarge: it could not be stored, or too many wait for their parts."""
        if size_bytes > MAX_FILE_BYTES:
            raise TooLarge(f"found {size_bytes:,} bytes, expected at most {MAX_FILE_BYTES:,}", param="bytes")
        waiting = [found for found in self._all(owner) if found.status == "pending"]
        if len(waiting) >= MAX_UPLOADS:
            raise TooLarge(f"found {len(waiting)} uploads that wait for parts, expected fewer; complete or cancel some")
        held = sum(found.size_bytes for found in waiting)
        if held + size_bytes > self.files.most_bytes:
            self.files.refuse(f"found uploads of {held + size_bytes:,} bytes")
        self.files.receive(owner, declared=size_bytes).close()  # refuses what the quota has no room for now
        now = int(self.clock())
        id_ = f"upload_{int(self.clock() * 1e9):016x}{secrets.token_hex(8)}"
        found = PartialUpload(id_, name, purpose, size_bytes, now, now + TTL_S, expires_after_s=expires_after_s)
        private_folder(self._place(owner, id_))
        self._save(owner, found)
        return found

    def find(self, owner: str, id_: str) -> PartialUpload:
        """Return an owner's upload. NotFound: there is none."""
        found = self._read(self._place(owner, id_) / _RECORD) if _ID.fullmatch(id_) else None
        if found is None:
            raise NotFound(
                f"found no upload {id_!r:.80}, expected the id of one of yours",
                param="upload_id",
                code="upload_not_found",
            )
        if found.status == "pending" and found.expires_at <= self.clock():
            return replace(found, status="expired")
        return found

    def receive(self, owner: str, id_: str) -> IncomingPart:
        """Begin a part. Conflict: the upload takes none any more; TooLarge: it has enough."""
        found = self._pending(owner, id_)
        place = self._place(owner, id_)
        parts = [path.stat().st_size for path in place.glob("part_*")]
        if len(parts) >= MAX_PARTS:
            raise TooLarge(f"found {len(parts):,} parts, expected at most {MAX_PARTS:,}", param="data")
        room = 2 * found.size_bytes - sum(parts)  # twice: a part may be sent again
        return IncomingPart(place, min(MAX_PART_BYTES, room))

    def complete(self, owner: str, id_: str, parts: Sequence[str], md5: str | None) -> tuple[PartialUpload, StoredFile]:
        """Put the parts together, in this order, to a file. InvalidInput: they are not what was announced."""
        found = self._pending(owner, id_)
        place = self._place(owner, id_)
        for index, part in enumerate(parts):
            if not _PART_ID.fullmatch(part) or not (place / part).is_file():
                raise InvalidInput(f"found no part {part!r:.80} of this upload", param=f"part_ids[{index}]")
        size = sum((place / part).stat().st_size for part in parts)
        if size != found.size_bytes:
            raise InvalidInput(
                f"found {size:,} bytes in these parts, expected the {found.size_bytes:,} that the upload began with",
                param="part_ids",
            )
        incoming = self.files.receive(owner, declared=size)
        try:
            digest = hashlib.md5(usedforsecurity=False)
            for piece in _pieces(place, parts):
                digest.update(piece)
                incoming.write(piece)
            if md5 is not None and digest.hexdigest() != md5.lower():
                raise InvalidInput(f"found the MD5 {digest.hexdigest()}, expected {md5:.64}", param="md5")
            stored = incoming.keep(name=found.name, purpose=found.purpose, expires_after_s=found.expires_after_s)
        finally:
            incoming.close()
        done = replace(found, status="completed", file=stored.id)
        self._end(owner, done)
        return done, stored

    def cancel(self, owner: str, id_: str) -> PartialUpload:
        """Give an upload up. Conflict: it has ended already."""
        done = replace(self._pending(owner, id_), status="cancelled")
        self._end(owner, done)
        return done

    def sweep(self) -> int:
        """Take off the disk what has ended or waited too long; return how many."""
        gone = 0
        for folder in self.folder.iterdir() if self.folder.is_dir() else ():
            for found in self._all(folder.name):
                if found.expires_at <= self.clock():
                    shutil.rmtree(self._place(folder.name, found.id), ignore_errors=True)
                    gone += 1
        return gone

    def _pending(self, owner: str, id_: str) -> PartialUpload:
        found = self.find(owner, id_)
        if found.status != "pending":
            raise Conflict(f"found the upload {found.status}, expected one that is pending", param="upload_id")
        return found

    def _place(self, owner: str, id_: str) -> Path:
        return self.folder / owner / id_

    def _all(self, owner: str) -> list[PartialUpload]:
        found = (self._read(path) for path in (self.folder / owner).glob(f"upload_*/{_RECORD}"))
        return [upload for upload in found if upload is not None]

    def _read(self, path: Path) -> PartialUpload | None:
        try:
            return PartialUpload(**orjson.loads(path.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _save(self, owner: str, found: PartialUpload) -> None:
        write(self._place(owner, found.id) / _RECORD, orjson.dumps(found), private=True)

    def _end(self, owner: str, done: PartialUpload) -> None:
        """Note the end first, then let the parts go."""
        self._save(owner, done)
        for path in self._place(owner, done.id).glob("part_*"):
            path.unlink(missing_ok=True)


class IncomingPart:
    """A part on its way in: write it, keep it, close it. Closed without `keep`, it is deleted."""

    def __init__(self, place: Path, most_bytes: int) -> None:
        self._id = f"part_{secrets.token_hex(16)}"
        self._path = place / self._id
        self._partial = place / f"{self._id}{_NEW}"
        self._most = most_bytes
        self._file = self._partial.open("xb", 0)
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        """Add bytes. TooLarge: a part has fewer, or the upload has enough."""
        self.size_bytes += len(data)
        if self.size_bytes > self._most:
            raise TooLarge(f"found more than {max(0, self._most):,} bytes, expected at most that here", param="data")
        self._file.write(data)

    def keep(self) -> str:
        """Make it one of the upload's parts; return its id."""
        self._file.close()
        self._partial.replace(self._path)
        return self._id

    def close(self) -> None:
        """Leave nothing behind but what was kept."""
        self._file.close()
        self._partial.unlink(missing_ok=True)


def _pieces(place: Path, parts: Sequence[str]) -> Iterator[bytes]:
    for part in parts:
        with (place / part).open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece
