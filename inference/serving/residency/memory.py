"""What models may take of a device, and what processes take. Bytes; None where nothing tells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastembed.inference.library.device_memory import Memory, kilobyte_fields
from fastembed.inference.library.device_traits import traits_of
from fastembed.inference.library.devices import Devices
from fastembed.inference.serving.residency.plan import DeviceRoom

_SPARED: Final = 0.05
"""The share of the memory that is left to everything else where no limit is declared."""


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """Of a process: what it wrote itself, and its share of mapped files."""

    anonymous: int
    mapped: int


def memory_of(devices: Devices, device: str) -> Memory:
    """Ask a device, or for the CPU the system. Blocks for microseconds."""
    return traits_of(device).memory(devices.core, device)


def process_memory(pid: int | None = None) -> ProcessMemory | None:
    """Return what a process (None: this one) takes; pages that it shares with others count in parts."""
    fields = kilobyte_fields(Path(f"/proc/{pid or 'self'}/smaps_rollup"))
    if "Pss_Anon" not in fields:
        return None
    return ProcessMemory(fields["Pss_Anon"], fields["Pss"] - fields["Pss_Anon"])


def memory_of_processes(pids: Iterable[int]) -> ProcessMemory | None:
    """Return what processes take together; None where nothing tells. Those that are gone take nothing."""
    found = [memory for pid in pids if (memory := process_memory(pid))]
    if not found:
        return None
    return ProcessMemory(sum(memory.anonymous for memory in found), sum(memory.mapped for memory in found))


def room_of(devices: Devices, device: str, ours: int) -> DeviceRoom | None:
    """Return what models may take of a device: what is declared, else what they have (`ours`) and what is free."""
    declared = devices.limits(device).memory
    if declared is not None:
        return DeviceRoom(declared)
    memory = memory_of(devices, device)
    if memory.total is None:
        return None
    free = memory.total - ours if memory.free is None else memory.free
    return DeviceRoom(max(0, ours + free - int(_SPARED * memory.total)), firm=False)
