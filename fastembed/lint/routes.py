"""Reports routes that are declared twice: by two pipelines, or by a pipeline and the server itself."""

from __future__ import annotations

from fastembed.pipeline.config.problems import Problems
from fastembed.pipeline.plan import Configuration, PipelinePlan
from fastembed.server.endpoints.paths import own_path
from fastembed.sources.http import Http
from fastembed.sources.websocket import Websocket


def check_routes(configuration: Configuration, metrics_path: str | None, problems: Problems) -> None:
    """Report routes that another pipeline has already, and those that would hide an endpoint of the server."""
    owners: dict[str, PipelinePlan] = {}
    for plan in configuration.pipelines.values():
        served = served_by(plan)
        if served is None:
            continue
        method, path = served
        route = f"{method} {path}"
        if route in owners:
            problems.add(
                plan.source.place,
                f"found {route} in {plan.name} and in {owners[route].name}, expected one pipeline a route",
            )
        owners.setdefault(route, plan)
        if (own := own_path(path, metrics_path)) is not None:
            problems.add(
                plan.source.place,
                f"found {route} in {plan.name}, expected another path: the server itself answers at {own}",
            )


def served_by(plan: PipelinePlan) -> tuple[str, str] | None:
    """Return the method ("websocket" for one) and the path that a pipeline serves; None if that is nothing."""
    source = plan.source.component.factory
    if source is Http:
        http = Http(str(plan.source.options.get("route")))
        return http.method, http.path
    return ("websocket", Websocket(**plan.source.options).path) if source is Websocket else None
