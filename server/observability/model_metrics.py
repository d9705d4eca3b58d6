"""Metrics of models, for `/metrics`: their loading and unloading, and what they did."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from fastembed.inference.engines.encoder.model import EncoderModel
from fastembed.inference.serving.models import Models

_LABELS = ("model", "device")


class ModelMetrics(Collector):
    """Loads, failed loads, unloads, seconds of loading, bytes, an encoder's padding: by model and device.

    Requests, tokens, seconds of speech, latencies: by model.
    """

    def __init__(self, models: Models) -> None:
        self._models = models

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families."""
        loads = CounterMetricFamily("fastembed_model_loads", "Loads that succeeded", labels=_LABELS)
        failures = CounterMetricFamily("fastembed_model_load_failures", "Loads that failed", labels=_LABELS)
        unloads = CounterMetricFamily("fastembed_model_unloads", "For other models, or idle", labels=_LABELS)
        seconds = CounterMetricFamily("fastembed_model_load_seconds", "Time that loads took", labels=_LABELS)
        memory = GaugeMetricFamily(
            "fastembed_model_memory_bytes", "What loaded models take or may take", labels=_LABELS
        )
        padding = GaugeMetricFamily("fastembed_model_padding_ratio", "Padding in computed tokens", labels=_LABELS)
        for key, resident in list(self._models.residents.known.items()):
            loads.add_metric(key, resident.loads)
            failures.add_metric(key, resident.failures)
            unloads.add_metric(key, resident.unloads)
            seconds.add_metric(key, resident.load_s)
            memory.add_metric(key, resident.entry.bytes if resident.model else 0)
            if isinstance(resident.model, EncoderModel):
                padding.add_metric(key, resident.model.padding)
        yield from (loads, failures, unloads, seconds, memory, padding)
        yield from self._use()

    def _use(self) -> Iterator[Metric]:
        requests = CounterMetricFamily("fastembed_model_requests", "Answers of a model", labels=["model"])
        tokens = CounterMetricFamily("fastembed_model_tokens", "Tokens read and written", labels=["model", "kind"])
        audio = CounterMetricFamily("fastembed_model_audio_seconds", "Seconds of speech heard", labels=["model"])
        whole = HistogramMetricFamily("fastembed_model_request_seconds", "Asked to answered", labels=["model"])
        first = HistogramMetricFamily(
            "fastembed_model_first_token_seconds", "Asked to the first piece", labels=["model"]
        )
        for model, use in self._models.usage:
            requests.add_metric([model], use.requests)
            tokens.add_metric([model, "prompt"], use.prompt_tokens)
            tokens.add_metric([model, "completion"], use.completion_tokens)
            audio.add_metric([model], use.audio_s)
            whole.add_metric([model], list(use.latency.cumulative()), use.latency.sum_s)
            if use.first.count:
                first.add_metric([model], list(use.first.cumulative()), use.first.sum_s)
        yield from (requests, tokens, audio, whole, first)
