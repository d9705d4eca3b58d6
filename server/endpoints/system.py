"""GET /v1/system/status: devices, loaded models, performance. What cannot be measured is null, never invented."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from fastembed.inference.library.device_memory import Memory
from fastembed.inference.library.device_traits import DEVICE_KINDS, DeviceTraits, family
from fastembed.inference.library.devices import Devices
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.residency.memory import memory_of
from fastembed.inference.serving.residency.residents import Resident
from fastembed.inference.serving.resilience.breakers import Breakers
from fastembed.inference.serving.warmup.warmup import Warmup
from fastembed.pipeline.health import Health
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.wire.operation import Operation
from fastembed.server.wire.responses import json_answer
from fastembed.server.wire.text import format_size

_STATUS: Final = Operation("GET", "/v1/system/status", "Devices, loaded models, performance")
OPERATIONS: Final = (_STATUS,)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the routes."""

    async def status(_: Request) -> Response:
        models = site.resources.get(Models)
        devices = await asyncio.to_thread(_devices, models.devices)
        per_minute, mean_s = site.stats.last_minute()
        now, health = datetime.now(UTC), Health.of(site.resources)
        held = [resident for resident in models.residents.known.values() if resident.model or resident.entry.users]
        return json_answer(
            {
                "version": site.version,
                "phase": site.lifecycle.phase,
                "uptime_seconds": round(monotonic() - site.started_s, 1),
                "requests_in_flight": site.lifecycle.in_flight,
                **devices,
                "process": {"memory": format_size(_resident_bytes())},
                "breakers": site.resources.get(Breakers).views(),
                "model_memory": _model_memory(models),
                "loaded_models": [_loaded(models, resident, now) for resident in held],
                "warmup": _warmup(site.resources.get(Warmup)),
                "pipelines": site.running.views(),
                "problems": [*health.lines(), *health.advice()],
                "performance_metrics": {
                    "avg_response_time": None if mean_s is None else f"{mean_s:.3g}s",
                    "requests_per_minute": round(per_minute, 1),
                    "cache_hit_rate": _hit_rate(site),
                },
            }
        )

    return [_STATUS.route(status)]


def _hit_rate(site: ServerContext) -> float | None:
    rate = site.cache.hit_rate if site.cache is not None else None
    return None if rate is None else round(rate, 3)


def _loaded(models: Models, resident: Resident, now: datetime) -> dict[str, Any]:
    """Describe a model that is loaded, or that requests wait for."""
    model, entry = resident.model, resident.entry
    queued = getattr(model, "waiting", (None,))[0] if model else entry.users
    used = now - timedelta(seconds=models.residents.idle_s(resident))
    return {
        "model_id": entry.key[0],
        "device": entry.key[1],
        "state": "ready" if model else entry.state.value,
        "memory_usage": format_size(entry.bytes if resident.measured is None else resident.measured) if model else None,
        "memory_reserved": format_size(entry.bytes) if model else None,
        "last_used": used.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "requests_queued": queued,
        "requests_running": entry.users if model else 0,
        "pinned": entry.pinned,
    }


def _warmup(warmup: Warmup) -> dict[str, Any]:
    """Say how likely models are used in the coming hour, as of the last forecast."""
    chances = {model: round(chance, 2) for model, chance in sorted(warmup.chances.items(), key=lambda pair: -pair[1])}
    return {"enabled": warmup.policy.enabled, "above": warmup.policy.above, "next_hour": chances}


def _model_memory(models: Models) -> dict[str, Any]:
    """Say by device what models may take together, and what they have taken or reserved."""
    found = {}
    for device in models.devices.available:
        room = models.residents.room(device)
        found[device] = {
            "limit": format_size(room.bytes if room else None),
            "taken": format_size(models.residents.plan.taken(device)),
        }
    return found


def _devices(devices: Devices) -> dict[str, Any]:
    """Describe each kind of device by OpenVINO's properties; blocks while devices are detected the first time."""
    names = {family(device): device for device in reversed(devices.available)}
    return {kind.family: _device(devices, kind, names.get(kind.family)) for kind in DEVICE_KINDS.all}


def _device(devices: Devices, kind: DeviceTraits, name: str | None) -> dict[str, Any]:
    memory = memory_of(devices, name) if name else Memory()
    return {
        "available": name is not None,
        "name": _text(devices, name) if name else None,
        "total_memory": format_size(memory.total),
        "used_memory": format_size(memory.used),
        "free_memory": format_size(memory.free),
        "utilization": _load_percent() if kind.host else None,
    }


def _text(devices: Devices, device: str) -> str:
    return str(devices.core.get_property(device, "FULL_DEVICE_NAME"))


def _resident_bytes() -> int | None:
    file = Path("/proc/self/statm")
    return int(file.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") if file.is_file() else None


def _load_percent() -> float | None:
    """Return the machine's load over the last minute as a share of its cores, at most 100."""
    if not hasattr(os, "getloadavg"):
        return None
    return round(min(100.0, 100 * os.getloadavg()[0] / (os.cpu_count() or 1)), 1)
