"""Memory as the system and the devices tell it. Bytes; None where nothing tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

_CONTAINER: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current"))


@dataclass(frozen=True, slots=True)
class Memory:
    """Of a device: all of it, and what is taken by anyone."""

    total: int | None = None
    used: int | None = None

    @property
    def free(self) -> int | None:
        """Bytes that are free."""
        return None if self.total is None or self.used is None else max(0, self.total - self.used)


MemorySource: TypeAlias = Callable[[Any, str], Memory]
"""Takes openvino.Core and a device's name. Blocks for microseconds."""


def machine_memory() -> Memory:
    """Return the main memory (Linux), within what a container may have of it."""
    fields = kilobyte_fields(Path("/proc/meminfo"))
    if "MemAvailable" not in fields:
        return Memory()
    total, available = fields["MemTotal"], fields["MemAvailable"]
    most, taken = (_number(file) for file in _CONTAINER)
    if most is not None and taken is not None and most < total:
        total, available = most, min(available, max(0, most - taken))
    return Memory(total, total - available)


def memory_from(total: str, used: str | None = None) -> MemorySource:
    """Return a source that asks a device's driver for these OpenVINO properties."""

    def source(core: Any, device: str) -> Memory:
        return Memory(_property(core, device, total), _property(core, device, used))

    return source


def kilobyte_fields(file: Path) -> dict[str, int]:
    """Read lines such as `MemTotal:  16314404 kB`; nothing where the system has no such file or shows it to others."""
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    amounts = (line.removesuffix(" kB").split() for line in lines if line.endswith(" kB"))
    return {name.removesuffix(":"): int(number) * 1024 for name, number in amounts}


def _property(core: Any, device: str, key: str | None) -> int | None:
    if key is None:
        return None
    try:
        found: Any = core.get_property(device, key)
    except RuntimeError:  # this driver does not know the property, and there is no other source
        return None
    return int(found)


def _number(file: Path) -> int | None:
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
