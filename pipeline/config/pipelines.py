"""The sections `defaults`, `pipelines` and `tests`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pydantic import TypeAdapter

from fastembed.pipeline.component import Failure
from fastembed.pipeline.config.adjacency import check_flow, fits, type_name
from fastembed.pipeline.config.callers import check_callers
from fastembed.pipeline.config.definition import definition_hash
from fastembed.pipeline.config.ends import sink_plan, source_plan
from fastembed.pipeline.config.guarantees import operators
from fastembed.pipeline.config.nodes import ListNode, MapEntry, MapNode, Node, ScalarNode, display, plain
from fastembed.pipeline.config.policies import queue_policy, retry_policy, timeouts
from fastembed.pipeline.config.scope import Defaults, Scope
from fastembed.pipeline.config.steps import read_steps
from fastembed.pipeline.names import did_you_mean, one_of
from fastembed.pipeline.plan import PipelinePlan, PipelineTest
from fastembed.pipeline.units import Duration

PIPELINE_KEYS: Final = ("source", "operators", "sink", "on_error", "timeout", "drain")
DEFAULT_KEYS: Final = ("queue", "timeout", "retry", "drain")
TEST_KEYS: Final = ("name", "pipeline", "fake", "give", "expect")
_DURATION: Final[TypeAdapter[float]] = TypeAdapter(Duration)
_TEXT: Final[TypeAdapter[str]] = TypeAdapter(str)


def read_defaults(scope: Scope, node: Node | None) -> Defaults:
    """Read `defaults: {queue, timeout, retry, drain}`."""
    found = scope.mapping(node, "a mapping", DEFAULT_KEYS) if node else None
    if found is None:
        return Defaults()
    drain = found.get("drain")
    return Defaults(
        queue=queue_policy(scope, found.get("queue")),
        timeouts=timeouts(scope, found.get("timeout")),
        retry=retry_policy(scope, found.get("retry")),
        drain_s=_seconds(scope, drain, scope.defaults.drain_s),
    )


def read_pipelines(scope: Scope, node: Node) -> dict[str, PipelinePlan]:
    """Read `pipelines: {name: {source, operators, sink, ...}}`; a pipeline with a problem may be left out."""
    found = scope.mapping(node, "a mapping of names to pipelines")
    plans = ((name, _pipeline(scope.inner(), name, entry)) for name, entry in found.entries.items()) if found else ()
    return {name: plan for name, plan in plans if plan is not None}


def _pipeline(scope: Scope, name: str, entry: MapEntry) -> PipelinePlan | None:
    node = scope.mapping(entry.node, "a pipeline: {source, operators, sink}", PIPELINE_KEYS)
    if node is None:
        return None
    missing = [key for key in ("source", "sink") if key not in node.entries]
    for key in missing:
        scope.problems.add(entry.key_place, f"the pipeline {name} has no {key}: add one")
    source = source_plan(scope, node.entries["source"]) if "source" in node.entries else None
    steps = read_steps(scope, node.get("operators"))
    sink = sink_plan(scope, node.entries["sink"]) if "sink" in node.entries else None
    on_error = sink_plan(scope, node.entries["on_error"], "on_error") if "on_error" in node.entries else None
    timeout_s = _seconds(scope, node.get("timeout"), None)
    drain_s = _seconds(scope, node.get("drain"), scope.defaults.drain_s)
    if source is None or sink is None:
        return None
    if on_error and not fits(Failure, on_error.component.in_type):
        scope.problems.add(
            on_error.place,
            f"found {on_error.component.name}, which takes {type_name(on_error.component.in_type)}, "
            "as on_error, expected a sink that takes a Failure",
        )
    check_flow(source, steps, sink, scope.problems)
    plan = PipelinePlan(name, source, steps, sink, on_error, timeout_s, drain_s, "", scope.base)
    check_callers(plan, scope.problems)
    return replace(plan, definition=definition_hash(plan))


def _seconds(scope: Scope, node: Node | None, default: Any) -> Any:
    """Return a duration in seconds; `default` where there is none."""
    return scope.validate(_DURATION, node) if node is not None else default


def read_tests(
    scope: Scope, node: Node, pipelines: Mapping[str, PipelinePlan], named: Node | None
) -> tuple[PipelineTest, ...]:
    """Read `tests: [{pipeline, fake, give, expect}]`. named: the `pipelines` section, for those with problems too."""
    known = tuple(named.entries) if isinstance(named, MapNode) else ()
    tests = []
    for entry in scope.sequence(node, "a list of tests"):
        found = scope.mapping(entry, "a test {pipeline, give, expect}", TEST_KEYS)
        if found is not None and (test := _test(scope, found, pipelines, known)):
            tests.append(test)
    return tuple(tests)


def _test(
    scope: Scope, node: MapNode, pipelines: Mapping[str, PipelinePlan], known: tuple[str, ...]
) -> PipelineTest | None:
    missing = [key for key in ("pipeline", "give", "expect") if key not in node.entries]
    for key in missing:
        scope.problems.add(node.place, f"the test has no {key}: add it")
    if missing:
        return None
    name = scope.validate(_TEXT, node.entries["pipeline"].node)
    if name is not None and name not in known:
        text = f"found the pipeline {name!r}, expected {one_of(known)}{did_you_mean(name, known)}"
        scope.problems.add(node.entries["pipeline"].node.place, text)
    title = node.get("name")
    return PipelineTest(
        pipeline=name or "",
        give=_values(node.entries["give"].node),
        expect=_values(node.entries["expect"].node),
        fake=_fakes(scope, node.get("fake"), pipelines.get(name or "")),
        name=(scope.validate(_TEXT, title) if title else None) or "",
        place=node.place,
    )


def _values(node: Node) -> tuple[Any, ...]:
    """Return a list's values; one value counts as a list of it."""
    return tuple(plain(item) for item in node.items) if isinstance(node, ListNode) else (plain(node),)


def _fakes(scope: Scope, node: Node | None, plan: PipelinePlan | None) -> dict[str, Any]:
    if node is None or (isinstance(node, ScalarNode) and node.value is None):
        return {}
    if not isinstance(node, MapNode):
        scope.problems.add(node.place, f"found {display(node)}, expected a mapping of step ids to their results")
        return {}
    if plan is not None:
        scope.reject_unknown(node, tuple(step.id for step in operators(plan.steps)))
    return {key: plain(entry.node) for key, entry in node.entries.items()}
