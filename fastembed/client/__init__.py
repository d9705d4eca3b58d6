"""The SDK: OpenAI's official client with this server's own endpoints beside it.

    client = FastEmbedClient(base_url="http://localhost:8000")
    result = await client.embeddings.create(input=["text1", "text2"], model="bge-small-en-v1.5")
    result.data[0].embedding

`FastEmbedClient` is an `openai.AsyncOpenAI`, `SyncFastEmbedClient` an `openai.OpenAI`: everything that those have
works, with their types and errors, and they go wherever such a client is taken. `documents`, `multimodal`, `system`,
`analyze`, `search`, `ask`, `sql`, `rerank`, `route` and `transcribe_live` are this server's.
"""

from fastembed.client.answers import (
    Analysis,
    DeviceStatus,
    DocumentEntry,
    DocumentTable,
    LoadedModelStatus,
    ModelChoice,
    PerformanceMetrics,
    PipelineStatus,
    ProcessedDocument,
    RankedDocument,
    RouteExplanation,
    SearchHit,
    SqlRows,
    SystemStatus,
)
from fastembed.client.asynchronous import FastEmbedClient
from fastembed.client.errors import ServerUnreachable
from fastembed.client.live import LiveTranscription, Reconnected, TranscriptPiece
from fastembed.client.synchronous import SyncFastEmbedClient

EnhancedFastEmbedClient = FastEmbedClient
"""The architecture document's name for the client with all endpoints: there is one client."""

__all__ = [
    "Analysis",
    "DeviceStatus",
    "DocumentEntry",
    "DocumentTable",
    "EnhancedFastEmbedClient",
    "FastEmbedClient",
    "LiveTranscription",
    "LoadedModelStatus",
    "ModelChoice",
    "PerformanceMetrics",
    "PipelineStatus",
    "ProcessedDocument",
    "RankedDocument",
    "Reconnected",
    "RouteExplanation",
    "SearchHit",
    "ServerUnreachable",
    "SqlRows",
    "SyncFastEmbedClient",
    "SystemStatus",
    "TranscriptPiece",
]
