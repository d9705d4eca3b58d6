"""What a configuration file declares, checked and compiled: the input of `fastembed.pipeline.graph`.

`fastembed.pipeline.config` makes these from YAML; tests make them by hand. Everything is immutable; durations are
seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fastembed.pipeline.item import Item
from fastembed.pipeline.policy import BatchPolicy, Order, QueuePolicy, RetryPolicy, Timeouts
from fastembed.pipeline.spec import Spec


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in the file, 1-based."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


NOWHERE = Place("<code>", 0, 0)


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled whitelisted expression: `evaluate(item)` sees the item as `item` and its value's fields by name."""

    text: str
    evaluate: Callable[[Item[Any]], Any]
    place: Place = NOWHERE


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One operator in its place.

    workers None: the operator's own default (`workers` attribute), else 1. order None: the source's default (`order`
    attribute: requests of an HTTP source need none, a websocket's need key), else strict.
    """

    id: str
    component: Spec
    options: Mapping[str, Any] = field(default_factory=dict)
    condition: Expression | None = None
    batch: BatchPolicy | None = None
    workers: int | None = None
    order: Order | None = None
    latest: Expression | None = None
    timeouts: Timeouts = Timeouts()
    retry: RetryPolicy = RetryPolicy()
    on_error: Literal["fail", "skip", "pass"] = "fail"
    queue: QueuePolicy | None = None
    cache_entries: int = 0
    replicas: int = 1
    place: Place = NOWHERE


@dataclass(frozen=True, slots=True)
class SinkPlan:
    """Where a stream ends."""

    id: str
    component: Spec
    options: Mapping[str, Any] = field(default_factory=dict)
    place: Place = NOWHERE


@dataclass(frozen=True, slots=True)
class Branch:
    """One way through a route or fork. condition None: `else` (route) or unconditional (fork).

    sink None: its items flow on behind the route or fork.
    """

    name: str
    steps: tuple[Step, ...] = ()
    condition: Expression | None = None
    sink: SinkPlan | None = None


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """The first branch whose condition holds takes the item; the last one is the mandatory else."""

    id: str
    branches: tuple[Branch, ...]
    place: Place = NOWHERE


@dataclass(frozen=True, slots=True)
class ForkPlan:
    """Every branch gets the item. join "all": one item flows on, its value a dict branch name -> value."""

    id: str
    branches: tuple[Branch, ...]
    join: Literal["all", "none"] = "none"
    place: Place = NOWHERE


Step = StepPlan | RoutePlan | ForkPlan


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """Where a stream starts. key: computes an item's key where the source sets none.

    declared: which of `queue` and `overflow` the file sets. Of a source that is pulled only a declared `queue` in items
    counts: so many of its items are in the pipeline at once.
    """

    id: str
    component: Spec
    options: Mapping[str, Any] = field(default_factory=dict)
    queue: QueuePolicy = QueuePolicy()
    key: Expression | None = None
    place: Place = NOWHERE
    declared: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PipelinePlan:
    """One pipeline. definition: hash over its canonical YAML (after interpolation, secrets excluded)."""

    name: str
    source: SourcePlan
    steps: tuple[Step, ...]
    sink: SinkPlan
    on_error: SinkPlan | None = None
    timeout_s: float | None = None
    drain_s: float = 20.0
    definition: str = ""
    base: Path = Path()


@dataclass(frozen=True, slots=True)
class PipelineTest:
    """One entry of `tests:`: give these values to a pipeline, expect these; `fake` replaces steps by given results."""

    pipeline: str
    give: tuple[Any, ...]
    expect: tuple[Any, ...]
    fake: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    place: Place = NOWHERE


@dataclass(frozen=True, slots=True)
class Configuration:
    """A whole file. sections: the parts that belong to upper floors (`models`, `devices`, ...), validated by them.

    plugins: the Python files that it names.
    """

    path: Path | None
    pipelines: Mapping[str, PipelinePlan]
    sections: Mapping[str, Any] = field(default_factory=dict)
    tests: tuple[PipelineTest, ...] = ()
    plugins: tuple[Path, ...] = ()
