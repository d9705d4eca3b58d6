"""Reads the files that a container holds, each by itself, within bounds for all of them together."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from fastembed.documents.formats import CONTAINERS, SUFFIXES
from fastembed.pipeline.errors import Expired, NotFound, TooLarge, Unprocessable, UnsupportedMedia
from fastembed.pipeline.payload.document import Document, File, UnreadPart

_log: Final = logging.getLogger("fastembed.parse")

DEEPEST: Final = 5
"""Files within files."""
MOST: Final = 2000
"""Files within one file, at every depth."""

ReadFile = Callable[[File, Path | None], Awaitable[tuple[Document, list[dict[str, Any]]]]]
"""Reads a file; with a folder, also lays out there what it holds."""


def holds_files(name: str) -> bool:
    """Whether a file of this name may hold files that are documents of their own."""
    return SUFFIXES.get(Path(name).suffix.lower()) in CONTAINERS


@dataclass(slots=True)
class PartReader:
    """Reads one file of the folder with all that it holds."""

    read: ReadFile
    root: File
    left: int = MOST

    async def document(self) -> Document:
        """Return the document; its `parts` are those at every depth, in order."""
        if not holds_files(self.root.name):
            return (await self.read(self.root, None))[0]
        found: list[Document | UnreadPart] = []
        document = await self._container(self.root, found, depth=1)
        return replace(document, parts=tuple(found))

    async def _container(self, file: File, found: list[Document | UnreadPart], depth: int) -> Document:
        with tempfile.TemporaryDirectory(prefix="fastembed-") as folder:
            document, parts = await self.read(file, Path(folder))
            for part in parts:
                await self._part(file, Path(folder), part, found, depth)
        return document

    async def _part(
        self, container: File, folder: Path, part: dict[str, Any], found: list[Document | UnreadPart], depth: int
    ) -> None:
        name = f"{container.name}/{part['name']}"
        labelled = replace(self.root, name=name, sha256="", size_bytes=0, container=self.root.name, inode=0)
        if "reason" in part:
            found.append(UnreadPart(labelled, part["reason"], ignored=part["ignored"]))
            return
        labelled = replace(labelled, sha256=part["sha256"], size_bytes=part["size"])
        file = replace(labelled, path=folder / part["file"])
        self.left -= 1
        if self.left < 0:
            found.append(UnreadPart(labelled, f"found more than {MOST:,} files in one, expected at most that many"))
            return
        if depth >= DEEPEST and holds_files(name):
            reason = f"found files within files within files, expected at most {DEEPEST} levels"
            found.append(UnreadPart(labelled, reason))
            return
        place = len(found)
        try:
            if holds_files(name):
                document = await self._container(file, found, depth + 1)
            else:
                document, _ = await self.read(file, None)
        except UnsupportedMedia as error:
            found.append(UnreadPart(labelled, error.message, ignored=True))
        except (Unprocessable, TooLarge, NotFound, Expired) as error:
            _log.warning("%s: %s", name, error.message)
            found.append(UnreadPart(labelled, error.message))
        else:
            found.insert(place, replace(document, file=labelled))
