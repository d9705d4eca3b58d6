"""A component's description, derived from its signature and declarations once, when the file is loaded.

`describe` is the only reader: what it accepts the engine can drive; no pipeline is made of what it refuses. What a
signature says is written in `fastembed.pipeline.component`, what is declared beside it in `capabilities`.
"""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, cast, get_args, get_origin

from fastembed.pipeline.capabilities import NOTHING_DECLARED, Capabilities, read_capabilities
from fastembed.pipeline.component import MARK, THREAD_MARK, Batch, OperatorKind, Role
from fastembed.pipeline.item import Item
from fastembed.pipeline.names import did_you_mean

_METHODS: Final[dict[Role, str]] = {"source": "items", "operator": "__call__", "sink": "write"}
_ASYNC_ITERATORS: Final = (
    collections.abc.AsyncIterator,
    collections.abc.AsyncGenerator,
    collections.abc.AsyncIterable,
)
_SYNC_ITERATORS: Final = (collections.abc.Iterator, collections.abc.Generator, collections.abc.Iterable)
_ITERATORS: Final = (*_ASYNC_ITERATORS, *_SYNC_ITERATORS)
_UNIONS: Final = (typing.Union, types.UnionType)
_SEQUENCES: Final = (list, tuple, collections.abc.Sequence, collections.abc.Collection, *_ITERATORS)


@dataclass(frozen=True, slots=True)
class Spec:
    """A component as it describes itself.

    factory: the function or class. in_type, out_type: the payload types (Any where the signature does not say). cases:
    the (in_type, out_type) pairs of its overloads, where it gives different types for different inputs. kind: for
    operators. wants_item, gives_items: whether it takes, and gives, items rather than values. in_thread: it blocks.
    options: its keyword parameters; primary: the option that a bare YAML scalar sets (`folder: inbox`), if any.
    capabilities: what it declares beside its signature. revision: of a plug-in, what tells its code from an earlier
    state of its file.
    """

    name: str
    role: Role
    factory: Callable[..., Any]
    in_type: Any
    out_type: Any
    kind: OperatorKind | None
    wants_item: bool
    gives_items: bool
    is_async: bool
    in_thread: bool
    options: dict[str, inspect.Parameter]
    hints: dict[str, Any]
    primary: str | None
    doc: str
    capabilities: Capabilities = NOTHING_DECLARED
    cases: tuple[tuple[Any, Any], ...] = ()
    revision: str = ""


@dataclass(frozen=True, slots=True)
class _Flow:
    """The input and output types of a component's entry point."""

    in_type: Any
    out_type: Any
    kind: OperatorKind | None
    wants_item: bool
    gives_items: bool
    is_async: bool


def describe(target: Callable[..., Any], name: str) -> Spec:
    """Return the description of a marked component. TypeError lists everything wrong with it."""
    role: Role = getattr(target, MARK)
    call = _entry(target, role, name)
    in_thread = getattr(target, THREAD_MARK, False)
    capabilities, problems = read_capabilities(target, role)
    if unusable := _unusable(target, call, role):
        problems.append(unusable)
    parameters = _parameters(target, role)
    options = {parameter.name: parameter for parameter in parameters}
    problems += [
        f"found {_written(option)}, expected named options only: they are its YAML keys"
        for option in parameters
        if option.kind in (option.VAR_KEYWORD, option.VAR_POSITIONAL, option.POSITIONAL_ONLY)
    ]
    hints = typing.get_type_hints(_constructor(target), include_extras=True) if options else {}
    flow: _Flow | None = None
    cases: tuple[tuple[Any, Any], ...] = ()
    if not unusable:
        flow = _flow(call, role, bound=inspect.isclass(target))
        problems += _misfit(call, flow, in_thread=in_thread)
        cases = _cases(call, role, bound=inspect.isclass(target))
    if problems or flow is None:
        msg = f"{role} {name}: {'; '.join(problems)}"
        raise TypeError(msg)
    return Spec(
        name=name,
        role=role,
        factory=target,
        in_type=_union(taken for taken, _ in cases) if cases else flow.in_type,
        out_type=_union(given for _, given in cases) if cases else flow.out_type,
        kind=flow.kind,
        wants_item=flow.wants_item,
        gives_items=flow.gives_items,
        is_async=flow.is_async,
        in_thread=in_thread,
        options=options,
        hints={k: v for k, v in hints.items() if k in options},
        primary=next((p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD), None),
        doc=inspect.getdoc(target) or "",
        capabilities=capabilities,
        cases=cases,
    )


