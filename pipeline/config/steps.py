"""The steps of a pipeline: operators with how they are run, routes and forks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from fastembed.pipeline.config.ends import sink_plan
from fastembed.pipeline.config.nodes import ListNode, MapEntry, MapNode, Node, ScalarNode, display
from fastembed.pipeline.config.policies import Positive, batch_policy, queue_policy, retry_policy, timeouts
from fastembed.pipeline.config.scope import Scope
from fastembed.pipeline.names import did_you_mean, one_of
from fastembed.pipeline.plan import Branch, ForkPlan, RoutePlan, Step, StepPlan
from fastembed.pipeline.policy import Order, RetryPolicy, Timeouts
from fastembed.pipeline.rules import refusals, without_effect
from fastembed.pipeline.spec import Spec

RESERVED: Final = (
    *("id", "if", "batch", "workers", "order", "latest", "timeout", "retry", "on_error", "queue", "cache", "replicas"),
)
TEMPLATE: Final = "template"
BRANCH_KEYS: Final = ("operators", "sink")
_POSITIVE: Final[TypeAdapter[int]] = TypeAdapter(Positive)
_ORDER: Final[TypeAdapter[Order]] = TypeAdapter(Literal["strict", "key", "none"])
_ON_ERROR: Final[TypeAdapter[Literal["fail", "skip", "pass"]]] = TypeAdapter(Literal["fail", "skip", "pass"])
_JOIN: Final[TypeAdapter[Literal["all", "none"]]] = TypeAdapter(Literal["all", "none"])


def read_steps(scope: Scope, node: Node | None) -> tuple[Step, ...]:
    """Read a list of steps; what is wrong with one is reported and the step left out."""
    if node is None or (isinstance(node, ScalarNode) and node.value is None):
        return ()
    entries = _written_out(scope, scope.sequence(node, "a list of operators"), ())
    steps = [_step(scope, entry) for entry in entries]
    return tuple(step for step in steps if step is not None)


def read_templates(scope: Scope, node: Node) -> dict[str, Node]:
    """Read `templates: {name: [steps]}`: the lists, whose steps are read where they are used."""
    found = scope.mapping(node, "a mapping of names to lists of operators")
    if found is None:
        return {}
    for entry in found.entries.values():
        scope.sequence(entry.node, "a list of operators")
    return {name: entry.node for name, entry in found.entries.items()}


def _written_out(scope: Scope, entries: Iterable[Node], within: tuple[str, ...]) -> Iterator[Node]:
    """Yield the steps, those of a template in the place of `template: NAME`."""
    for entry in entries:
        if not isinstance(entry, MapNode) or TEMPLATE not in entry.entries:
            yield entry
            continue
        used = entry.entries[TEMPLATE].node
        name = used.value if isinstance(used, ScalarNode) else None
        if len(entry.entries) > 1:
            others = ", ".join(key for key in entry.entries if key != TEMPLATE)
            scope.problems.add(entry.place, f"found {others} beside template, expected the template's name only")
        elif not isinstance(name, str) or name not in scope.templates:
            known = tuple(scope.templates)
            expected = f"expected {one_of(known)}" if known else "expected one of `templates:`, which has none"
            near = did_you_mean(name, known) if isinstance(name, str) else ""
            scope.problems.add(used.place, f"found the template {display(used)}, {expected}{near}")
        elif name in within:
            scope.problems.add(used.place, f"found the template {name} within itself, expected other steps")
        elif isinstance(steps := scope.templates[name], ListNode):
            yield from _written_out(scope, steps.items, (*within, name))


def _step(scope: Scope, node: Node) -> Step | None:
    if isinstance(node, ScalarNode) and isinstance(node.value, str):
        node = MapNode(node.place, {node.value: MapEntry(node.place, ScalarNode(node.place, None))})
    if not isinstance(node, MapNode):
        expected = "an operator's name, or a mapping of its name to its options"
        scope.problems.add(node.place, f"found {display(node)}, expected {expected}")
        return None
    name = _operator_key(scope, node)
    if name == "route":
        return _route(scope, node)
    if name == "fork":
        return _fork(scope, node)
    return _operator(scope, node, name) if name else None


def _operator_key(scope: Scope, node: MapNode) -> str | None:
    """Return the one key that names the operator; report the others."""
    free = [key for key in node.entries if key not in RESERVED]
    known = [key for key in free if key in ("route", "fork") or scope.registry.knows("operator", key)]
    if not free:
        scope.problems.add(node.place, f"found only {', '.join(node.entries)}, expected the name of an operator too")
        return None
    name = (known or free)[0]
    allowed = {"fork": ("id", "join"), "route": ("id",)}.get(name, RESERVED)
    for key in node.entries:
        if key == name or (key in RESERVED and key in allowed) or key in allowed:
            continue
        if key in known:
            text = f"found a second operator {key!r} beside {name!r}, expected one a step: put a dash before it"
        else:
            text = (
                f"found the unknown key {key!r} beside {name}, expected {one_of(allowed)}{did_you_mean(key, allowed)}"
            )
        scope.problems.add(node.entries[key].key_place, text)
    return name


def _operator(scope: Scope, node: MapNode, name: str) -> StepPlan | None:
    entry = node.entries[name]
    spec = scope.component("operator", entry, name)
    batch, queue = node.get("batch"), node.get("queue")
    waits = spec is None or spec.is_async or spec.in_thread  # a plain function cannot be timed out: no defaults for it
    plan: dict[str, Any] = {
        "id": scope.take_id(name, node.get("id")),
        "condition": scope.condition(node.get("if")),
        "batch": batch_policy(scope, batch) if batch else None,
        "workers": _count(scope, node.get("workers")),
        "order": _choice(scope, _ORDER, node.get("order"), None),
        "latest": scope.expression(node.get("latest")),
        "timeouts": timeouts(scope, node.get("timeout")) if waits or "timeout" in node.entries else Timeouts(),
        "retry": retry_policy(scope, node.get("retry")) if waits or "retry" in node.entries else RetryPolicy(),
        "on_error": _choice(scope, _ON_ERROR, node.get("on_error"), "fail"),
        "queue": queue_policy(scope, queue) if queue else None,
        "cache_entries": _count(scope, node.get("cache")) or 0,
        "replicas": _count(scope, node.get("replicas")) or 1,
    }
    if spec is None:
        return None
    options, spec = scope.options(spec, option_mapping(scope, spec, entry))
    step = StepPlan(component=spec, options=options, place=entry.key_place, **plan)
    _check_keys(scope, node, step)
    return step


def _check_keys(scope: Scope, node: MapNode, step: StepPlan) -> None:
    """Refuse the keys that cannot be where they are, warn of those that change nothing there."""
    for key, text in refusals(step):
        scope.problems.add(node.entries[key].key_place, text)
    for key, text in without_effect(step):
        if key in node.entries:
            scope.problems.warn(node.entries[key].key_place, text)


def option_mapping(scope: Scope, spec: Spec, entry: MapEntry) -> MapNode:
    """Return a component's options as a mapping: `chunk: 400` sets its primary option, `chunk:` none."""
    node = entry.node
    if isinstance(node, MapNode):
        return node
    if isinstance(node, ScalarNode) and node.value is None:
        return MapNode(entry.key_place)
    if spec.primary is None:
        expected = f"a mapping of its options: {one_of(spec.options)}" if spec.options else "no option"
        scope.problems.add(node.place, f"found {display(node)} for {spec.name}, expected {expected}")
        return MapNode(entry.key_place)
    return MapNode(entry.key_place, {spec.primary: MapEntry(node.place, node)})


