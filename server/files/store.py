"""Uploaded files on this disk, each its owner's alone.

    folder/OWNER/file-0123...         the bytes
    folder/OWNER/file-0123....json    what is known of it (`StoredFile`): a file is there when, and as long as, this is
    folder/OWNER/file-0123....part    on its way in

The folder alone knows what there is, so that a restart finds everything and several servers may share it. Nothing is
ever seen half: the bytes are complete and durable before their record appears (by renaming), and the record goes before
the bytes do. What has expired is not there any more, from that second on; `sweep` takes it, and what a crash left
behind, off the disk. Every method blocks for the disk: call it in a thread.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, NoReturn

import orjson

from fastembed.pipeline.errors import NotFound, TooLarge, Unavailable
from fastembed.pipeline.filing import private_folder, sync, write
from fastembed.server.files.record import StoredFile, clean_name, is_id, new_id

MAX_FILE_BYTES: Final = 512 * 2**20
"""OpenAI's limit."""
MAX_FILES: Final = 10_000
QUOTA_BYTES: Final = 8 * 2**30

_log: Final = logging.getLogger("fastembed.files")
_RECORD: Final = ".json"
_PARTIAL: Final = ".part"
_STALE_S: Final = 3_600
"""What has no record and has not been written to for so long, nobody writes any more."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
Usage = tuple[int, int]
"""Bytes and files."""


class FileStore:
    """The files of all owners. most_bytes: of all of them together. clock: Unix seconds."""

    def __init__(self, folder: Path, *, most_bytes: int = QUOTA_BYTES, clock: Callable[[], float] = time.time) -> None:
        """Create nothing yet: the first upload makes the folder."""
        self.folder = folder
        self.most_bytes = most_bytes
        self.clock = clock
        self._promised = 0
        self._known: dict[str, dict[str, StoredFile]] = {}
        self._lock = threading.Lock()

    def receive(self, owner: str, *, declared: int | None = None) -> IncomingFile:
        """Begin an upload. declared: its bytes, or somewhat more, if known. TooLarge: the quota is exhausted."""
        with self._lock:
            used, count = self._usage()
            room = self.most_bytes - used - self._promised
            if count >= MAX_FILES:
                _refuse(f"found {count:,} stored files, expected fewer than {MAX_FILES:,}")
            if room <= 0 or (declared or 0) > room:
                self.refuse(f"found {declared:,} bytes more" if declared else "found another file", used)
            promised = min(room, MAX_FILE_BYTES, MAX_FILE_BYTES if declared is None else declared)
            self._promised += promised
        return IncomingFile(self, owner, promised)

    def find(self, owner: str, id_: str, *, param: str = "file_id") -> StoredFile:
        """Return what is known of an owner's file. NotFound names the field `param`."""
        found = self._record(self._folder(owner) / f"{id_}{_RECORD}") if is_id(id_) else None
        if found is None or self._expired(found):
            raise _missing(id_, param)
        return found

    def open(self, owner: str, id_: str, *, param: str = "file_id") -> tuple[StoredFile, BinaryIO]:
        """Return an owner's file, open for reading: it can be read to its end even if it is deleted meanwhile."""
        found = self.find(owner, id_, param=param)
        try:
            return found, (self._folder(owner) / id_).open("rb")
        except FileNotFoundError:  # deleted this moment
            raise _missing(id_, param) from None

    def read(self, owner: str, id_: str, *, most_bytes: int, param: str = "file_id") -> tuple[StoredFile, bytes]:
        """Return an owner's file and its bytes. TooLarge: they are more than `most_bytes`."""
        found, file = self.open(owner, id_, param=param)
        with file:
            if found.size_bytes > most_bytes:
                raise TooLarge(
                    f"found the file {found.name} of {found.size_bytes:,} bytes, expected at most {most_bytes:,} here",
                    param=param,
                )
            return found, file.read()

    def page(
        self, owner: str, *, after: str = "", limit: int = MAX_FILES, oldest_first: bool = False, purpose: str = ""
    ) -> tuple[list[StoredFile], bool]:
        """Return an owner's files in the order in which they came, and whether more follow.

        after: the id behind which the page begins; its file may be gone. purpose: "" for any.
        """
        found: list[StoredFile] = []
        for id_, record in sorted(self._records(owner).items(), reverse=not oldest_first):
            if after and (id_ <= after if oldest_first else id_ >= after):
                continue
            if self._expired(record) or (purpose and record.purpose != purpose):
                continue
            if len(found) == limit:
                return found, True
            found.append(record)
        return found, False

    def delete(self, owner: str, id_: str, *, param: str = "file_id") -> StoredFile:
        """Remove an owner's file. NotFound: it is not there (any more)."""
        found = self.find(owner, id_, param=param)
        self._remove(self._folder(owner), id_)
        return found

    def sweep(self) -> int:
        """Take off the disk what has expired and what broken uploads left; return how many files expired."""
        gone = 0
        for folder in self._owners():
            for record in self._records(folder.name).values():
                if self._expired(record):
                    self._remove(folder, record.id)
                    gone += 1
            names = _names(folder)
            for name in names:
                if not name.endswith(_RECORD) and f"{name}{_RECORD}" not in names and self._is_stale(folder / name):
                    (folder / name).unlink(missing_ok=True)
        return gone

    def refuse(self, found: str, used: int | None = None) -> NoReturn:
        """Raise TooLarge: the files together would be more than the quota."""
        used = self._usage()[0] if used is None else used
        held = f" beside {used:,} that are stored" if used else ""
        _refuse(f"{found}{held}, expected at most {self.most_bytes:,} in all (`serve --files-size`)")

    def release(self, promised: int) -> None:
        """Return an upload's reserved bytes to the quota: it is stored, or was given up."""
        with self._lock:
            self._promised -= promised

    def _folder(self, owner: str) -> Path:
        return self.folder / owner

    def _owners(self) -> Iterator[Path]:
        if self.folder.is_dir():
            yield from (path for path in self.folder.iterdir() if path.is_dir())

    def _records(self, owner: str) -> dict[str, StoredFile]:
        """Return an owner's files by id, expired ones too. A record never changes: it is read once."""
        folder, known = self._folder(owner), self._known.get(owner, {})
        found: dict[str, StoredFile] = {}
        for name in _names(folder):
            id_ = name.removesuffix(_RECORD)
            if name.endswith(_RECORD) and is_id(id_) and (record := known.get(id_) or self._record(folder / name)):
                found[id_] = record
        self._known[owner] = found
        return found

    def _usage(self) -> Usage:
        """Return the bytes and the number of stored files; uploads in progress have reserved theirs."""
        size = count = 0
        for folder in self._owners():
            with os.scandir(folder) as entries:
                for entry in entries:
                    if is_id(entry.name):
                        size += _size(entry)
                        count += 1
        return size, count

    def _record(self, path: Path) -> StoredFile | None:
        """Read a record; None if it is not there (any more)."""
        try:
            return StoredFile(**orjson.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            _log.warning("found %s unreadable (%s), expected the record of a file", path, error)
            return None

    def _expired(self, found: StoredFile) -> bool:
        return found.expires_at is not None and found.expires_at <= self.clock()

    def _remove(self, folder: Path, id_: str) -> None:
        (folder / f"{id_}{_RECORD}").unlink(missing_ok=True)
        (folder / id_).unlink(missing_ok=True)

    def _is_stale(self, path: Path) -> bool:
        try:
            return path.stat().st_mtime < self.clock() - _STALE_S
        except FileNotFoundError:
            return False


class IncomingFile:
    """An upload in progress: write it, keep it, close it. Closed without `keep`, it is deleted."""

    def __init__(self, store: FileStore, owner: str, promised: int) -> None:
        """Open a partial file. promised: the bytes that are reserved for it."""
        self._store = store
        self._folder = store.folder / owner
        self._promised = promised
        self._began_at = store.clock()
        self.id = new_id(self._began_at)
        self._partial = self._folder / f"{self.id}{_PARTIAL}"
        self.size_bytes = 0
        try:
            private_folder(self._folder)
            self._file = os.fdopen(os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", 0)
        except OSError as error:
            store.release(promised)
            check_disk(error, store.folder, promised)
            _log.warning("no file can be stored: %s", error)
            raise Unavailable("this server cannot store files now; its log says why") from error

    def close(self) -> None:
        """Leave nothing behind but what was kept."""
        self._file.close()
        self._partial.unlink(missing_ok=True)
        self._store.release(self._promised)

    def write(self, data: bytes) -> None:
        """Add bytes. TooLarge: the file, or all of them together, would be too large."""
        self.size_bytes += len(data)
        if self.size_bytes > MAX_FILE_BYTES:
            raise TooLarge(f"found a file of more than {MAX_FILE_BYTES:,} bytes, expected at most that", param="file")
        if self.size_bytes > self._promised:
            self._store.refuse(f"found {self.size_bytes:,} bytes or more")
        try:
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            check_disk(error, self._folder, max(self._promised, self.size_bytes))
            raise

    def keep(self, *, name: str, purpose: str, expires_after_s: int | None = None) -> StoredFile:
        """Make the file one of its owner's, durably."""
        created_at = int(self._began_at)
        expires_at = None if expires_after_s is None else created_at + expires_after_s
        record = StoredFile(self.id, clean_name(name), purpose, self.size_bytes, created_at, expires_at)
        path = self._folder / self.id
        try:
            os.fsync(self._file.fileno())
            self._file.close()
            self._partial.replace(path)
            sync(self._folder)
            write(path.with_name(f"{self.id}{_RECORD}"), orjson.dumps(record), private=True)
        except OSError as error:
            path.unlink(missing_ok=True)
            check_disk(error, self._folder, self.size_bytes)
            raise
        return record


def _missing(id_: str, param: str) -> NotFound:
    return NotFound(
        f"found no file {id_!r:.80}, expected the id of one of yours: GET /v1/files lists them",
        param=param,
        code="file_not_found",
    )


def _names(folder: Path) -> set[str]:
    """Return the names in a folder, which need not be there."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except FileNotFoundError:
        return set()


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except FileNotFoundError:  # deleted this moment
        return 0


def check_disk(error: OSError, folder: Path, needed: int) -> None:
    """Raise TooLarge if the disk is full. Other errors of the disk are the operator's to know, not the caller's."""
    if error.errno not in _FULL:
        return
    free = shutil.disk_usage(folder).free if folder.is_dir() else 0
    found = f"disk full: {_megabytes(free)} free, this upload needs {_megabytes(needed)}"
    raise TooLarge(found, param="file", code="storage_limit_exceeded") from error


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB" if size_bytes < 10_000_000 else f"{size_bytes / 1e6:,.0f} MB"  # noqa: PLR2004


def _refuse(message: str) -> NoReturn:
    raise TooLarge(
        f"{message}; delete files (DELETE /v1/files/ID), or let them expire (expires_after)",
        param="file",
        code="storage_limit_exceeded",
    )
