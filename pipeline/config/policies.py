"""The limits of a step or source: `queue`, `batch`, `timeout`, `retry`, in their short and long forms."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from fastembed.pipeline.config.nodes import MapEntry, MapNode, Node, ScalarNode, display
from fastembed.pipeline.config.scope import Scope
from fastembed.pipeline.policy import BatchPolicy, Overflow, QueuePolicy, RetryPolicy, Timeouts
from fastembed.pipeline.units import Duration, Size, parse_duration, parse_size

M = TypeVar("M", bound=BaseModel)

Positive = Annotated[int, Field(ge=1)]


class LongForm(BaseModel):
    """A long form: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class QueueForm(LongForm):
    """`queue: {items: 64, bytes: 64MiB, seconds: 5s}`: whichever bound is reached first."""

    items: Positive | None = None
    bytes: Size | None = None
    seconds: Duration | None = None


class BatchForm(LongForm):
    """`batch: {max: 32, tokens: 8192, wait: 4ms}`."""

    max: Positive = 32
    tokens: Annotated[float, Field(gt=0)] | None = None
    wait: Duration = 0.0


class TimeoutForm(LongForm):
    """`timeout: {first: 5s, idle: 2s, total: 10m}`."""

    first: Duration | None = None
    idle: Duration | None = None
    total: Duration | None = None


class RetryForm(LongForm):
    """`retry: {attempts: 3, base: 100ms, max: 10s}`."""

    attempts: Annotated[int, Field(ge=0)] = 1
    base: Duration = 0.1
    max: Duration = 10.0


OVERFLOW: Final[TypeAdapter[Overflow]] = TypeAdapter(Literal["block", "reject", "drop_oldest", "drop_newest"])


def queue_policy(scope: Scope, node: Node | None, overflow: Node | None = None) -> QueuePolicy:
    """Read `queue: 64 | 5s | 64MiB | {items, bytes, seconds}` and `overflow`; the rest are defaults."""
    policy = _bounds(scope, node) if node is not None else scope.defaults.queue
    if overflow is None:
        return policy
    return replace(policy, overflow=scope.validate(OVERFLOW, overflow) or "block")


def _bounds(scope: Scope, node: Node) -> QueuePolicy:
    if isinstance(node, ScalarNode):
        node = _queue_form(scope, node) or MapNode(node.place)
    form = _form(scope, QueueForm, node)
    if form is None or form == QueueForm():
        return scope.defaults.queue
    return QueuePolicy(form.items, form.bytes, form.seconds)


def _queue_form(scope: Scope, node: ScalarNode) -> MapNode | None:
    """Return the long form of `64`, `5s` or `64MiB`."""
    value = node.value
    if isinstance(value, int) and not isinstance(value, bool):
        return _short(node, "items")
    for key, parse in (("seconds", parse_duration), ("bytes", parse_size)):
        try:
            parse(value)
        except ValueError:
            continue
        return _short(node, key)
    scope.problems.add(node.place, f"found {display(node)}, expected items (64), seconds (5s) or bytes (64MiB)")
    return None


def batch_policy(scope: Scope, node: Node) -> BatchPolicy | None:
    """Read `batch: 32 | {max, tokens, wait}`."""
    form = _form(scope, BatchForm, _short(node, "max"))
    return BatchPolicy(form.max, form.tokens, form.wait) if form else None


def timeouts(scope: Scope, node: Node | None) -> Timeouts:
    """Read `timeout: 10m | {first, idle, total}`."""
    if node is None:
        return scope.defaults.timeouts
    form = _form(scope, TimeoutForm, _short(node, "total"))
    return Timeouts(form.first, form.idle, form.total) if form else Timeouts()


def retry_policy(scope: Scope, node: Node | None) -> RetryPolicy:
    """Read `retry: 1 | {attempts, base, max}`."""
    if node is None:
        return scope.defaults.retry
    form = _form(scope, RetryForm, _short(node, "attempts"))
    return RetryPolicy(form.attempts, form.base, form.max) if form else RetryPolicy()


def _short(node: Node, key: str) -> MapNode:
    """Return the long form of a node that may be the short one."""
    return node if isinstance(node, MapNode) else MapNode(node.place, {key: MapEntry(node.place, node)})


def _form(scope: Scope, form: type[M], node: Node) -> M | None:
    return scope.validate(TypeAdapter(form), node)
