"""What this server's own endpoints answer: objects with typed fields; fields that a newer server adds are there too."""

from __future__ import annotations

from typing import Any

from openai import BaseModel
from pydantic import ConfigDict


class ServerAnswer(BaseModel):
    """A JSON object. As with the official client it is not validated: reading a field that is missing raises."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


class Analysis(ServerAnswer):
    """What a model says of inputs of any kind. findings: a text a focus area, None where none was given."""

    id: str
    model: str
    analysis: str
    findings: dict[str, str] | None = None
    finish_reason: str
    usage: dict[str, Any]


class DocumentTable(ServerAnswer):
    """A table of a document. rows: a list of cells each. page: from 1, None where the format has none."""

    page: int | None = None
    rows: list[list[str]]


class ProcessedDocument(ServerAnswer):
    """One document, read. content: Markdown, HTML or a structure, as `output_format` says; parts not asked for: None.

    warnings: what could not be read well.
    """

    id: str
    model: str
    parser: str
    title: str
    page_count: int | None = None
    output_format: str
    content: Any = None
    tables: list[DocumentTable] | None = None
    images: Any = None
    formulas: Any = None
    metadata: dict[str, Any] | None = None
    warnings: list[str] | None = None
    timings: dict[str, float] | None = None


class DocumentEntry(ServerAnswer):
    """A file that a folder pipeline knows, and what became of it. pages, chunks: 0 where there are none."""

    pipeline: str
    name: str
    state: str
    title: str
    pages: int
    chunks: int
    detail: str
    path: str
    at: str


class SearchHit(ServerAnswer):
    """A chunk that was found. score: higher is better. pages: the first and the last, None: the format has none."""

    document: str
    title: str
    path: str
    pages: list[int] | None = None
    headings: list[str]
    snippet: str
    text: str
    score: float
    similarity: float | None = None
    table: str = ""
    database: str = ""


class RankedDocument(ServerAnswer):
    """A document's place in a ranking. index: its place in the request. relevance_score: 0 to 1, higher is better."""

    index: int
    relevance_score: float
    document: Any = None


class SqlRows(ServerAnswer):
    """What a query found. columns: `name` and `type` each. data: rows by column. truncated: rows were left out."""

    columns: list[dict[str, str]]
    data: list[dict[str, Any]]
    truncated: bool


class ModelChoice(ServerAnswer):
    """What was decided. candidates: models on devices, the best first. refusal: the error instead of them."""

    summary: str
    candidates: list[dict[str, Any]]
    reasons: list[str]
    rejected: list[dict[str, Any]]
    substitute: bool
    refusal: dict[str, Any] | None = None


class RouteExplanation(ServerAnswer):
    """Which model would answer a request, and why."""

    endpoint: str
    profile: dict[str, Any]
    requirements: dict[str, Any]
    decision: ModelChoice


class DeviceStatus(ServerAnswer):
    """A kind of device. What cannot be measured is None. utilization: percent."""

    available: bool
    name: str | None = None
    total_memory: str | None = None
    used_memory: str | None = None
    free_memory: str | None = None
    utilization: float | None = None


class LoadedModelStatus(ServerAnswer):
    """A model in memory, or one that requests wait for."""

    model_id: str
    device: str
    state: str
    memory_usage: str | None = None
    last_used: str
    requests_queued: int | None = None
    requests_running: int


class PipelineStatus(ServerAnswer):
    """A pipeline. outcomes: its items by how they ended. waiting: those of `in_flight` that nothing works on yet."""

    name: str
    source: str
    sink: str
    guarantee: str
    models: list[str]
    state: str
    admitted: int
    in_flight: int
    waiting: int = 0
    outcomes: dict[str, int]
    problem: str


class PerformanceMetrics(ServerAnswer):
    """The last minute. None: there was nothing to measure."""

    avg_response_time: str | None = None
    requests_per_minute: float
    cache_hit_rate: float | None = None


class SystemStatus(ServerAnswer):
    """Devices, loaded models, pipelines, performance: GET /v1/system/status."""

    version: str
    phase: str
    uptime_seconds: float
    requests_in_flight: int
    process: dict[str, str | None]
    npu: DeviceStatus
    gpu: DeviceStatus
    cpu: DeviceStatus
    loaded_models: list[LoadedModelStatus]
    pipelines: list[PipelineStatus]
    performance_metrics: PerformanceMetrics
    problems: list[str]
