"""Content that a request refers to: the content of URLs, and the caller's stored files."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from fastembed.pipeline.errors import NotFound
from fastembed.server.fetching.fetcher import NOWHERE, Fetcher
from fastembed.server.files.record import StoredFile
from fastembed.server.files.store import FileStore


@dataclass(frozen=True, slots=True)
class References:
    """One caller's. fetcher: gets URLs. files: None, this server stores none. owner: whose files it may read."""

    fetcher: Fetcher = NOWHERE
    files: FileStore | None = None
    owner: str = ""

    def of(self, owner: str) -> References:
        """Return another caller's (once a request: `dataclasses.replace` would take five times as long)."""
        return References(self.fetcher, self.files, owner)

    async def url(self, url: str, *, most_bytes: int, place: str, code: str = "invalid_url") -> bytes:
        """Return the content of an http(s) URL. Raises InvalidInput, with `code` and the field `place`."""
        return (await self.fetcher.get(url, most_bytes=most_bytes, place=place, code=code)).data

    async def file(self, id_: str, *, most_bytes: int, place: str) -> tuple[StoredFile, bytes]:
        """Return a stored file. NotFound, TooLarge name the field `place`."""
        if self.files is None:
            raise NotFound(
                f"found the file {id_!r:.80}, but this server stores no files", param=place, code="file_not_found"
            )
        return await asyncio.to_thread(self.files.read, self.owner, id_, most_bytes=most_bytes, param=place)


NOTHING: Final = References()
"""Refers to nothing: every reference is refused."""
