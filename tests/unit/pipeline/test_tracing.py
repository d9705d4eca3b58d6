"""OpenTelemetry spans."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from fastembed.pipeline.component import operator
from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.item import Item
from fastembed.pipeline.testing import run_values, step
from fastembed.pipeline.tracing import Tracing, export_spans


@operator
def double(value: int) -> int:
    return value * 2


@operator
async def invert(value: int) -> float:
    return 1 / value


def test_each_item_has_a_span_and_each_stage_one_below_it(monkeypatch):
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("fastembed.pipeline.runner.tracing", lambda name: Tracing(name, provider.get_tracer("test")))

    run_values([Item(1, trace="req_1"), Item(0, trace="req_2")], step(double), step(invert))

    spans = exporter.get_finished_spans()
    roots = {span.attributes["request.id"]: span for span in spans if span.name == "test"}
    assert roots["req_1"].attributes["item.outcome"] == "delivered"
    assert roots["req_2"].attributes["item.outcome"] == "failed"
    assert (roots["req_1"].status.is_ok, roots["req_2"].status.is_ok) == (True, False)
    assert roots["req_2"].events[0].attributes["exception.message"].startswith("invert: ZeroDivisionError")
    below = [s.name for s in spans if s.parent and s.parent.span_id == roots["req_1"].context.span_id]
    assert below == ["double", "invert"]


def test_spans_are_exported_only_where_asked_for():
    assert export_spans({}) is False
    with pytest.raises(ConfigError, match="found OTEL_TRACES_EXPORTER=nosuch, expected none or an installed exporter"):
        export_spans({"OTEL_TRACES_EXPORTER": "nosuch"})


@pytest.mark.parametrize(("environ", "name"), [({}, "fastembed"), ({"OTEL_SERVICE_NAME": "office"}, "office")])
def test_spans_say_which_service_they_are_of(environ, name):
    script = (
        "from opentelemetry import trace\n"
        "from fastembed.pipeline.tracing import export_spans\n"
        "assert export_spans()\n"
        "print(trace.get_tracer_provider().resource.attributes['service.name'])\n"
    )
    env = {**os.environ, "OTEL_TRACES_EXPORTER": "console", **environ}  # a process has one provider, set once
    ended = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == name


def test_an_item_of_a_caller_who_traces_continues_that_trace(monkeypatch):
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("fastembed.pipeline.runner.tracing", lambda name: Tracing(name, provider.get_tracer("test")))
    caller = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": ""}
    broken = {"traceparent": "00-zero-b7ad6b7169203331-01", "tracestate": ""}

    run_values([Item(1, trace="req_1", meta=caller), Item(2, trace="req_2", meta=broken)], step(double))

    roots = {s.attributes["request.id"]: s for s in exporter.get_finished_spans() if s.name == "test"}
    assert f"{roots['req_1'].context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert f"{roots['req_1'].parent.span_id:016x}" == "b7ad6b7169203331"
    assert roots["req_2"].parent is None
