"""Memory as the system and the devices tell it. Bytes; None where nothing tells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fastembed.inference.library.devices import Devices, family
from fastembed.inference.serving.residency.plan import Room

_PROPERTIES: Final = {
    "npu": ("NPU_DEVICE_TOTAL_MEM_SIZE", "NPU_DEVICE_ALLOC_MEM_SIZE"),
    "gpu": ("GPU_DEVICE_TOTAL_MEM_SIZE", None),
}
_CONTAINER: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current"))
_SPARED: Final = 0.05
"""The share of the memory that is left to everything else where no limit is declared."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Of a device: all of it, and what is taken by anyone."""

    total: int | None = None
    used: int | None = None

    @property
    def free(self) -> int | None:
        """What nobody has."""
        return None if self.total is None or self.used is None else max(0, self.total - self.used)


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """Of a process: what it wrote itself, and its share of mapped files."""

    anonymous: int
    mapped: int


def memory_of(devices: Devices, device: str) -> Memory:
    """Ask a device, or for the CPU the system. Blocks for microseconds."""
    kind = family(device)
    if kind == "cpu":
        return machine_memory()
    total, used = (_property(devices, device, key) for key in _PROPERTIES[kind])
    return Memory(total, used)


def machine_memory() -> Memory:
    """Return the main memory (Linux), within what a container may have of it."""
    fields = _fields(Path("/proc/meminfo"))
    if "MemAvailable" not in fields:
        return Memory()
    total, available = fields["MemTotal"], fields["MemAvailable"]
    most, taken = (_number(file) for file in _CONTAINER)
    if most is not None and taken is not None and most < total:
        total, available = most, min(available, max(0, most - taken))
    return Memory(total, total - available)


def process_memory(pid: int | None = None) -> ProcessMemory | None:
    """Return what a process (None: this one) takes; pages that it shares with others count in parts."""
    fields = _fields(Path(f"/proc/{pid or 'self'}/smaps_rollup"))
    if "Pss_Anon" not in fields:
        return None
    return ProcessMemory(fields["Pss_Anon"], fields["Pss"] - fields["Pss_Anon"])


def memory_of_processes(pids: Iterable[int]) -> ProcessMemory | None:
    """Return what processes take together; None where nothing tells. Those that are gone take nothing."""
    found = [memory for pid in pids if (memory := process_memory(pid))]
    if not found:
        return None
    return ProcessMemory(sum(memory.anonymous for memory in found), sum(memory.mapped for memory in found))


def room_of(devices: Devices, device: str, ours: int) -> Room | None:
    """Return what models may take of a device: what is declared, else what they have (`ours`) and what is free."""
    declared = devices.limits(device).memory
    if declared is not None:
        return Room(declared)
    memory = memory_of(devices, device)
    if memory.total is None:
        return None
    free = memory.total - ours if memory.free is None else memory.free
    return Room(max(0, ours + free - int(_SPARED * memory.total)), firm=False)


def _property(devices: Devices, device: str, key: str | None) -> int | None:
    if key is None:
        return None
    try:
        found: Any = devices.core.get_property(device, key)
    except RuntimeError:  # this driver does not know the property: then nobody does
        return None
    return int(found)


def _fields(file: Path) -> dict[str, int]:
    """Read lines such as `MemTotal:  16314404 kB`; nothing where the system has no such file or shows it to others."""
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    amounts = (line.removesuffix(" kB").split() for line in lines if line.endswith(" kB"))
    return {name.removesuffix(":"): int(number) * 1024 for name, number in amounts}


def _number(file: Path) -> int | None:
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
