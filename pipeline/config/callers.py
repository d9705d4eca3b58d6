"""A sink that replies to callers needs a source that has callers."""

from __future__ import annotations

from fastembed.pipeline.config.guarantees import sinks
from fastembed.pipeline.config.problems import Problems
from fastembed.pipeline.plan import PipelinePlan


def check_callers(plan: PipelinePlan, problems: Problems) -> None:
    """Report each sink that answers callers in a pipeline whose source has none, and one as `on_error`."""
    has_callers = plan.source.component.capabilities.callers
    for sink in sinks(plan):
        if sink.component.capabilities.needs_callers and not has_callers:
            problems.add(
                sink.place,
                f"found {sink.component.name} behind {plan.source.component.name}, which has no callers to reply to, "
                "expected a source with callers (http, websocket), or a sink that keeps results (duckdb)",
            )
    failures = plan.on_error
    if failures is not None and failures.component.capabilities.needs_callers:
        problems.add(
            failures.place,
            f"found {failures.component.name} as on_error, expected a sink that keeps what failed (folder): "
            "callers receive their errors without it",
        )
