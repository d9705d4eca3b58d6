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

import collections.abc
import inspect
import types
import typing
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, cast, get_args, get_origin

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


class Kind(StrEnum):
    """How an operator is driven."""

    MAP = "map"  # plain function, one to one: fused with its neighbours
    ASYNC_MAP = "async_map"  # coroutine function, one to one: runs in parallel up to `workers`
    EXPAND = "expand"  # one to many
    BATCH = "batch"  # many to as many
    STREAM = "stream"  # the whole stream of one key


class Resources:
    """What the process shares with its components, found by type: the models, the database, the HTTP routes."""

    def __init__(self, *instances: object) -> None:
        """Hold these."""
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
        """Make the staged items of `origin` durable, all or nothing."""

    async def abort(self, origin: Item[Any]) -> None:
        """Forget the staged items of `origin`."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What an `on_error` sink writes: what failed, where, how often it was tried.

    origin: the source's item, as it was admitted (its value may have been replaced since: `origin_value` is kept).
    """

    origin: Item[Any]
    origin_value: Any  # whatever the source yields
    step: str
    error: ItemError
    attempts: int
    config_hash: str


@dataclass(frozen=True, slots=True)
class Spec:
    """A component as its signature describes it.

    factory: the function or class. in_type, out_type: the payload types (Any where the signature does not say).
    kind: for operators. wants_item: whether it takes items rather than values. in_thread: it blocks.
    options: its keyword parameters; primary: the option that a bare YAML scalar sets (`folder: inbox`), if any.
    revision: of a plug-in, what tells its code from an earlier state of its file.
    """

    name: str
    role: Role
    factory: Callable[..., Any]
    in_type: Any
    out_type: Any
    kind: Kind | None
    wants_item: bool
    is_async: bool
    in_thread: bool
    options: dict[str, inspect.Parameter]
    hints: dict[str, Any]
    primary: str | None
    doc: str
    revision: str = ""


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


def describe(target: Callable[..., Any], name: str) -> Spec:
    """Read a marked component's signature. TypeError says what a component of its role must look like."""
    role: Role = getattr(target, MARK)
    call = _entry(target, role, name)
    configure = target.__init__ if inspect.isclass(target) else target
    parameters = list(inspect.signature(configure).parameters.values())
    if configure is object.__init__:
        parameters = []
    elif inspect.isclass(target) or role != "source":
        parameters = parameters[1:]  # self, or what flows in
    options = {parameter.name: parameter for parameter in parameters}
    hints = typing.get_type_hints(configure, include_extras=True) if options else {}
    for option in options.values():
        if option.kind in (option.VAR_KEYWORD, option.VAR_POSITIONAL):
            msg = f"{role} {name}: found *{option.name}, expected named options only: they are its YAML keys"
            raise TypeError(msg)
    flow = _flow(call, role, name)
    return Spec(
        name=name,
        role=role,
        factory=target,
        options=options,
        hints={k: v for k, v in hints.items() if k in options},
        primary=next((p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD), None),
        doc=inspect.getdoc(target) or "",
        in_thread=getattr(target, THREAD_MARK, False),
        **flow,
    )


def _entry(target: Callable[..., Any], role: Role, name: str) -> Callable[..., Any]:
    """Return the function that items go through."""
    if not inspect.isclass(target):
        return target
    method = {"source": "items", "operator": "__call__", "sink": "write"}[role]
    found = getattr(target, method, None)
    if found is None or not inspect.isfunction(found):
        msg = f"{role} {name}: {target.__name__} has no method {method}()"
        raise TypeError(msg)
    return cast("Callable[..., Any]", found)


def _flow(call: Callable[..., Any], role: Role, name: str) -> dict[str, Any]:
    """Derive the kind and the payload types from the entry's annotations."""
    hints = typing.get_type_hints(call, include_extras=True)
    returned = hints.get("return", Any)
    is_async = inspect.iscoroutinefunction(call)
    is_generator = inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call)
    if role == "source":
        return {
            "in_type": None,
            "out_type": _unwrap_item(_element(returned)),
            "kind": None,
            "wants_item": False,
            "is_async": True,
        }
    parameters = [p for p in inspect.signature(call).parameters.values() if p.name != "self"]
    if not parameters or parameters[0].kind not in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        msg = f"{role} {name}: found no first positional parameter, expected one: what flows in"
        raise TypeError(msg)
    annotation = hints.get(parameters[0].name, Any)
    origin = get_origin(annotation)
    iterates = get_origin(returned) in _ITERATORS
    if origin is Batch or annotation is Batch:
        kind, in_type = Kind.BATCH, (get_args(annotation) or (Any,))[0]
        out_type = _element(returned)
    elif origin in _ITERATORS:
        kind, in_type, out_type = Kind.STREAM, _element(annotation), _element(returned)
    elif is_generator or iterates:
        kind, in_type, out_type = Kind.EXPAND, annotation, _element(returned)
    else:
        kind, in_type, out_type = (Kind.ASYNC_MAP if is_async else Kind.MAP), annotation, returned
    return {
        "in_type": _unwrap_item(in_type),
        "out_type": _without_none(_unwrap_item(out_type)),
        "kind": kind if role == "operator" else None,
        "wants_item": get_origin(in_type) is Item or in_type is Item,
        "is_async": is_async or inspect.isasyncgenfunction(call) or get_origin(returned) in _ASYNC_ITERATORS,
    }


_ASYNC_ITERATORS = (collections.abc.AsyncIterator, collections.abc.AsyncGenerator, collections.abc.AsyncIterable)
_ITERATORS = (*_ASYNC_ITERATORS, collections.abc.Iterator, collections.abc.Generator, collections.abc.Iterable)


def _element(annotation: Any) -> Any:
    """Return T of AsyncIterator[T], Iterator[T], list[T]; Any where there is none."""
    args = get_args(annotation)
    return _without_error(args[0]) if args else Any


def _unwrap_item(annotation: Any) -> Any:
    """Return T of Item[T]."""
    if annotation is Item:
        return Any
    return get_args(annotation)[0] if get_origin(annotation) is Item else annotation


def _without_none(annotation: Any) -> Any:
    """Return T of T | None: None filters and never flows on."""
    return _drop(annotation, lambda arg: arg is type(None))


def _without_error(annotation: Any) -> Any:
    """Return T of T | SomeError: an exception as a batch result fails its input."""
    return _drop(annotation, lambda arg: inspect.isclass(arg) and issubclass(arg, BaseException))


def _drop(annotation: Any, unwanted: Callable[[Any], bool]) -> Any:
    if get_origin(annotation) not in (typing.Union, types.UnionType):
        return annotation
    kept = [arg for arg in get_args(annotation) if not unwanted(arg)]
    return typing.Union[tuple(kept)] if kept else annotation  # noqa: UP007 - built at run time
