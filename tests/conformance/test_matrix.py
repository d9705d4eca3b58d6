"""One promise: what `check` accepts runs, and valid items pass; what cannot be is refused with its line.

Every step key, and every pair of them, on every kind of operator: three items through a real pipeline.
"""

from __future__ import annotations

import asyncio
from itertools import combinations
from pathlib import Path

import pytest

from fastembed.pipeline.config.load import Report, lint
from fastembed.pipeline.engine import Engine
from fastembed.pipeline.item import Outcome
from fastembed.pipeline.registry import Registry
from fastembed.pipeline.spec import Spec
from tests.conformance import kinds

REGISTRY = Registry({}, group="fastembed.none")
for target in vars(kinds).values():
    if getattr(target, "__module__", "") == kinds.__name__ and hasattr(target, "__fastembed_component__"):
        REGISTRY.add(target)
OPERATORS = REGISTRY.all("operator")
KEYS = (
    "if: value >= 0",
    "if: value > 99",
    "batch: 2",
    "batch: {max: 2, tokens: 10, wait: 1ms}",
    "workers: 2",
    "order: strict",
    "order: key",
    "order: none",
    "latest: value < 0",
    "timeout: 60s",
    "timeout: {first: 60s}",
    "timeout: {first: 60s, idle: 60s, total: 60s}",
    "retry: 1",
    "retry: {attempts: 2, base: 1ms, max: 1ms}",
    "on_error: fail",
    "on_error: skip",
    "on_error: pass",
    "queue: 1",
    "queue: 5s",
    "queue: 64MiB",
    "cache: 10",
    "replicas: 1",
    "replicas: 2",
    "id: mine",
)
PAIRED = (
    "if: value >= 0",
    "batch: 2",
    "workers: 2",
    "order: none",
    "latest: value < 0",
    "timeout: {first: 60s}",
    "retry: 1",
    "on_error: pass",
    "queue: 1",
    "cache: 10",
)
SOURCES = ("numbers", "keyed_numbers", "bare_numbers")


def text_of(spec: Spec, keys: tuple[str, ...], source: str) -> str:
    lines = "".join(f"        {key}\n" for key in keys)
    step = f"      - {spec.name}:\n{lines}"
    return f"version: 1\npipelines:\n  p:\n    source: {source}\n    operators:\n{step}    sink: kept\n"


def checked(path: Path, text: str) -> Report:
    path.write_text(text)
    return lint(path, registry=REGISTRY)


async def promised(path: Path, spec: Spec, keys: tuple[str, ...], source: str) -> str:
    """Return what is wrong with the promise for this file, or nothing."""
    report = checked(path, text_of(spec, keys, source))
    if report.configuration is None:
        told = all(
            error.startswith(f"{path}:") and ("cache" in error or "replicas" in error) for error in report.errors
        )
        return "" if told else f"{spec.name} {keys}: refused with {report.errors}"
    kinds.ARRIVED.clear()
    engine = Engine(once=True)
    await engine.start(report.configuration)
    pipeline = engine.pipelines["p"]
    async with asyncio.timeout(30):
        await engine.join()
    await engine.stop()
    bad = set(pipeline.stats.outcomes) - {Outcome.DELIVERED, Outcome.FILTERED}  # a total is made of several inputs
    if sorted(kinds.ARRIVED) != [0, 1, 2] or bad:
        return f"{spec.name} {keys} after {source}: found {kinds.ARRIVED}, {pipeline.stats.outcomes}"
    return ""


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("spec", OPERATORS, ids=lambda spec: spec.name)
async def test_each_step_key_on_each_kind_of_operator_delivers_or_is_refused(
    tmp_path: Path, spec: Spec, source: str
) -> None:
    path = tmp_path / "pipelines.yaml"
    found = [await promised(path, spec, keys, source) for keys in [(), *((key,) for key in KEYS)]]
    assert [problem for problem in found if problem] == []


@pytest.mark.parametrize("spec", OPERATORS, ids=lambda spec: spec.name)
async def test_each_pair_of_step_keys_on_each_kind_of_operator_delivers_or_is_refused(
    tmp_path: Path, spec: Spec
) -> None:
    path = tmp_path / "pipelines.yaml"
    found = [await promised(path, spec, pair, "keyed_numbers") for pair in combinations(PAIRED, 2)]
    assert [problem for problem in found if problem] == []


def test_cache_and_replicas_are_refused_where_they_cannot_be(tmp_path: Path) -> None:
    refused = {}
    for spec in OPERATORS:
        report = checked(tmp_path / "p.yaml", text_of(spec, ("cache: 10", "replicas: 2"), "numbers"))
        refused[spec.name] = [error.split(": ", 1)[1].split(" ")[1] for error in report.errors]
    with_cache = {name for name, keys in refused.items() if keys == ["replicas:"]}
    assert with_cache == {"plain", "untyped", "coroutine", "threaded", "plain_class", "async_class"}
    assert all(keys[-1] == "replicas:" for keys in refused.values())
