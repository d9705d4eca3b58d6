"""A pipeline's metrics: plain counters on the hot path, turned into Prometheus samples when scraped."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from fastembed.pipeline.item import Outcome

BOUNDS_S: Final = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class Histogram:
    """Seconds, in the buckets of `BOUNDS_S`."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds

    @property
    def count(self) -> int:
        """Return how many durations were counted."""
        return sum(self.counts)

    def quantile(self, q: float) -> float | None:
        """Return the upper bound of the bucket that holds the q-quantile, or None when nothing was counted."""
        total, seen = self.count, 0
        for bound, count in zip((*BOUNDS_S, float("inf")), self.counts, strict=True):
            seen += count
            if total and seen >= q * total:
                return bound
        return None

    def cumulative(self) -> Iterator[tuple[str, float]]:
        """Yield Prometheus buckets: (upper bound, how many are at most that)."""
        seen = 0
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), self.counts, strict=True):
            seen += count
            yield bound, seen


def _nothing() -> int:
    return 0


@dataclass(slots=True)
class StageStats:
    """One stage: an operator, a run of fused operators, a route, a fork or a sink.

    outcomes: items that ended here. waiting: how many items wait before it now, oldest_s: how long the first has.
    """

    name: str
    items_in: int = 0
    items_out: int = 0
    skipped: int = 0
    retries: int = 0
    outcomes: dict[Outcome, int] = field(default_factory=dict)
    latency: Histogram = field(default_factory=Histogram)
    waiting: Callable[[], int] = _nothing
    oldest_s: Callable[[], float] = _nothing

    def ended(self, outcome: Outcome) -> None:
        """Count an item that ended in this stage."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1


@dataclass(slots=True)
class PipelineStats:
    """One pipeline: what came in, how it ended, how long it took from admission to the end.

    abandoned: items that were cut off because the pipeline stopped before they ended.
    """

    name: str
    admitted: int = 0
    outcomes: dict[Outcome, int] = field(default_factory=dict)
    latency: Histogram = field(default_factory=Histogram)
    stages: list[StageStats] = field(default_factory=list)
    restarts: int = 0
    abandoned: int = 0
    _before: dict[str, StageStats] = field(default_factory=dict)

    def stage(self, name: str) -> StageStats:
        """Add a stage, with what was counted in it before a restart."""
        stage = self._before.pop(name, None) or StageStats(name)
        self.stages.append(stage)
        return stage

    def restarted(self) -> PipelineStats:
        """Return the counters for a rebuilt pipeline, which continue from these."""
        before = {stage.name: replace(stage, waiting=_nothing, oldest_s=_nothing) for stage in self.stages}
        return replace(self, stages=[], restarts=self.restarts + 1, _before=before)

    def ended(self, outcome: Outcome, seconds: float) -> None:
        """Count an admitted item's end."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        self.latency.observe(seconds)

    @property
    def in_flight(self) -> int:
        """Return how many admitted items have not ended."""
        return self.admitted - sum(self.outcomes.values())


class PipelineCollector(Collector):
    """Turns the running pipelines' counters into Prometheus metrics at scrape time."""

    def __init__(self, running: Callable[[], Iterable[PipelineStats]]) -> None:
        self._running = running

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families (https://prometheus.io/docs/instrumenting/writing_exporters/)."""
        label, both = ["pipeline"], ["pipeline", "stage"]
        admitted = CounterMetricFamily("fastembed_items_admitted", "Items taken in", labels=label)
        ended = CounterMetricFamily("fastembed_items_ended", "Items by outcome", labels=[*label, "outcome"])
        flying = GaugeMetricFamily("fastembed_items_in_flight", "Items taken in and not ended", labels=label)
        restarts = CounterMetricFamily("fastembed_pipeline_restarts", "Restarts after a crash", labels=label)
        seconds = HistogramMetricFamily("fastembed_item_seconds", "Admission to end", labels=label)
        stage_in = CounterMetricFamily("fastembed_stage_items_in", "Items that entered a stage", labels=both)
        stage_out = CounterMetricFamily("fastembed_stage_items_out", "Items that left a stage", labels=both)
        stage_ended = CounterMetricFamily(
            "fastembed_stage_ended", "Items that ended in a stage", labels=[*both, "outcome"]
        )
        stage_retries = CounterMetricFamily("fastembed_stage_retries", "Further tries", labels=both)
        stage_seconds = HistogramMetricFamily("fastembed_stage_seconds", "Time of one call", labels=both)
        waiting = GaugeMetricFamily("fastembed_stage_waiting", "Items that wait before a stage", labels=both)
        oldest = GaugeMetricFamily("fastembed_stage_oldest_seconds", "Age of the first waiting item", labels=both)
        for pipeline in self._running():
            name = [pipeline.name]
            admitted.add_metric(name, pipeline.admitted)
            flying.add_metric(name, pipeline.in_flight)
            restarts.add_metric(name, pipeline.restarts)
            seconds.add_metric(name, list(pipeline.latency.cumulative()), pipeline.latency.sum_s)
            for outcome, count in pipeline.outcomes.items():
                ended.add_metric([*name, outcome.value], count)
            for stage in pipeline.stages:
                labels = [pipeline.name, stage.name]
                stage_in.add_metric(labels, stage.items_in)
                stage_out.add_metric(labels, stage.items_out)
                stage_retries.add_metric(labels, stage.retries)
                stage_seconds.add_metric(labels, list(stage.latency.cumulative()), stage.latency.sum_s)
                waiting.add_metric(labels, stage.waiting())
                oldest.add_metric(labels, stage.oldest_s())
                for outcome, count in stage.outcomes.items():
                    stage_ended.add_metric([*labels, outcome.value], count)
        yield from (admitted, ended, flying, restarts, seconds, stage_in, stage_out, stage_ended, stage_retries)
        yield from (stage_seconds, waiting, oldest)
