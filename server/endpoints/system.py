"""GET /v1/system/status: devices, loaded models, performance. What cannot be measured is null, never invented."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from time import monotonic
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from inference.catalog import AUTO, Card
from inference.devices import Devices, family
from inference.models import Models
from inference.resilience.breakers import Breakers
from server.endpoints.answers import json_answer
from server.site import Site
from server.text import amount

_MEMORY_PROPERTIES = {
    "npu": ("NPU_DEVICE_TOTAL_MEM_SIZE", "NPU_DEVICE_ALLOC_MEM_SIZE"),
    "gpu": ("GPU_DEVICE_TOTAL_MEM_SIZE", None),
}


def routes(site: Site) -> list[BaseRoute]:
    """Return the routes."""

    async def status(_: Request) -> Response:
        models = site.resources.get(Models)
        devices = await asyncio.to_thread(_devices, models.devices)
        per_minute, mean_s = site.stats.last_minute()
        return json_answer(
            {
                "version": site.version,
                "phase": site.life.phase,
                "uptime_seconds": round(monotonic() - site.started_s, 1),
                "requests_in_flight": site.life.in_flight,
                **devices,
                "process": {"memory": amount(_resident_bytes())},
                "loaded_models": [_loaded(models, card) for card in models.cards() if card.state == "ready"],
                "breakers": site.resources.get(Breakers).views(),
                "pipelines": site.running.views(),
                "performance_metrics": {
                    "avg_response_time": None if mean_s is None else f"{mean_s:.3g}s",
                    "requests_per_minute": round(per_minute, 1),
                    "cache_hit_rate": None,
                },
            }
        )

    return [Route("/v1/system/status", status)]


def _loaded(models: Models, card: Card) -> dict[str, Any]:
    found = (models.loaded(name) for name in (card.name, *card.aliases, *_auto(models, card)))
    model = next((model for model in found if model is not None), None)
    return {
        "model_id": card.name,
        "device": card.device,
        "memory_usage": None,
        "last_used": None,
        "requests_queued": model.waiting[0] if model else None,
    }


def _auto(models: Models, card: Card) -> tuple[str, ...]:
    """Return the name "auto" if it means this model."""
    return (AUTO,) if card.task == "embedding" and models.catalog.place(AUTO, "embedding").name == card.name else ()


def _devices(devices: Devices) -> dict[str, Any]:
    """Return what OpenVINO says about each kind of device; blocks while it looks for them the first time."""
    names = {family(device): device for device in reversed(devices.available)}
    return {kind: _device(devices, kind, names.get(kind)) for kind in ("npu", "gpu", "cpu")}


def _device(devices: Devices, kind: str, name: str | None) -> dict[str, Any]:
    total_bytes: int | None = None
    used_bytes: int | None = None
    if kind == "cpu":
        total_bytes, used_bytes = _machine_memory()
    elif name is not None:
        total_bytes, used_bytes = (_property(devices, name, key) for key in _MEMORY_PROPERTIES[kind])
    free_bytes = None if total_bytes is None or used_bytes is None else total_bytes - used_bytes
    return {
        "available": name is not None,
        "name": _text(devices, name) if name else None,
        "total_memory": amount(total_bytes),
        "used_memory": amount(used_bytes),
        "free_memory": amount(free_bytes),
        "utilization": _load_percent() if kind == "cpu" else None,
    }


def _property(devices: Devices, device: str, key: str | None) -> int | None:
    if key is None:
        return None
    try:
        return int(devices.core.get_property(device, key))
    except RuntimeError:  # this driver does not know the property: then nobody does
        return None


def _text(devices: Devices, device: str) -> str:
    return str(devices.core.get_property(device, "FULL_DEVICE_NAME"))


def _machine_memory() -> tuple[int | None, int | None]:
    """Return (total, used) bytes of main memory, where the system tells (Linux)."""
    file = Path("/proc/meminfo")
    if not file.is_file():
        return None, None
    fields = dict(line.split(":", 1) for line in file.read_text(encoding="ascii").splitlines())
    total, free = (int(fields[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    return total, total - free


def _resident_bytes() -> int | None:
    file = Path("/proc/self/statm")
    return int(file.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") if file.is_file() else None


def _load_percent() -> float | None:
    """Return the machine's load over the last minute as a share of its cores, at most 100."""
    if not hasattr(os, "getloadavg"):
        return None
    return round(min(100.0, 100 * os.getloadavg()[0] / (os.cpu_count() or 1)), 1)
