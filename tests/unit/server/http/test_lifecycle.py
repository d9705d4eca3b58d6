from __future__ import annotations

import asyncio

from fastembed.server.http.lifecycle import Lifecycle
from fastembed.server.observability.http_metrics import HttpMetrics
from fastembed.server.wire.exchange import span
from fastembed.server.wire.text import format_size


async def test_a_drain_waits_for_the_last_request():
    lifecycle = Lifecycle()
    lifecycle.serve()
    lifecycle.enter()
    lifecycle.enter()
    lifecycle.drain()
    idle = asyncio.create_task(lifecycle.idle())
    lifecycle.leave()
    await asyncio.sleep(0)
    assert not idle.done()
    lifecycle.leave()
    await idle
    assert lifecycle.refusal() is not None


async def test_what_drains_never_serves_again():
    lifecycle = Lifecycle()
    lifecycle.drain()
    lifecycle.serve()
    assert lifecycle.phase == "draining"
    assert lifecycle.draining.is_set()


def test_the_rate_counts_the_last_minute_only():
    now = 0.0
    stats = HttpMetrics(lambda: now)
    assert stats.last_minute() == (0.0, None)
    stats.count("GET", "/a", 200, 1.0)
    now = 50.0
    stats.count("GET", "/a", 200, 3.0)
    assert stats.last_minute() == (2.0, 2.0)
    now = 70.0
    assert stats.last_minute() == (1.0, 3.0)


def test_durations_are_written_as_openai_writes_them():
    assert [span(s) for s in (0, 0.0124, 1, 59.4, 360, 3599.9)] == ["0ms", "12ms", "1s", "59s", "6m0s", "60m0s"]


def test_amounts_are_written_as_people_read_them():
    sizes = (None, 12, 22_600_000, 5_800_000_000, 3 * 10**15)
    assert [format_size(size) for size in sizes] == [None, "12B", "22.6MB", "5.8GB", "3e+03TB"]
