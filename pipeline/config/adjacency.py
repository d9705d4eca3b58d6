"""Type check of neighbouring steps: the output type of a step must fit the input type of the next one.

Where nothing narrows the type, every kind of value that a step may give must be taken. Where something does, it is
enough that one kind is: behind an `if` or in a branch, because the condition may sort the others out; behind a step
that takes and gives several kinds of which only some arrive (`embed`: chunks give chunks, requests give vectors), or
whose result is one of several kinds that only the items tell (`map`, `json`: `ONE_OF`).
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

from fastembed.pipeline.config.compiling import NAMES
from fastembed.pipeline.config.expressions import value_fields
from fastembed.pipeline.config.problems import Problems
from fastembed.pipeline.names import did_you_mean
from fastembed.pipeline.payload.json_schema import FIELDS
from fastembed.pipeline.payload.plain import ONE_OF
from fastembed.pipeline.plan import Branch, Expression, ForkPlan, Place, RoutePlan, SinkPlan, SourcePlan, Step, StepPlan
from fastembed.pipeline.spec import Spec

_CLOSED: Final = {int, float, complex, bool, str, bytes, list, tuple, set, frozenset, type(None)}
_NUMBERS: Final = {(int, float), (bool, float), (int, complex), (float, complex)}


@dataclass(frozen=True, slots=True)
class Flow:
    """The type that flows between two steps, and the step that produces it (`giver`).

    type: Any where it is unknown, None where nothing arrives. narrowed: it is enough that one alternative of the type
    fits. advice: what a message adds where none does.
    """

    type: Any
    giver: str
    place: Place
    narrowed: bool = False
    advice: str = ""


def check_flow(
    source: SourcePlan, steps: tuple[Step, ...], sink: SinkPlan, problems: Problems, *, source_flow: Flow | None = None
) -> None:
    """Report every step whose input type does not fit. source_flow: the source's output, if known better."""
    flow = source_flow or Flow(source.component.out_type, source.id, source.place)
    _check_fields(source.key, flow, problems)
    flow = _through(steps, flow, problems)
    _take(flow, sink.component.in_type, sink.id, sink.place, problems)


def _through(steps: tuple[Step, ...], flow: Flow, problems: Problems) -> Flow:
    for step in steps:
        if flow.type is None:
            problems.warn(step.place, f"no item reaches {step.id}: every branch before it ends in a sink")
            return flow
        match step:
            case StepPlan():
                flow = _step(step, flow, problems)
            case RoutePlan():
                flow = _merge([_branch(branch, _narrowed(flow), problems) for branch in step.branches], step)
            case ForkPlan(join="all"):
                for branch in step.branches:
                    _branch(branch, flow, problems)
                flow = Flow(dict, step.id, step.place)
            case ForkPlan():
                flow = _merge([_branch(branch, flow, problems) for branch in step.branches], step)
    return flow


def _step(step: StepPlan, flow: Flow, problems: Problems) -> Flow:
    input_flow = _narrowed(flow) if step.condition else flow
    _take(input_flow, step.component.in_type, step.id, step.place, problems)
    for expression in (step.condition, step.latest):
        _check_fields(expression, flow, problems)
    for expression in expressions_in(step.options):
        _check_fields(replace(expression, place=step.place), input_flow, problems)
    output = _output_type(step.component, flow.type)
    if isinstance(output, TypeVar) and output is step.component.in_type:  # gives what it takes
        return replace(flow, giver=step.id, place=step.place, narrowed=flow.narrowed or step.condition is not None)
    if step.condition or step.on_error == "pass":  # else the item goes on as it came
        return Flow(_union([output, flow.type]), step.id, step.place, narrowed=True)
    if step.component.cases:  # what comes of each kind that arrives is known
        return Flow(output, step.id, step.place, narrowed=flow.narrowed)
    partly_fed = any(not _arrives(member, flow.type) for member in members_of(step.component.in_type))
    return Flow(output, step.id, step.place, narrowed=partly_fed or ONE_OF in _marks_of(output))


def expressions_in(options: Any) -> Iterator[Expression]:
    """Yield the expressions among a component's options, also those in lists and mappings of options."""
    if isinstance(options, Expression):
        yield options
    elif isinstance(options, Mapping):
        for option in options.values():
            yield from expressions_in(option)
    elif isinstance(options, list | tuple):
        for option in options:
            yield from expressions_in(option)


def _marks_of(annotation: Any) -> Iterator[Any]:
    """Yield what `Annotated` says in a type, and in the alternatives of a union."""
    if get_origin(annotation) is typing.Annotated:
        yield from annotation.__metadata__
    elif get_origin(annotation) in (typing.Union, types.UnionType):
        for member in get_args(annotation):
            yield from _marks_of(member)


def _output_type(component: Spec, arriving: Any) -> Any:
    """Return a step's output type: of an overloaded step, the outputs of those overloads whose input may arrive."""
    outputs = [out for taken, out in component.cases if _arrives(taken, arriving)]
    return _union(outputs) if outputs else component.out_type


def _arrives(member: Any, actual: Any) -> bool:
    """Whether a value of the type `actual` may be a `member`."""
    return any(fits(one, member) or fits(member, one) for one in members_of(actual))


