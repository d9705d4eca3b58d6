"""The two ends of a pipeline: `source: {folder: inbox, settle: 2s, queue: 64}` and `sink: {duckdb: lake.duckdb}`."""

from __future__ import annotations

from typing import Any, Final

from fastembed.pipeline.component import Role
from fastembed.pipeline.config.nodes import MapEntry, MapNode, Node, ScalarNode, display
from fastembed.pipeline.config.policies import queue_policy
from fastembed.pipeline.config.scope import Scope
from fastembed.pipeline.names import did_you_mean, one_of
from fastembed.pipeline.plan import SinkPlan, SourcePlan
from fastembed.pipeline.spec import Spec

SOURCE_KEYS: Final = ("key", "queue", "overflow")


def source_plan(scope: Scope, entry: MapEntry) -> SourcePlan | None:
    """Read a source; None after reporting why there is none."""
    found = _component(scope, "source", entry)
    if found is None:
        return None
    spec, name, node = found
    engine = {key: node.get(key) for key in SOURCE_KEYS}
    options, spec = _options(scope, spec, name, node, SOURCE_KEYS)
    return SourcePlan(
        id=scope.take_id(name),
        component=spec,
        options=options,
        queue=queue_policy(scope, engine["queue"], engine["overflow"]),
        key=scope.expression(engine["key"], "key"),
        place=entry.node.place,
        declared=frozenset(key for key in ("queue", "overflow") if engine[key] is not None),
    )


def sink_plan(scope: Scope, entry: MapEntry, wanted_id: str | None = None) -> SinkPlan | None:
    """Read a sink; None after reporting why there is none."""
    found = _component(scope, "sink", entry)
    if found is None:
        return None
    spec, name, node = found
    options, spec = _options(scope, spec, name, node, ())
    return SinkPlan(scope.take_id(wanted_id or name), spec, options, entry.node.place)


def _component(scope: Scope, role: Role, entry: MapEntry) -> tuple[Spec, str, MapNode] | None:
    """Return the component, its name in the file, and its keys: the first key that names a component is it."""
    node = _long_form(scope, role, entry.node)
    if node is None:
        return None
    reserved = SOURCE_KEYS if role == "source" else ()
    free = [key for key in node.entries if key not in reserved]
    name = next((key for key in free if scope.registry.knows(role, key)), free[0] if free else None)
    if name is None:
        scope.problems.add(node.place, f"found no name of a {role}, expected {one_of(scope.registry.names(role))}")
        return None
    spec = scope.component(role, node.entries[name], name)
    return (spec, name, node) if spec else None


def _long_form(scope: Scope, role: Role, node: Node) -> MapNode | None:
    """Return `reply` as `{reply: }`."""
    if isinstance(node, MapNode):
        return node
    if isinstance(node, ScalarNode) and isinstance(node.value, str):
        return MapNode(node.place, {node.value: MapEntry(node.place, ScalarNode(node.place, None))})
    scope.problems.add(
        node.place, f"found {display(node)}, expected a {role}: its name, or a mapping that has it as a key"
    )
    return None


def _options(
    scope: Scope, spec: Spec, name: str, node: MapNode, reserved: tuple[str, ...]
) -> tuple[dict[str, Any], Spec]:
    """Merge the options under the component's name with the keys beside it."""
    own = node.entries[name]
    beside = {key: entry for key, entry in node.entries.items() if key != name and key not in reserved}
    for key in [key for key in beside if key not in spec.options]:
        known = [option for option in (*spec.options, *reserved) if option != spec.primary]
        expectation = f"expected {one_of(known)}{did_you_mean(key, known)}"
        scope.problems.add(beside.pop(key).key_place, f"found the unknown key {key!r} beside {name}, {expectation}")
    options: dict[str, MapEntry] = {}
    if isinstance(own.node, MapNode):
        options = dict(own.node.entries)
    elif not (isinstance(own.node, ScalarNode) and own.node.value is None):
        if spec.primary is None:
            scope.problems.add(own.node.place, f"found {display(own.node)} for {name}, which takes no value of its own")
        else:
            options = {spec.primary: MapEntry(own.node.place, own.node)}
    for key in beside.keys() & options.keys():
        scope.problems.add(beside[key].key_place, f"found the option {key!r} twice, expected it once")
    return scope.options(spec, MapNode(own.key_place, {**options, **beside}))
