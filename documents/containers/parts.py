"""The files that a container holds (a mail, an archive), laid out for their own reading, within limits.

Each is written under a number of ours; its name is only a label, made of what the container says without anything that
could lead elsewhere.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from fastembed.documents.limits import DocumentLimits

_BLOCK_BYTES: Final = 1 << 20
_LONGEST_NAME: Final = 180
_DEEPEST_PATH: Final = 16
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_JUNK: Final = frozenset({"__macosx", ".ds_store", "thumbs.db", "desktop.ini"})


@dataclass(slots=True)
class PartFolder:
    """Where parts go. found: what is there, as it goes to the server: a file each, or why there is none."""

    path: Path
    limits: DocumentLimits
    found: list[dict[str, Any]] = field(default_factory=list)
    size_bytes: int = 0
    _names: set[str] = field(default_factory=set)
    _left_out: int = 0

    @property
    def labels(self) -> list[str]:
        """The names of all parts."""
        return [part["name"] for part in self.found]

    def add(self, name: str, content: bytes | IO[bytes]) -> None:
        """Write a part, or note that it is too much."""
        if self._full():
            return
        target = self.path / f"{len(self.found):05}{PurePosixPath(label_of(name)).suffix[:16]}"
        digest, size = hashlib.sha256(), 0
        with target.open("wb") as out:
            for block in _blocks(content):
                size += len(block)
                if self.size_bytes + size > self.limits.parts_bytes:
                    break
                digest.update(block)
                out.write(block)
        if self.size_bytes + size > self.limits.parts_bytes:
            target.unlink()
            self.refuse(
                name,
                f"found more than {self.limits.parts_bytes:,} bytes of files in this file, expected at most that many",
            )
            return
        self.size_bytes += size
        label = self._label(name)
        self.found.append({"name": label, "file": target.name, "sha256": digest.hexdigest(), "size": size})

    def refuse(self, name: str, reason: str, *, ignored: bool = False) -> None:
        """Note a part that is not read. ignored: nothing is wrong with it."""
        if not self._full():
            self.found.append({"name": self._label(name), "reason": reason, "ignored": ignored})

    def remark(self) -> str:
        """Return what the reader of the document should know; "" if all is there."""
        if not self._left_out:
            return ""
        return (
            f"found {len(self.found) + self._left_out:,} files within this file, and took the first {len(self.found):,}"
        )

    def _full(self) -> bool:
        full = len(self.found) >= self.limits.parts
        self._left_out += full
        return full

    def _label(self, name: str) -> str:
        label = label_of(name) or f"part {len(self.found) + 1}"
        path = PurePosixPath(label)
        count = 1
        while label.casefold() in self._names:
            count += 1
            label = str(path.with_name(f"{path.stem} ({count}){path.suffix}"))
        self._names.add(label.casefold())
        return label


def label_of(name: str) -> str:
    """Return a name that stays below its container: no root, no drive, no `..`, nothing that turns the text around."""
    text = unicodedata.normalize("NFC", _CONTROL.sub("", name.replace("\\", "/")))
    parts = [part.strip() for part in text.split("/")]
    kept = [part for part in parts if part not in ("", ".", "..") and not _DRIVE.fullmatch(part)]
    return "/".join(_short(part) for part in kept[-_DEEPEST_PATH:])


def is_junk(name: str) -> bool:
    """Whether a name is of what systems leave behind, which nobody means."""
    parts = [part.lower() for part in label_of(name).split("/")]
    return any(part in _JUNK for part in parts) or parts[-1].startswith(("._", "~$"))


def _short(part: str) -> str:
    if len(part.encode()) <= _LONGEST_NAME:
        return part
    stem, dot, suffix = part.rpartition(".")
    suffix = dot + suffix if stem and len(suffix) <= 16 else ""  # noqa: PLR2004 - no suffix is longer
    return part.encode()[: _LONGEST_NAME - len(suffix.encode())].decode(errors="ignore") + suffix


def _blocks(content: bytes | IO[bytes]) -> Any:
    if isinstance(content, bytes):
        yield content
        return
    while block := content.read(_BLOCK_BYTES):
        yield block
