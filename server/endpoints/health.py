"""Liveness (`/healthz`), readiness (`/readyz`) and metrics (`/metrics`)."""

from __future__ import annotations

from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fastembed.inference.serving.models import Models
from fastembed.inference.serving.resilience.breakers import Breakers
from fastembed.pipeline.health import Health
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.http.errors import retry_headers
from fastembed.server.wire.operation import Operation
from fastembed.server.wire.responses import json_answer

_HEALTHZ: Final = Operation("GET", "/healthz", "Whether the process lives", open=True)
_READYZ: Final = Operation("GET", "/readyz", "Whether all models are ready; 503 until they are", open=True)
OPERATIONS: Final = (_HEALTHZ, _READYZ)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the routes."""

    async def healthz(_: Request) -> Response:
        return json_answer({"status": "ok"})

    async def readyz(_: Request) -> Response:
        waiting = list(site.running.waiting_for())
        degraded = site.resources.get(Breakers).degraded()
        state: str = "starting" if waiting and site.lifecycle.phase == "serving" else site.lifecycle.phase
        problems = Health.of(site.resources).lines()
        if state == "serving":
            state = "degraded" if degraded or problems else "ready"
        ready = state == "ready" or (state == "degraded" and (not degraded or _can_answer(site)))
        more = {"problems": problems} if problems else {}
        body = {"status": state, "waiting_for": waiting, "degraded": degraded, **more}
        response = json_answer(body, 200 if ready else 503)
        if not ready:
            response.raw_headers.extend(retry_headers(1.0))
        return response

    async def metrics(_: Request) -> Response:
        return Response(site.metrics(), media_type=CONTENT_TYPE_LATEST)

    return [
        _HEALTHZ.route(healthz),
        _READYZ.route(readyz),
        *([Route(site.metrics_path, metrics)] if site.metrics_path else []),
    ]


def _can_answer(site: ServerContext) -> bool:
    """Whether a model that is loaded has a device on which it does not fail again and again."""
    down = site.resources.get(Breakers).down()
    return any(card.name not in down for card in site.resources.get(Models).cards() if card.state == "ready")
