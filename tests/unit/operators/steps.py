"""Steps as a file declares them, run on given values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastembed.assembly import make_registry
from fastembed.pipeline.config.load import parse
from fastembed.pipeline.plan import Step
from fastembed.pipeline.runner import Pipeline
from fastembed.pipeline.testing import run_values


def steps_of(steps: str) -> tuple[Step, ...]:
    """Return the steps of YAML such as `[map: value + 1]`. ConfigError lists what is wrong with them."""
    text = f"version: 1\npipelines:\n  p:\n    source: {{http: POST /p}}\n    operators: {steps}\n    sink: reply\n"
    return parse(text, registry=make_registry()).pipelines["p"].steps


def run_steps(steps: str, values: Iterable[Any], **plan: Any) -> Pipeline:
    """Run the steps over the values; the pipeline's source knows how each ended, its sink what came out."""
    return run_values(values, *steps_of(steps), **plan)


def through(steps: str, values: Iterable[Any], **plan: Any) -> list[Any]:
    """Return what comes out of the steps, on a clock that jumps."""
    return run_steps(steps, values, **plan).sink.values
