"""What a source, an operator and a sink are; how a plain function or class becomes one.

The decorators only mark: `@operator`, `@source`, `@sink`. The signature says the rest.

- The first parameter is what flows in: `T` (the value), `Item[T]` (the item itself), `Batch[T]` (several values)
  or `AsyncIterator[Item[T]]` (the whole stream of one key).
- Keyword-only parameters are the component's YAML keys; their annotations and defaults are its schema (pydantic types,
  and the units of `fastembed.pipeline.units`). A class takes them in its constructor and the input in `__call__`.
- What comes back says how many: a value (None filters the item), an iterator or async iterator (one item each), or, for
  `Batch[T]`, a list with exactly one result an input (an exception instance as a result fails that input alone).

A class may have `async open(context)` and `async close()`: the pipeline calls them once, before the first and after the
last item.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, cast

from fastembed.pipeline.channel import Channel, admit_alone
from fastembed.pipeline.item import Item
from fastembed.pipeline.policy import QueuePolicy

if TYPE_CHECKING:
    from fastembed.pipeline.errors import ItemError
    from fastembed.pipeline.ledger import Ledger

T = TypeVar("T")
C = TypeVar("C", bound=Callable[..., Any])

Role = Literal["source", "operator", "sink"]
MARK = "__fastembed_component__"
THREAD_MARK = "__fastembed_thread__"


class Batch(list[T], Generic[T]):
    """Several values handed to an operator at once. Annotate the first parameter with it to ask for batches."""


class OperatorKind(StrEnum):
    """How an operator is driven."""

    MAP = "map"  # plain function, one to one: fused with its neighbours
    ASYNC_MAP = "async_map"  # coroutine function, one to one: runs in parallel up to `workers`
    EXPAND = "expand"  # one to many
    BATCH = "batch"  # many to as many
    STREAM = "stream"  # the whole stream of one key


class Resources:
    """What the process shares with its components, found by type: the models, the database, the HTTP routes."""

    def __init__(self, *instances: object) -> None:
        """Hold the given instances."""
        self._by_type: dict[type, object] = {}
        for instance in instances:
            self.add(instance)

    def add(self, instance: object) -> None:
        """Offer `instance` under its own class and that class's bases."""
        for cls in type(instance).__mro__[:-1]:
            self._by_type.setdefault(cls, instance)

    def get(self, cls: type[T]) -> T:
        """Return the instance of `cls`; LookupError names what is missing."""
        try:
            return cast("T", self._by_type[cls])
        except KeyError:
            offered = ", ".join(sorted(c.__name__ for c in self._by_type)) or "nothing"
            msg = f"no {cls.__name__} in this process; it offers: {offered}"
            raise LookupError(msg) from None

    def find(self, cls: type[T]) -> T | None:
        """Return the instance of `cls`, None: there is none."""
        return cast("T | None", self._by_type.get(cls))


@dataclass(frozen=True, slots=True)
class Context:
    """What a component learns when it is opened.

    pipeline, step: its names. definition: hash of the pipeline's definition (a ledger's identity holds it). base: the
    folder that relative paths start from. once: process what is there, then end. ledger: what the pipeline's sink
    remembers of finished items, for sources that must not repeat them; None if it remembers nothing. queue: the bound
    that the YAML declares for a source. admit: takes an item into the pipeline's count (`channel` calls it). takes: the
    type that every item is of that the first step takes, for sources that others hand their values to.
    """

    pipeline: str
    step: str
    definition: str
    base: Path
    resources: Resources = field(default_factory=Resources)
    once: bool = False
    ledger: Ledger | None = None
    queue: QueuePolicy = QueuePolicy()
    admit: Callable[[Item[Any]], None] = admit_alone
    takes: Any = Any

    def channel(self, *, per_key: bool = False) -> Channel[Any]:
        """Return the bounded queue that a source which is pushed to puts its items in, as its YAML declares it.

        Items are admitted (counted, cancellable) when they are put. per_key: the bound holds for each key alone.
        """
        return Channel(self.queue, admit=self.admit, per_key=per_key)


class Source(Protocol[T]):
    """Yields items. `items()` ends when there is no more; closing the iterator frees what it holds.

    Optional: `open(context)`, `close()`, and `stop()`, a plain function: admit no more, let `items()` end after what
    has been admitted (the pipeline closes `items()` itself where there is no `stop`).
    """

    def items(self) -> AsyncIterator[Item[T]]:
        """Yield until there is no more."""


class Progress(Protocol):
    """The progress of a source, as its `progress()` returns it. waiting: items to come. duplicates: left out."""

    @property
    def waiting(self) -> int:
        """Return how many items are known that have not been given yet."""

    @property
    def duplicates(self) -> int:
        """Return how many were left out since they hold what another does."""


class Sink(Protocol[T]):
    """Writes items. When `write` returns, the item counts as delivered; when it raises, as failed."""

    async def write(self, item: Item[T]) -> None:
        """Write one item."""


class Transactional(Protocol):
    """A sink that only stages in `write`, and makes everything that came of one source item durable at once.

    The pipeline calls `commit(origin)` when all items derived from `origin` (the item as the source made it) have ended
    well, else `abort(origin)`. Only after the commit is the source told that its item was delivered.
    """

    async def write(self, item: Item[Any]) -> None:
        """Stage one item."""

    async def commit(self, origin: Item[Any]) -> None:
        """Make the staged items of `origin` durable: all of them or none."""

    async def abort(self, origin: Item[Any]) -> None:
        """Discard the staged items of `origin`."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What an `on_error` sink writes: what failed, where, how often it was tried.

    origin: the source's item, as it was admitted (its value may have been replaced since: `origin_value` is kept).
    resume_at: the step or sink that `value` can be given to when it is tried again; "": its source brings it again.
    """

    origin: Item[Any]
    origin_value: Any  # whatever the source yields
    step: str
    error: ItemError
    attempts: int
    config_hash: str
    value: Any = None  # whatever the step takes
    resume_at: str = ""


def operator(target: C) -> C:
    """Mark a function or class as an operator; its module's name, or its own in a plug-in, is its name in the YAML."""
    return _mark(target, "operator")


def threaded_operator(target: C) -> C:
    """Mark a plain function that blocks, or computes for more than a millisecond: it runs in a worker thread."""
    setattr(target, THREAD_MARK, True)
    return _mark(target, "operator")


def source(target: C) -> C:
    """Mark a class (see `Source`), or an async generator function of items, as a source."""
    return _mark(target, "source")


def sink(target: C) -> C:
    """Mark a class (see `Sink`), or a coroutine function of one value, as a sink."""
    return _mark(target, "sink")


def _mark(target: C, role: Role) -> C:
    setattr(target, MARK, role)
    return target
