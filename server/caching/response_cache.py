"""A cache of results: least recently used first out, bounded in bytes and in age. No await, no I/O."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.payload.chat import ChatDelta
from fastembed.pipeline.payload.embedding import Embeddings
from fastembed.pipeline.payload.rerank import Ranking
from fastembed.pipeline.units import parse_duration, parse_size

TTL_S: Final = 3_600.0

_EVENT_BYTES: Final = 400  # measured: a `ChatDelta` with a word of text


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """max_bytes: of all answers together, about. ttl_s: an older answer is forgotten."""

    max_bytes: int
    ttl_s: float = TTL_S

    @classmethod
    def of(cls, size: str | None, ttl: str | float = TTL_S) -> CacheLimits | None:
        """Read a size such as 256MiB and a time such as 1h, or seconds; no size: None. ConfigError for the rest."""
        if size is None:
            return None
        try:
            found = cls(parse_size(size), parse_duration(ttl) if isinstance(ttl, str) else float(ttl))
        except ValueError as error:
            raise ConfigError([f"the response cache: {error}"]) from None
        return found if found.max_bytes and found.ttl_s > 0 else None


@dataclass(frozen=True, slots=True)
class _CacheEntry:
    values: Sequence[Any]
    size: int
    until_s: float


class ResponseCache(Collector):
    """The results of pipelines, by the digest of the request. hits, misses: as `count` has counted."""

    def __init__(self, limits: CacheLimits, *, clock: Callable[[], float] = monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._entries: OrderedDict[bytes, _CacheEntry] = OrderedDict()
        self.size = 0
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: bytes) -> Sequence[Any] | None:
        """Return the results kept under the key, if they are young enough."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.until_s <= self._clock():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.values

    def keep(self, key: bytes, values: Sequence[Any]) -> None:
        """Store results, unless they take more than an eighth of the cache: they would displace too much."""
        size = sum(map(weight, values))
        if size > self._limits.max_bytes // 8:
            return
        self._drop(key)
        self._entries[key] = _CacheEntry(values, size, self._clock() + self._limits.ttl_s)
        self.size += size
        while self.size > self._limits.max_bytes:
            self._drop(next(iter(self._entries)))

    def count(self, *, hit: bool) -> None:
        """Note how a request went that might have been answered from here."""
        self.hits += hit
        self.misses += not hit

    @property
    def hit_rate(self) -> float | None:
        """Return the share of such requests that were, None before the first."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else None

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families."""
        requests = CounterMetricFamily(
            "fastembed_cache_requests", "Requests whose answer may be kept", labels=["result"]
        )
        requests.add_metric(["hit"], self.hits)
        requests.add_metric(["miss"], self.misses)
        yield requests
        yield GaugeMetricFamily("fastembed_cache_entries", "Answers kept", value=len(self))
        yield GaugeMetricFamily("fastembed_cache_bytes", "Their size, about", value=self.size)

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        self.size -= entry.size if entry else 0


def weight(value: object) -> int:
    """Return about how many bytes a result takes in memory."""
    if isinstance(value, Embeddings):
        return int(value.vectors.nbytes) + 64 * len(value.token_counts)
    if isinstance(value, Ranking):
        return _EVENT_BYTES + 100 * len(value.results)
    if isinstance(value, ChatDelta):
        text = len(value.text) + len(value.reasoning) + len(value.tool_arguments)
        return _EVENT_BYTES + text + 200 * len(value.logprobs)
    return _EVENT_BYTES