# The entry: the function that items go through.


def _entry(target: Callable[..., Any], role: Role, name: str) -> Callable[..., Any]:
    if not inspect.isclass(target):
        return target
    method = _METHODS[role]
    found = getattr(target, method, None)
    if found is None or not inspect.isfunction(found):
        near = did_you_mean(method, [known for known in vars(target) if not known.startswith("__")])
        msg = f"{role} {name}: {target.__name__} has no method {method}(){near}"
        raise TypeError(msg)
    return cast("Callable[..., Any]", found)


def _unusable(target: Callable[..., Any], call: Callable[..., Any], role: Role) -> str:
    """Return why the engine cannot call the entry at all, "" if it can."""
    where = f" for {_METHODS[role]}()" if inspect.isclass(target) else ""
    parameters = list(inspect.signature(call).parameters.values())[inspect.isclass(target) :]
    flowing = [p for p in parameters[:1] if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if role != "source" and not flowing:
        return "found no first positional parameter, expected one for the input"
    further = parameters if role == "source" else parameters[1:]
    needed = [p.name for p in further if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if needed and inspect.isclass(target):
        return f"found {_METHODS[role]}() with the parameter {needed[0]}, expected options in the constructor only"
    if role == "source" and not (inspect.isasyncgenfunction(call) or _gives_async_iterator(call)):
        return f"found {_sort_of(call)}{where}, expected an async generator function: async def with yield, of items"
    if role == "sink" and not inspect.iscoroutinefunction(call):
        return f"found {_sort_of(call)}{where}, expected a coroutine function: async def, without yield"
    return ""


def _gives_async_iterator(call: Callable[..., Any]) -> bool:
    if inspect.iscoroutinefunction(call) or inspect.isgeneratorfunction(call):
        return False
    return get_origin(typing.get_type_hints(call).get("return")) in _ASYNC_ITERATORS


def _sort_of(call: Callable[..., Any]) -> str:
    if inspect.isasyncgenfunction(call):
        return "an async generator function"
    if inspect.iscoroutinefunction(call):
        return "a coroutine function without yield"
    return "a generator function" if inspect.isgeneratorfunction(call) else "a plain function"


# Options.


def _constructor(target: Callable[..., Any]) -> Callable[..., Any]:
    return cast("Callable[..., Any]", target.__init__ if inspect.isclass(target) else target)


def _parameters(target: Callable[..., Any], role: Role) -> list[inspect.Parameter]:
    """Return the parameters that are options."""
    configure = _constructor(target)
    if configure is object.__init__:
        return []
    parameters = list(inspect.signature(configure).parameters.values())
    return parameters[1:] if inspect.isclass(target) or role != "source" else parameters  # self, or what flows in


def _written(option: inspect.Parameter) -> str:
    if option.kind is option.POSITIONAL_ONLY:
        return f"{option.name}, a positional-only parameter"
    return f"{'**' if option.kind is option.VAR_KEYWORD else '*'}{option.name}"


# Types and kind.


def _flow(call: Callable[..., Any], role: Role, *, bound: bool) -> _Flow:
    """Derive the kind and the payload types from the entry's annotations. bound: its first parameter is `self`."""
    hints = typing.get_type_hints(call, include_extras=True)
    returned = _without_none(hints.get("return", Any))
    if role == "source":
        return _Flow(None, unwrap_item(_element(returned)), None, wants_item=False, gives_items=True, is_async=True)
    annotation = hints.get(list(inspect.signature(call).parameters)[bound], Any)
    is_async = inspect.iscoroutinefunction(call)
    iterates = (
        inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call) or get_origin(returned) in _ITERATORS
    )
    if get_origin(annotation) is Batch or annotation is Batch:
        kind, in_type, out_type = OperatorKind.BATCH, (get_args(annotation) or (Any,))[0], _element(returned)
    elif (get_origin(annotation) or annotation) in _ASYNC_ITERATORS:
        element = _element(annotation)
        kind, in_type, out_type = OperatorKind.STREAM, Item if element is Any else element, _element(returned)
    elif iterates:
        kind, in_type, out_type = OperatorKind.EXPAND, annotation, _element(returned)
    else:
        kind, in_type, out_type = (OperatorKind.ASYNC_MAP if is_async else OperatorKind.MAP), annotation, returned
    return _Flow(
        in_type=unwrap_item(in_type),
        out_type=_without_none(unwrap_item(out_type)),
        kind=kind if role == "operator" else None,
        wants_item=_is_item(in_type),
        gives_items=_is_item(out_type),
        is_async=is_async or inspect.isasyncgenfunction(call) or get_origin(returned) in _ASYNC_ITERATORS,
    )


def _misfit(call: Callable[..., Any], flow: _Flow, *, in_thread: bool) -> list[str]:
    """Return where an operator's signature contradicts the way in which its kind is called."""
    hints = typing.get_type_hints(call, include_extras=True)
    returned = hints.get("return", Any)
    problems = []
    if in_thread and (flow.is_async or flow.kind is OperatorKind.STREAM):
        problems.append(f"found {_sort_of(call)} marked threaded_operator, expected a plain function, or @operator")
    match flow.kind:
        case OperatorKind.STREAM if not (inspect.isasyncgenfunction(call) or _gives_async_iterator(call)):
            problems.append(
                f"found {_sort_of(call)} that takes a stream, expected an async generator function (async def, yield)"
            )
        case OperatorKind.MAP | OperatorKind.ASYNC_MAP if _is_item(_without_none(returned)):
            problems.append(
                "found Item as the return type, expected the type of its value: the engine wraps it in an item"
            )
        case OperatorKind.BATCH if returned is not Any and (get_origin(returned) or returned) not in _SEQUENCES:
            problems.append(
                f"found {inspect.formatannotation(returned)} for a batch, expected a list: one result an input"
            )
        case OperatorKind.BATCH if _is_item(_element(returned)):
            problems.append("found a list of items for a batch, expected their values: the engine wraps them in items")
    if flow.kind and get_origin(flow.in_type) in _SYNC_ITERATORS and _is_item(_element(flow.in_type)):
        problems.append("found a plain iterator of items for a stream, expected AsyncIterator[Item[...]]")
    return problems


def _cases(call: Callable[..., Any], role: Role, *, bound: bool) -> tuple[tuple[Any, Any], ...]:
    """Return the types of each overload, those of an earlier state of a plug-in's file left out."""
    current = [case for case in typing.get_overloads(call) if getattr(case, "__globals__", None) is call.__globals__]
    flows = [_flow(case, role, bound=bound) for case in current]
    return tuple((flow.in_type, flow.out_type) for flow in flows)


def _element(annotation: Any) -> Any:
    """Return T of AsyncIterator[T], Iterator[T], list[T]; Any where there is none."""
    args = get_args(annotation)
    return _without_error(args[0]) if args else Any


def _is_item(annotation: Any) -> bool:
    """Whether it is Item[T], or a union of such."""
    if get_origin(annotation) in _UNIONS:
        return all(_is_item(member) for member in get_args(annotation))
    return annotation is Item or get_origin(annotation) is Item


def unwrap_item(annotation: Any) -> Any:
    """Return T of Item[T], T | U of Item[T] | Item[U]."""
    if get_origin(annotation) in _UNIONS and _is_item(annotation):
        return _union(unwrap_item(member) for member in get_args(annotation))
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
    if get_origin(annotation) not in _UNIONS:
        return annotation
    kept = [arg for arg in get_args(annotation) if not unwanted(arg)]
    return _union(kept) if kept else annotation


def _union(annotations: Iterable[Any]) -> Any:
    return typing.Union[tuple(annotations)]  # noqa: UP007 - built at run time
