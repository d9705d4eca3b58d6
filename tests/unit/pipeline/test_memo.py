"""A step's cache."""

from __future__ import annotations

from fastembed.pipeline.component import operator
from fastembed.pipeline.testing import run_values, step


def test_a_cached_step_works_once_on_equal_values():
    seen: list[object] = []

    @operator
    async def look(value: object) -> object:
        seen.append(value)
        return value

    pipeline = run_values(["a", "b", "a", ["unhashable"], ["unhashable"], "c", "a", "b"], step(look, cache_entries=2))
    assert pipeline.sink.values == ["a", "b", "a", ["unhashable"], ["unhashable"], "c", "a", "b"]
    assert seen == ["a", "b", ["unhashable"], ["unhashable"], "c", "b"]
