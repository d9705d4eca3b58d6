"""GET /v1/models and /v1/models/{id}: OpenAI's shape, and what a client needs to choose a model.

The list stands under `data`, where OpenAI clients look, and under `models`, as the architecture document has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from fastembed.inference.library.catalog import AUTO, ModelCard
from fastembed.inference.library.hub.known import find_known
from fastembed.inference.library.tasks import TASKS
from fastembed.inference.serving.downloads import Download, Downloads
from fastembed.inference.serving.models import Models
from fastembed.pipeline.errors import ModelNotFound
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.wire.operation import Operation
from fastembed.server.wire.responses import json_answer
from fastembed.server.wire.text import format_size

_LIST: Final = Operation("GET", "/v1/models", "The models that are here")
_ONE: Final = Operation("GET", "/v1/models/{name:path}", "One model")
OPERATIONS: Final = (_LIST, _ONE)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the routes."""

    def cards() -> list[ModelCard]:
        return site.resources.get(Models).cards()

    def aliases() -> Mapping[str, str]:
        return site.resources.get(Models).catalog.aliases

    async def list_models(request: Request) -> Response:
        coming = _coming(site)
        found = [describe(card) | _state(coming.pop(card.name, None)) for card in cards()]
        found += map(_on_its_way, coming.values())
        if "anthropic-version" in request.headers:
            found = [{**entry, **_for_anthropic(entry)} for entry in found]
        ends = {"has_more": False, "first_id": found[0]["id"], "last_id": found[-1]["id"]} if found else {}
        return json_answer({"object": "list", "data": found, "models": found, "aliases": dict(aliases()), **ends})

    async def one_model(request: Request) -> Response:
        name = request.path_params["name"]
        if aliases().get(name, name) == AUTO:
            return json_answer({"id": name, "object": "model", "created": 0, "owned_by": "local", "stands_for": AUTO})
        for card in cards():
            if name in (card.name, *card.aliases):
                return json_answer(describe(card) | _state(_coming(site).get(card.name)))
        if (known := find_known(name)) and (download := _coming(site).get(known.name)):
            return json_answer(_on_its_way(download))
        raise ModelNotFound(_unknown(name, [card.name for card in cards()]), param="model")

    return [_LIST.route(list_models), _ONE.route(one_model)]


def _coming(site: ServerContext) -> dict[str, Download]:
    """Return the models on their way, or that could not be fetched just now, by name."""
    downloads = site.resources.find(Downloads)
    found = downloads.states() if downloads else {}
    return {name: download for name, download in found.items() if download.state != "absent"}


def _on_its_way(download: Download) -> dict[str, Any]:
    """Describe a known model that is being fetched for the first time: what it can do its files will say."""
    known = find_known(download.name)
    return {
        "id": download.name,
        "object": "model",
        "created": 0,
        "owned_by": known.source.partition("/")[0] if known else "local",
        "task": known.task if known else None,
        **_state(download),
    }


def _state(download: Download | None) -> dict[str, Any]:
    """Return the state of a model that is being fetched, or could not be; nothing of another."""
    if download is None:
        return {}
    eta_s = download.eta_s if download.state == "fetching" else None
    progress = {
        "bytes": download.have,
        "total_bytes": download.total or None,
        "percent": round(100 * download.have / download.total, 1) if download.total else None,
        "eta_seconds": None if eta_s is None else round(eta_s, 1),
        "error": download.error or None,
    }
    return {"state": "fetching" if download.state == "fetching" else "missing", "download": progress}


def _unknown(name: str, here: Sequence[str]) -> str:
    """Say that a model is not here, and how to get it where that is known."""
    if known := find_known(name):
        return f"found no files of {known.name}, expected a model folder: {known.command}"
    return f"found no model {name[:80]!r}, expected one of {', '.join(here)}"


def describe(card: ModelCard) -> dict[str, Any]:
    """Return a model object. What is unknown (a window before the model is loaded) is null, never guessed."""
    return {
        "id": card.name,
        "object": "model",
        "created": _created(card.folder),
        "owned_by": _owner(card),
        "task": card.task,
        "aliases": list(card.aliases),
        "state": "pocket" if card.pocket else card.state,
        "device": card.device,
        "dimensions": card.dimensions,
        "capabilities": _capabilities(card),
        "context_length": card.window,
        "parameters": round(card.capabilities.size * 1e9) or None,
        "licence": card.capabilities.licence,
        "pricing": {"input_tokens": 0.0, "output_tokens": 0.0},
        "hardware_requirements": {
            "min_vram": format_size(card.capabilities.least),
            "optimal_vram": format_size(card.capabilities.optimal),
            "npu_compatible": card.capabilities.npu,
        },
        **_details(card),
    }


def _details(card: ModelCard) -> Mapping[str, Any]:
    """Return what only models of its task have, such as voices."""
    kind = TASKS.get(card.task)
    return kind.details(card.folder) if kind and card.folder else {}


def _for_anthropic(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that Anthropic's clients read."""
    created_at = datetime.fromtimestamp(model["created"], UTC).isoformat()
    return {"type": "model", "display_name": model["id"], "created_at": created_at}


def _capabilities(card: ModelCard) -> dict[str, bool]:
    kind, good_at = TASKS.get(card.task), card.capabilities.good_at
    facts = kind.facts if kind else frozenset()
    every = sorted(fact for known in TASKS.all for fact in known.facts)
    return {
        **{fact: fact in facts for fact in every},
        "code": "code" in good_at,
        "documents": "document" in good_at,
        "vision": "vision" in good_at or "vision" in facts,
        "audio": "audio" in good_at or "audio" in facts,
        "video": "video" in good_at,
        "function_calling": "text_generation" in facts and "tools" in good_at,
    }


def _owner(card: ModelCard) -> str:
    """Return the hub's organisation if a name contains one."""
    named = next((name for name in (card.name, *card.aliases) if "/" in name), "")
    return named.partition("/")[0] or "local"


def _created(folder: Path | None) -> int:
    """Return when the files came to this machine, 0 if they have not."""
    return int(folder.stat().st_mtime) if folder else 0
