"""What the parts of a file are read with: the registry, the defaults, and where problems go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from fastembed.pipeline.component import Role
from fastembed.pipeline.config.checking import validate, validate_options
from fastembed.pipeline.config.compiling import ExpressionError
from fastembed.pipeline.config.expressions import Result, compile_expression, constant
from fastembed.pipeline.config.interpolate import Secret
from fastembed.pipeline.config.nodes import ListNode, MapEntry, MapNode, Node, ScalarNode, display
from fastembed.pipeline.config.problems import Problems
from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.names import did_you_mean, one_of
from fastembed.pipeline.plan import Expression
from fastembed.pipeline.policy import QueuePolicy, RetryPolicy, Timeouts
from fastembed.pipeline.registry import Registry
from fastembed.pipeline.spec import Spec

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where a pipeline or step does not say. queue: of sources. timeouts, retry: of steps."""

    queue: QueuePolicy = field(default_factory=QueuePolicy)
    timeouts: Timeouts = field(default_factory=Timeouts)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    drain_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Scope:
    """One file while it is read.

    ids: the step names taken in the pipeline that is being read. templates: lists of steps by name.
    """

    registry: Registry
    problems: Problems
    base: Path
    defaults: Defaults = field(default_factory=Defaults)
    ids: set[str] = field(default_factory=set)
    templates: Mapping[str, Node] = field(default_factory=dict)

    def inner(self, defaults: Defaults | None = None) -> Scope:
        """Return a scope for the next pipeline: its own ids."""
        return replace(self, ids=set(), defaults=defaults or self.defaults)

    def validate(self, adapter: TypeAdapter[T], node: Node) -> T | None:
        """Return the value of the node, or None after reporting what is wrong with it."""
        return validate(adapter, node, self.problems, base=self.base)

    def options(self, spec: Spec, node: MapNode) -> tuple[dict[str, object], Spec]:
        """Return a component's options, and what it declares with them."""
        return validate_options(spec, node, self.problems, base=self.base)

    def component(self, role: Role, entry: MapEntry, name: str) -> Spec | None:
        """Return the component called `name`, or None after reporting why there is none."""
        if self.registry.refused(role, name):  # reported where its plug-in is named
            return None
        try:
            return self.registry.find(role, name)
        except ConfigError as error:
            self.problems.add(entry.key_place, str(error))
            return None

    def mapping(self, node: Node, what: str, known: Iterable[str] | None = None) -> MapNode | None:
        """Return the node as a mapping; report it where it is none, and its keys that are not `known`."""
        if not isinstance(node, MapNode):
            self.problems.add(node.place, f"found {display(node)}, expected {what}")
            return None
        if known is not None:
            self.reject_unknown(node, tuple(known))
        return node

    def sequence(self, node: Node, what: str) -> tuple[Node, ...]:
        """Return the entries of a list; report the node where it is none."""
        if not isinstance(node, ListNode):
            self.problems.add(node.place, f"found {display(node)}, expected {what}")
            return ()
        return node.items

    def reject_unknown(self, node: MapNode, known: tuple[str, ...]) -> None:
        """Report the keys of `node` that are not `known`."""
        for key, entry in node.entries.items():
            if key not in known:
                self.problems.add(
                    entry.key_place,
                    f"found the unknown key {key!r}, expected {one_of(known)}{did_you_mean(key, known)}",
                )

    def expression(self, node: Node | None, result: Result = "truth") -> Expression | None:
        """Compile an expression, or report what is wrong with it."""
        if node is None:
            return None
        if not isinstance(node, ScalarNode) or node.value is None:
            self.problems.add(node.place, f"found {display(node)}, expected an expression such as value.pages > 10")
            return None
        if isinstance(node.value, Secret):
            self.problems.add(node.place, f"found {display(node)} in an expression, expected no secret there")
            return None
        try:
            return compile_expression(str(node.value), result, node.place)
        except ExpressionError as error:
            self.problems.add(node.place, str(error))
            return None

    def condition(self, node: Node | None) -> Expression | None:
        """Compile a condition; warn of one that every item or no item meets."""
        found = self.expression(node)
        if found is not None and (always := constant(found.text)) is not None:
            meets = "every item meets" if always else "no item meets"
            self.problems.warn(
                found.place, f"found `{found.text}`, which {meets}, expected one that depends on the item"
            )
        return found

    def take_id(self, step_id: str, node: Node | None = None) -> str:
        """Return a name that no other step of the pipeline has: the file's own `id`, or one made from `wanted`."""
        if node is not None:
            name = str(node.value) if isinstance(node, ScalarNode) and isinstance(node.value, str) else ""
            if not name or name in self.ids:
                found = f"the id {name!r} again" if name else display(node)
                self.problems.add(node.place, f"found {found}, expected a name that no other step of the pipeline has")
            step_id = name or step_id
        name, count = step_id, 1
        while name in self.ids:
            count += 1
            name = f"{step_id}-{count}"
        self.ids.add(name)
        return name
