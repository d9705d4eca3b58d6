"""The machine's inference devices as OpenVINO sees them, and what the `devices:` section allows of each."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import openvino
from pydantic import BaseModel, ConfigDict, Field

from fastembed.inference.library.compiled import compiled_folder
from fastembed.inference.library.device_traits import DeviceName, family, traits_of
from fastembed.pipeline.errors import Unavailable
from fastembed.pipeline.units import Duration, Size


class DeviceLimits(BaseModel):
    """One entry of `devices:`: memory that models may take together, and model calls at once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory: Size | None = Field(default=None, description="Most memory that models may take on this device.")
    inflight: int | None = Field(default=None, ge=1, description="Model calls at once; by default the engine's choice.")
    keep_alive: Duration | None = Field(
        default=None, description="Models without one of their own leave this device after so long without use."
    )
    threads: int | None = Field(default=None, ge=1, description="CPU threads for inference; by default all cores.")
    properties: dict[str, str | int | float | bool] = Field(
        default_factory=dict,
        description="OpenVINO properties for models that are compiled for this device, as they are.",
    )


DevicesSection = dict[DeviceName, DeviceLimits]


def check_sysfs(cpus: Path = Path("/sys/devices/system/cpu")) -> None:
    """Raise Unavailable where Linux's /sys is not mounted, as in a bare chroot: OpenVINO's CPU plugin needs it.

    It reads the processor's layout there, and without it never returns (2026.4.1, seen in a chroot).
    """
    if sys.platform == "linux" and not cpus.exists():
        raise Unavailable(
            f"found no {cpus}, expected sysfs there: OpenVINO reads the processor's layout from it; mount it"
        )


class Devices:
    """OpenVINO's core, the devices that are really there, and the limits declared for them."""

    def __init__(self, limits: Mapping[DeviceName, DeviceLimits] | None = None, *, cache: Path | None = None) -> None:
        """Hold the limits; `cache` is the folder for compiled models (None: compile at every start)."""
        self._limits = dict(limits or {})
        self.cache = cache

    @cached_property
    def core(self) -> Any:
        """The process's openvino.Core. Unavailable where /sys is not mounted."""
        check_sysfs()
        return openvino.Core()

    @cached_property
    def available(self) -> tuple[str, ...]:
        """OpenVINO's names of what is there: CPU, GPU or GPU.0, GPU.1, NPU."""
        return tuple(self.core.available_devices)

    def limits(self, device: str) -> DeviceLimits:
        """Return what was declared for an OpenVINO device name, or no limits."""
        return self._limits.get(family(device), DeviceLimits())

    def choose(self, wanted: Sequence[DeviceName]) -> str:
        """Return OpenVINO's name of the first wanted device that is there. Unavailable lists what was found."""
        return self.choices(wanted)[0]

    def named(self, device: str) -> str:
        """Return an OpenVINO device name if it is there. Unavailable lists what was found."""
        if device not in self.available:
            raise Unavailable(f"found the devices {', '.join(self.available) or 'none'}, expected {device}")
        return device

    def choices(self, wanted: Sequence[DeviceName]) -> list[str]:
        """Return OpenVINO's names of the wanted devices that are there, in that order. Unavailable if none is."""
        chosen = [device for name in wanted for device in self.available if family(device) == name]
        if not chosen:
            found = ", ".join(self.available) or "none"
            raise Unavailable(
                f"found the devices {found}, expected one of {', '.join(wanted)} (the model's `on:`){_drivers(wanted)}"
            )
        return chosen

    def properties(self, device: str, *parts: Path) -> dict[str, Any]:
        """Return the compile properties for many small independent calls: throughput over latency.

        parts: the model's folder, and what else is compiled with it; without, nothing compiled is kept.
        On a CPU two streams beat one stream with twice the threads by 15 to 25 percent on batches (all-MiniLM-L6-v2).
        """
        limits = self.limits(device)
        properties: dict[str, Any] = {"PERFORMANCE_HINT": "THROUGHPUT"}
        if traits_of(device).host:
            properties["NUM_STREAMS"] = self.streams(device)
            if limits.threads:
                properties["INFERENCE_NUM_THREADS"] = limits.threads
        return properties | self._kept(parts) | limits.properties

    def generation_properties(self, device: str, *parts: Path) -> dict[str, Any]:
        """Return the compile properties for models that answer token by token: their scheduler does the batching.

        parts: as in `properties`.
        """
        limits = self.limits(device)
        properties: dict[str, Any] = {}
        if traits_of(device).host and limits.threads:
            properties["INFERENCE_NUM_THREADS"] = limits.threads
        return properties | self._kept(parts) | limits.properties

    def _kept(self, parts: tuple[Path, ...]) -> dict[str, str]:
        folder = compiled_folder(self.cache, parts) if self.cache is not None and parts else None
        return {"CACHE_DIR": str(folder)} if folder else {}

    def streams(self, device: str) -> int:
        """Return how many calls run at once on the device."""
        return self.limits(device).inflight or 2


def _drivers(wanted: Sequence[DeviceName]) -> str:
    """Return which drivers devices that are not found would need."""
    needs = [f"{traits.noun} needs {traits.driver}" for traits in map(traits_of, wanted) if traits.driver]
    return f"; {' and '.join(needs)}; fastembed doctor says what is here" if needs else ""