def _count(scope: Scope, node: Node | None) -> int | None:
    return scope.validate(_POSITIVE, node) if node else None


def _choice(scope: Scope, adapter: TypeAdapter[Any], node: Node | None, default: str | None) -> Any:
    return (scope.validate(adapter, node) if node else None) or default


# Branches.


def _route(scope: Scope, node: MapNode) -> RoutePlan:
    entry = node.entries["route"]
    name = scope.take_id("route", node.get("id"))
    places = scope.sequence(entry.node, "a list of branches, the last one `else`")
    branches = [_route_branch(scope, place, index, last=index == len(places)) for index, place in enumerate(places, 1)]
    if isinstance(entry.node, ListNode) and not (places and isinstance(places[-1], MapNode) and places[-1].get("else")):
        scope.problems.add(entry.key_place, "found a route without else, expected a last branch {else: {...}}")
    return RoutePlan(name, tuple(branch for branch in branches if branch), entry.key_place)


def _route_branch(scope: Scope, node: Node, index: int, *, last: bool) -> Branch | None:
    found = scope.mapping(node, "a branch {if: ..., operators: [...]} or {else: {...}}")
    if found is None:
        return None
    if "else" not in found.entries:
        scope.reject_unknown(found, ("if", "id", *BRANCH_KEYS))
        if "if" not in found.entries:
            scope.problems.add(node.place, "found a branch without if, expected {if: ..., operators: [...]}")
        name = _branch_name(scope, found, f"branch-{index}")
        return _branch(scope, found, name, condition=found.get("if"))
    scope.reject_unknown(found, ("else",))
    if not last:
        scope.problems.add(found.entries["else"].key_place, "found else before another branch, expected it last")
    return _open_branch(scope, found.entries["else"], "else")


def _branch_name(scope: Scope, node: MapNode, default: str) -> str:
    given = node.get("id")
    if given is None:
        return default
    return scope.validate(TypeAdapter(str), given) or default


def _open_branch(scope: Scope, entry: MapEntry, name: str) -> Branch | None:
    """Read a branch that is a list of steps or `{operators, sink}`."""
    if isinstance(entry.node, ListNode):
        return Branch(name, read_steps(scope, entry.node))
    if isinstance(entry.node, ScalarNode) and entry.node.value is None:
        return Branch(name)
    found = scope.mapping(entry.node, "a list of operators, or {operators: [...], sink: ...}", BRANCH_KEYS)
    return _branch(scope, found, name, condition=None) if found else None


def _branch(scope: Scope, node: MapNode, name: str, *, condition: Node | None) -> Branch:
    sink = node.entries.get("sink")
    return Branch(
        name=name,
        steps=read_steps(scope, node.get("operators")),
        condition=scope.condition(condition),
        sink=sink_plan(scope, sink) if sink else None,
    )


def _fork(scope: Scope, node: MapNode) -> ForkPlan | None:
    entry = node.entries["fork"]
    name = scope.take_id("fork", node.get("id"))
    found = scope.mapping(entry.node, "a mapping of branch names to lists of operators")
    if found is None:
        return None
    join = node.get("join")
    members = dict(found.entries)
    if "join" in members and isinstance(members["join"].node, ScalarNode):
        join = members.pop("join").node
    branches = [_open_branch(scope, member, key) for key, member in members.items()]
    joined = _choice(scope, _JOIN, join, "none")
    if not branches:
        scope.problems.add(entry.key_place, "found a fork without a branch, expected {name: [operators]}")
    for branch, member in zip(branches, members.values(), strict=True):
        if joined == "all" and branch and branch.sink:
            text = f"found a sink in the branch {branch.name!r}, expected none: join: all waits for its result"
            scope.problems.add(member.key_place, text)
    return ForkPlan(name, tuple(branch for branch in branches if branch), joined, entry.key_place)
