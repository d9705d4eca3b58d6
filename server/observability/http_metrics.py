"""Metrics of HTTP requests, for `/metrics` and `/v1/system/status`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from fastembed.pipeline.observe import Histogram

_WINDOW_S: Final = 60.0
_RECENT: Final = 4096


class HttpMetrics(Collector):
    """Requests by method, route and status; seconds by route; the last minute's rate and mean."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._counts: dict[tuple[str, str, int], int] = {}
        self._seconds: dict[str, Histogram] = {}
        self._recent: deque[tuple[float, float]] = deque(maxlen=_RECENT)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one finished request. route: the path as it is declared, never as a client typed it."""
        key = (method, route, status)
        self._counts[key] = self._counts.get(key, 0) + 1
        histogram = self._seconds.get(route)
        if histogram is None:
            histogram = self._seconds[route] = Histogram()
        histogram.observe(seconds)
        self._recent.append((self._clock(), seconds))

    def last_minute(self) -> tuple[float, float | None]:
        """Return (requests a minute, mean seconds or None when there was none) over the last minute.

        Beyond 4096 requests a minute the rate is extrapolated from the newest 4096.
        """
        now = self._clock()
        while self._recent and self._recent[0][0] < now - _WINDOW_S:
            self._recent.popleft()
        count = len(self._recent)
        if not count:
            return 0.0, None
        mean_s = sum(seconds for _, seconds in self._recent) / count
        if count < _RECENT:
            return float(count), mean_s
        return count * _WINDOW_S / max(now - self._recent[0][0], 1e-3), mean_s

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families."""
        requests = CounterMetricFamily(
            "fastembed_http_requests", "Finished requests", labels=["method", "route", "status"]
        )
        for (method, route, status), count in self._counts.items():
            requests.add_metric([method, route, str(status)], count)
        seconds = HistogramMetricFamily("fastembed_http_request_seconds", "Request to last byte", labels=["route"])
        for route, histogram in self._seconds.items():
            seconds.add_metric([route], list(histogram.cumulative()), histogram.sum_s)
        yield from (requests, seconds)