def _branch(branch: Branch, flow: Flow, problems: Problems) -> Flow:
    _check_fields(branch.condition, flow, problems)
    flow = _through(branch.steps, flow, problems)
    if branch.sink is None:
        return flow
    _take(flow, branch.sink.component.in_type, branch.sink.id, branch.sink.place, problems)
    return Flow(None, flow.giver, flow.place)


def _narrowed(flow: Flow) -> Flow:
    return replace(flow, narrowed=True)


def _merge(flows: list[Flow], step: RoutePlan | ForkPlan) -> Flow:
    arriving = [flow for flow in flows if flow.type is not None]
    if not arriving:
        return Flow(None, step.id, step.place)
    if len({id(flow.type) for flow in arriving}) == 1 and len({flow.giver for flow in arriving}) == 1:
        return arriving[0]
    return Flow(_union([flow.type for flow in arriving]), step.id, step.place, any(flow.narrowed for flow in arriving))


def _take(flow: Flow, expected: Any, taker: str, place: Place, problems: Problems) -> None:
    if flow.type is None:
        return
    members = members_of(flow.type)
    fitting = [fits(member, expected) for member in members]
    if all(fitting) or (flow.narrowed and any(fitting)):
        return
    refused = " | ".join(type_name(m) for m, fit in zip(members, fitting, strict=True) if not fit)
    text = f"found {flow.giver} before {taker}, which gives {refused} (at {flow.place}), expected {type_name(expected)}"
    problems.add(place, f"{text}{flow.advice}")


def fits(actual: Any, expected: Any) -> bool:
    """Whether every value of the type `actual` is accepted as `expected`.

    Unknown types (Any, object, a free type variable) fit; generics count by their origin.
    """
    actuals, expecteds = members_of(actual), members_of(expected)
    if len(actuals) > 1 or len(expecteds) > 1:
        return all(any(fits(one, other) for other in expecteds) for one in actuals)
    one, other = _class(actuals[0]), _class(expecteds[0])
    if one is other or one is None or other is None or (one, other) in _NUMBERS:
        return True
    try:
        return issubclass(one, other)
    except TypeError:  # a protocol that cannot be checked at run time
        return True


def members_of(annotation: Any) -> list[Any]:
    """Return the alternatives of a union, and of what wraps one."""
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        return members_of(get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [member for arg in get_args(annotation) for member in members_of(arg)]
    if origin is Literal:
        return list({type(value): None for value in get_args(annotation)})
    if isinstance(annotation, TypeVar):
        if annotation.__constraints__:
            return list(annotation.__constraints__)
        return members_of(annotation.__bound__) if annotation.__bound__ else [Any]
    return [annotation]


def _class(annotation: Any) -> type | None:
    """Return the class to compare by; None where it is unknown."""
    if annotation is Any or annotation is object:
        return None
    origin = get_origin(annotation) or annotation
    while hasattr(origin, "__supertype__"):  # typing.NewType
        origin = origin.__supertype__
    if annotation is None:
        return type(None)
    return origin if isinstance(origin, type) else None


def _union(annotations: list[Any]) -> Any:
    if any(annotation is Any for annotation in annotations):
        return Any
    return typing.Union[tuple(annotations)]  # noqa: UP007 - built at run time


def type_name(annotation: Any) -> str:
    """Return a type's short name for messages."""
    members = members_of(annotation)
    if len(members) > 1:
        return " | ".join(type_name(member) for member in members)
    annotation = members[0]
    if get_origin(annotation) and get_origin(annotation).__module__ != "numpy":  # shapes and dtypes would hide the rest
        arguments = ", ".join(type_name(arg) for arg in get_args(annotation))
        return f"{type_name(get_origin(annotation))}[{arguments}]"
    if annotation is type(None):
        return "None"
    return getattr(get_origin(annotation) or annotation, "__name__", None) or str(annotation)


def _fields_of(member: Any) -> set[str] | None:
    """Return the names that values of a type have; None where they may have others (a dict, any class of one's own)."""
    kind = _class(member)
    if kind is None:
        return None
    if is_dataclass(kind):
        return {*(f.name for f in fields(kind)), *dir(kind)}
    if (declared := getattr(kind, FIELDS, None)) is not None:
        return {*declared, *dir(dict)}
    return set(dir(kind)) if kind in _CLOSED else None


def _check_fields(expression: Expression | None, flow: Flow, problems: Problems) -> None:
    """Report names in an expression that no kind of the value has, where every kind tells all of its fields."""
    if expression is None or flow.type is None:
        return
    members = members_of(flow.type)
    found = [_fields_of(member) for member in members]
    if any(names is None for names in found):
        return
    known = {name for names in found for name in names or ()}
    public = sorted({name for member in members for name in _shown_of(member)})
    listed = f": {', '.join(public)}" if public else ", which has none; the value itself is `value`"
    for name in sorted(value_fields(expression.text) - known):
        text = f"found {name!r} in `{expression.text}`, expected a field of {type_name(flow.type)}{listed}"
        problems.add(expression.place, f"{text}{did_you_mean(name, (*public, *NAMES))}")


def _shown_of(member: Any) -> list[str]:
    """Return the names of a type that a message lists: what built-in types have is methods."""
    if (declared := getattr(member, FIELDS, None)) is not None:
        return list(declared)
    return [name for name in _fields_of(member) or () if not name.startswith("_")] if is_dataclass(member) else []
