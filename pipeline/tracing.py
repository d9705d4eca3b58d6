"""OpenTelemetry spans, where its SDK is installed and told to: one for each item, below it one for each stage.

`tracing()` returns None otherwise, and the stages ask once: nothing here costs anything then. OTEL_TRACES_EXPORTER
names the exporter (`console`, or an installed one such as `otlp`; https://opentelemetry.io/docs/specs/otel/). An item
whose `meta` has a `traceparent` (https://www.w3.org/TR/trace-context/) continues its caller's trace.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.item import Ack, Item, Outcome

if TYPE_CHECKING:
    from opentelemetry.context import Context as OtelContext
    from opentelemetry.trace import Span, Tracer


def export_spans(environ: Mapping[str, str] = os.environ) -> bool:
    """Set the SDK up as OTEL_TRACES_EXPORTER says; False when it is not set, or the SDK is not installed.

    ConfigError names the exporters that are installed when it is set to another.
    """
    exporter = environ.get("OTEL_TRACES_EXPORTER", "none")
    if exporter == "none" or find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        return False
    from opentelemetry import trace
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    exporters = {point.name: point for point in entry_points(group="opentelemetry_traces_exporter")}
    if exporter not in exporters:
        known = ", ".join(sorted(exporters))
        raise ConfigError([f"found OTEL_TRACES_EXPORTER={exporter}, expected none or an installed exporter: {known}"])
    named = Resource({"service.name": "fastembed"}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=Resource.create().merge(named))
    provider.add_span_processor(BatchSpanProcessor(exporters[exporter].load()()))
    trace.set_tracer_provider(provider)
    return True


def tracing(pipeline: str) -> Tracing | None:
    """Return the pipeline's tracing, or None when nothing exports spans."""
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        return None
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    provider = trace.get_tracer_provider()
    return Tracing(pipeline, provider.get_tracer("fastembed")) if isinstance(provider, TracerProvider) else None


class Tracing:
    """The open spans of one pipeline's items. Times are of `time.perf_counter`."""

    def __init__(self, pipeline: str, tracer: Tracer) -> None:
        self._pipeline = pipeline
        self._tracer = tracer
        self._spans: dict[Ack, Span] = {}
        self._epoch_ns = time.time_ns() - time.perf_counter_ns()

    def begin(self, ack: Ack) -> None:
        """Open the span of an admitted item."""
        item = ack.origin
        attributes = {"item.id": item.id, "item.key": item.key, "request.id": item.trace}
        known = {name: value for name, value in attributes.items() if value is not None}
        self._spans[ack] = self._tracer.start_span(self._pipeline, context=_caller(item), attributes=known)

    def start(self, item: Item[Any], name: str) -> Span | None:
        """Open the span of one stage's work on an item, or on what was derived from it; the caller ends it."""
        from opentelemetry.trace import set_span_in_context

        parent = self._spans.get(item.ack)
        return None if parent is None else self._tracer.start_span(name, context=set_span_in_context(parent))

    def stage(self, item: Item[Any], name: str, started_s: float, ended_s: float) -> None:
        """Add the span of work that is over."""
        from opentelemetry.trace import set_span_in_context

        if (parent := self._spans.get(item.ack)) is not None:
            context = set_span_in_context(parent)
            self._tracer.start_span(name, context=context, start_time=self._ns(started_s)).end(self._ns(ended_s))

    def end(self, ack: Ack, outcome: Outcome) -> None:
        """Close an item's span."""
        from opentelemetry.trace import StatusCode

        if (span := self._spans.pop(ack, None)) is not None:
            span.set_attribute("item.outcome", outcome.value)
            if ack.error is not None:
                span.record_exception(ack.error)
                span.set_status(StatusCode.ERROR, str(ack.error))
            span.end()

    def _ns(self, seconds: float) -> int:
        return self._epoch_ns + int(seconds * 1e9)


def _caller(item: Item[Any]) -> OtelContext | None:
    """Return the span of the caller, where it sent one; a header that cannot be read counts as none (W3C, level 1)."""
    if "traceparent" not in item.meta:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract(item.meta)
