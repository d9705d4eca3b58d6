"""Metrics of loading and unloading models, for `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fastembed.inference.engines.encoder.model import EncoderModel
from fastembed.inference.serving.models import Models

_LABELS = ("model", "device")


class ModelMetrics(Collector):
    """Loads, failed loads, unloads, seconds of loading, bytes, an encoder's padding: by model and device."""

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
