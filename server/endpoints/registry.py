"""Every operation of the server: those that pipelines answer where one serves their path, and the server's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from starlette.routing import BaseRoute

from fastembed.server.endpoints import (
    analyze,
    answers,
    ask,
    batches,
    catalog,
    chat,
    client_secrets,
    completions,
    conversations,
    convert,
    custom,
    document_processing,
    documents,
    embeddings,
    export,
    files,
    folders,
    health,
    mcp,
    messages,
    model_memory,
    models,
    moderations,
    ollama,
    page,
    pipelines,
    reembed,
    reference,
    rerank,
    responses,
    route,
    search,
    speech,
    sql,
    system,
    tokens,
    transcriptions,
    uploads,
    usage,
    voices,
)
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.wire.operation import Operation, PipelineEndpoint

PIPELINE_ENDPOINTS: Final[Mapping[str, PipelineEndpoint]] = {
    endpoint.operation.name: endpoint
    for endpoint in (
        chat.ENDPOINT,
        completions.ENDPOINT,
        embeddings.ENDPOINT,
        rerank.ENDPOINT,
        transcriptions.TRANSCRIPTIONS,
        transcriptions.TRANSLATIONS,
        speech.ENDPOINT,
        document_processing.ENDPOINT,
        analyze.ENDPOINT,
        ask.ENDPOINT,
    )
}
"""By `METHOD /path`, the best known first: messages list them in this order."""


class OwnEndpoint(Protocol):
    """A module of this folder that answers without a pipeline: what it serves, and the routes that do."""

    @property
    def OPERATIONS(self) -> tuple[Operation, ...]:  # noqa: N802 - a module's constant
        """What its routes are to clients; the order of `/openapi.json`."""

    def routes(self, site: ServerContext, /) -> list[BaseRoute]:
        """Return a route for each operation that is served now."""


OWN_ENDPOINTS: Final[tuple[OwnEndpoint, ...]] = (
    page,
    health,
    model_memory,
    reference,
    models,
    catalog,
    voices,
    client_secrets,
    responses,
    conversations,
    messages,
    ollama,
    route,
    files,
    uploads,
    batches,
    convert,
    moderations,
    mcp,
    search,
    answers,
    folders,
    documents,
    reembed,
    sql,
    export,
    pipelines,
    system,
    tokens,
    usage,
)
"""Those that the server answers itself; `/openapi.json`, which describes them all, stands outside."""

OWN_OPERATIONS: Final = tuple(operation for endpoint in OWN_ENDPOINTS for operation in endpoint.OPERATIONS)
"""What they serve; the path of the metrics is a setting."""

ANSWERED_THROUGH: Final = {operation.path: operation.through for operation in OWN_OPERATIONS if operation.through}
"""From a path to that of the pipeline which answers it."""


def endpoint_of(name: str) -> PipelineEndpoint:
    """Return what answers `METHOD /path`; a path of one's own takes and gives JSON, of a GET the query's."""
    return PIPELINE_ENDPOINTS.get(name) or custom.endpoint_at(*name.split(" ", 1))


def own_routes(site: ServerContext) -> list[BaseRoute]:
    """Return the routes of the server's own endpoints."""
    return [found for endpoint in OWN_ENDPOINTS for found in endpoint.routes(site)]
