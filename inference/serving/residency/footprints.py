"""What models take: guessed from their files before the first load, measured at each, remembered between starts."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Final

log = logging.getLogger("fastembed.models")

_WEIGHTS: Final = frozenset({".bin", ".onnx", ".gguf"})
_GROWS: Final = 1.3
_WITHOUT_WEIGHTS: Final = 64 * 2**20  # graphs, tokenizers and buffers: what the small models that ship take
_BYTES_A_SECOND: Final = 200e6
_LEAST_S: Final = 0.5
_MOST: Final = 200


@dataclass(frozen=True, slots=True)
class Footprint:
    """bytes in memory, seconds to load; measured or guessed."""

    bytes: int
    load_s: float
    measured: bool = False


class Footprints:
    """A small file of footprints, by a folder's content and the device. Without a file it forgets at the end."""

    def __init__(self, file: Path | None = None) -> None:
        """Read nothing yet; a file that cannot be read is as good as none."""
        self._file = file
        self._known: dict[str, Footprint] | None = None
        self._writing = Lock()

    def of(self, folder: Path, device: str, *others: Path) -> Footprint:
        """Return what is known of a model on a device, or what to expect. Blocks for a look at the disk.

        others: folders and files that are loaded with it, a draft model's and adapters.
        """
        found = self._read().get(_identity(device, (folder, *others)))
        if found is not None:
            return found
        weights = weights_of(folder, *others)
        return Footprint(int(weights * _GROWS) + _WITHOUT_WEIGHTS, _LEAST_S + weights / _BYTES_A_SECOND)

    def remember(self, folder: Path, device: str, size: int, load_s: float, *others: Path) -> None:
        """Keep what was measured; the oldest of more than 200 are dropped. Blocks for a look at the disk."""
        identity = _identity(device, (folder, *others))
        with self._writing:
            kept = [(key, value) for key, value in self._read().items() if key != identity]
            self._known = dict([*kept, (identity, Footprint(size, round(load_s, 3), measured=True))][-_MOST:])
            self._write(self._known)

    def _read(self) -> dict[str, Footprint]:
        if self._known is None:
            self._known = {}
            if self._file is not None and self._file.is_file():
                try:
                    found = json.loads(self._file.read_text(encoding="utf-8"))
                    self._known = {key: Footprint(**value) for key, value in found.items()}
                except (OSError, ValueError, TypeError, AttributeError) as error:
                    log.warning(
                        "found %s unreadable (%s), expected footprints: they are measured anew", self._file, error
                    )
        return self._known

    def _write(self, known: dict[str, Footprint]) -> None:
        if self._file is None:
            return
        fresh = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(
                json.dumps({key: asdict(value) for key, value in known.items()}, indent=1), encoding="utf-8"
            )
            fresh.replace(self._file)
        except OSError as error:  # a full or read-only disk costs the memory of the next start, nothing else
            log.warning("footprints are not remembered in %s: %s", self._file, error)


def weights_of(*parts: Path) -> int:
    """Return the bytes of a model's weights on the disk: those in folders, and whole files."""
    return sum(
        file.stat().st_size
        for part in parts
        for file in (part.rglob("*") if part.is_dir() else (part,))
        if (file.suffix in _WEIGHTS or file == part) and file.is_file()
    )


def _identity(device: str, parts: Sequence[Path]) -> str:
    """Name what is loaded by its content: its places, and the names, sizes and times of its files."""
    stats = [(str(part.absolute()), sorted(map(_stat, part.iterdir() if part.is_dir() else (part,)))) for part in parts]
    digest = sha256(json.dumps(stats).encode()).hexdigest()[:16]
    return f"{parts[0].name} {digest} {device}"


def _stat(file: Path) -> tuple[str, int, int]:
    stat = file.stat()
    return (file.name, 0, 0) if file.is_dir() else (file.name, stat.st_size, stat.st_mtime_ns)
