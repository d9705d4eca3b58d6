"""Every operation of the server: those that pipelines answer where one serves their path, and the server's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastembed.server.endpoints import (
    analyze,
    audio,
    chat,
    completions,
    custom,
    document_processing,
    documents,
    embeddings,
    files,
    health,
    models,
    pipelines,
    rerank,
    route,
    system,
    tokens,
)
from fastembed.server.wire.operation import Operation, PipelineEndpoint

PIPELINE_ENDPOINTS: Final[Mapping[str, PipelineEndpoint]] = {
    endpoint.operation.name: endpoint
    for endpoint in (
        chat.ENDPOINT,
        completions.ENDPOINT,
        embeddings.ENDPOINT,
        rerank.ENDPOINT,
        audio.TRANSCRIPTIONS,
        audio.TRANSLATIONS,
        document_processing.ENDPOINT,
        analyze.ENDPOINT,
    )
}
"""By `METHOD /path`, the best known first: messages list them in this order."""

OWN_OPERATIONS: Final[tuple[Operation, ...]] = tuple(
    operation
    for module in (health, models, route, files, documents, pipelines, system, tokens)
    for operation in module.OPERATIONS
)
"""Those that the server answers itself; the path of the metrics is a setting."""


def endpoint_of(name: str) -> PipelineEndpoint:
    """Return what answers `METHOD /path`; a path of one's own takes and gives JSON, of a GET the query's."""
    return PIPELINE_ENDPOINTS.get(name) or custom.endpoint_at(*name.split(" ", 1))
