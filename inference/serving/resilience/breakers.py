"""The breakers of this process: one a model and device. A resource of its components."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fastembed.inference.library.policies import BreakerPolicy
from fastembed.inference.serving.resilience.breaker import Breaker, BreakerState

_LEVEL: Final[Mapping[BreakerState, int]] = {"closed": 0, "half_open": 1, "open": 2}


@dataclass(frozen=True, slots=True)
class BreakerView:
    """A breaker as it is now. failures: those that count. retry_after_s: when a call may pass, 0: now.

    why: the same with the local time of day, "" while it is closed or half open.
    """

    model: str
    device: str
    state: BreakerState
    failures: int
    opened: int
    retry_after_s: float
    why: str = ""


class Breakers(Collector):
    """Finds each model's breaker on each device; Prometheus may collect it."""

    def __init__(
        self,
        policy: BreakerPolicy | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = datetime.now,
    ) -> None:
        """Use one policy for all. clock: seconds that never go back. wall: the time of day, for messages."""
        self._policy = policy or BreakerPolicy()
        self._breakers: dict[tuple[str, str], Breaker] = {}
        self._counts: dict[tuple[str, str, str], int] = {}
        self.clock = clock
        self._wall = wall

    @classmethod
    def from_sections(cls, sections: Mapping[str, Any]) -> Breakers:
        """Make the resource from a configuration's section `breaker`, which is checked with the others (`specs`)."""
        return cls(BreakerPolicy.model_validate(sections.get("breaker") or {}))

    def of(self, model: str, device: str) -> Breaker:
        """Return the breaker of a model on a device (OpenVINO's name); it is made at the first look-up."""
        breaker = self._breakers.get((model, device))
        if breaker is None:
            breaker = self._breakers[model, device] = Breaker(self._policy)
        return breaker

    def why(self, wait_s: float) -> str:
        """Say that a breaker is open, and until when: on the clock, for a later reader, and in seconds."""
        return f"breaker open until {self._wall() + timedelta(seconds=wait_s):%H:%M:%S} (in {wait_s:.0f} s)"

    def count(self, model: str, device: str, outcome: str) -> None:
        """Count how one attempt of a request ended."""
        key = (model, device, outcome)
        self._counts[key] = self._counts.get(key, 0) + 1

    def views(self) -> list[BreakerView]:
        """Describe those that were asked for, in that order."""
        return [self._view(model, device, one) for (model, device), one in self._breakers.items()]

    def degraded(self) -> list[BreakerView]:
        """Describe those that let not everything pass."""
        return [view for view in self.views() if view.state != "closed"]

    def down(self) -> set[str]:
        """Return the models that nothing passes to, on any device that they were tried on."""
        views = self.views()
        return {view.model for view in views} - {view.model for view in views if view.state != "open"}

    def _view(self, model: str, device: str, breaker: Breaker) -> BreakerView:
        now_s = self.clock()
        state, wait_s = breaker.state(now_s), breaker.retry_after_s(now_s)
        why = self.why(wait_s) if state == "open" else ""
        return BreakerView(model, device, state, breaker.failures(now_s), breaker.opened, round(wait_s, 3), why)

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families."""
        labels = ["model", "device"]
        state = GaugeMetricFamily("fastembed_breaker_state", "0 closed, 1 half open, 2 open", labels=labels)
        opened = CounterMetricFamily("fastembed_breaker_opened", "How often a breaker opened", labels=labels)
        for view in self.views():
            state.add_metric([view.model, view.device], _LEVEL[view.state])
            opened.add_metric([view.model, view.device], view.opened)
        attempts = CounterMetricFamily(
            "fastembed_attempts", "Attempts of requests, by how they ended", labels=[*labels, "outcome"]
        )
        for key, count in self._counts.items():
            attempts.add_metric(list(key), count)
        yield from (state, opened, attempts)
