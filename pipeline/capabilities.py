"""What a component may declare of itself beside its signature: the one place that reads it, the one table of it.

A value is an attribute of the class (or function), or is set by the constructor; a method is an ordinary method. The
engine looks at the component once, when the file is loaded and when a pipeline is made, and keeps what it found in
`Capabilities`; nothing else asks a component for an attribute by name.

=============  ========  ===================  =========================================================================
name           of        is                   what the engine does with it
=============  ========  ===================  =========================================================================
workers        operator  int >= 1             works on so many items at once, where the step does not say
               sink      int >= 1             serves so many callers at once; 1: one item after the other
callers        source    bool                 counts on it: each item has a `reply`, a caller waits for its results
order          source    strict, key, none    keeps this order where a step does not say
exclusive      source    bool                 starts a reloaded pipeline when the old one has ended, not beside it
replayable     source    bool                 counts on it: an item that did not end well comes again after a restart
resumes        source    bool                 starts it again when its pipeline broke: it goes on, and repeats nothing
stop()         source    plain method         calls it to end `items` after what was admitted; else interrupts `items`
progress()     source    plain method         shows its `waiting` and `duplicates` in `fastembed run`
cost(value)    operator  plain method         fills batches up to `tokens` with what it returns (batch operators)
transactional  sink      bool                 stages in `write`, then awaits `commit(origin)` or `abort(origin)`
needs_callers  sink      bool                 ends pipelines of sources with `callers` in it only
write_nowait   sink      plain method         calls it with the item first; True: written, False: awaits `write`
entries()      sink      coroutine method     lets the source read it as its ledger (with record, rename, forget)
open(context)  all       coroutine method     awaits it before the first item
close()        all       coroutine method     awaits it after the last item
=============  ========  ===================  =========================================================================

These names belong to the engine in every component of the role: a value of another type, one of these values on a
component of another role, and a name that is nearly one of them (`transactionl`) are refused. An attribute of the
component's own that happens to have such a name wants an underscore before it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Final, get_args

from fastembed.pipeline.component import MARK, Role
from fastembed.pipeline.names import did_you_mean, one_of, with_article
from fastembed.pipeline.policy import Order


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a component declares, with what holds where it declares nothing; methods: whether it has them."""

    workers: int = 1
    order: Order = "strict"
    callers: bool = False
    exclusive: bool = False
    replayable: bool = False
    resumes: bool = False
    transactional: bool = False
    needs_callers: bool = False
    stop: bool = False
    progress: bool = False
    cost: bool = False
    write_nowait: bool = False
    entries: bool = False
    open: bool = False
    close: bool = False


NOTHING_DECLARED: Final = Capabilities()


@dataclass(frozen=True, slots=True)
class _Value:
    """A declared value: whose it is, what it must be."""

    roles: tuple[Role, ...]
    fits: Callable[[Any], bool]
    expected: str


@dataclass(frozen=True, slots=True)
class _Method:
    """A declared method: whose it is, how many arguments the engine gives it (None: not checked), how it is called."""

    roles: tuple[Role, ...]
    arguments: int | None
    awaited: bool


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


_ORDERS: Final = get_args(Order)
_ALL: Final = get_args(Role)
_VALUES: Final[dict[str, _Value]] = {
    "workers": _Value(("operator", "sink"), _is_count, "an integer of at least 1"),
    "order": _Value(("source",), lambda value: value in _ORDERS, one_of(_ORDERS)),
    "callers": _Value(("source",), _is_bool, "True or False"),
    "exclusive": _Value(("source",), _is_bool, "True or False"),
    "replayable": _Value(("source",), _is_bool, "True or False"),
    "resumes": _Value(("source",), _is_bool, "True or False"),
    "transactional": _Value(("sink",), _is_bool, "True or False"),
    "needs_callers": _Value(("sink",), _is_bool, "True or False"),
}
_METHODS: Final[dict[str, _Method]] = {
    "open": _Method(_ALL, 1, awaited=True),
    "close": _Method(_ALL, 0, awaited=True),
    "stop": _Method(("source",), 0, awaited=False),
    "progress": _Method(("source",), 0, awaited=False),
    "cost": _Method(("operator",), 1, awaited=False),
    "write_nowait": _Method(("sink",), 1, awaited=False),
    "entries": _Method(("sink",), 0, awaited=True),
}
_COMMITS: Final = {name: _Method(("sink",), 1, awaited=True) for name in ("commit", "abort")}
_LEDGER: Final = {name: _Method(("sink",), None, awaited=True) for name in ("record", "rename", "forget")}
_DEFAULTS: Final = {field.name: field.default for field in fields(Capabilities)}
_ABSENT: Final = object()


def read_capabilities(component: Any, role: Role) -> tuple[Capabilities, list[str]]:
    """Return what a class, a function or an instance declares, and everything that is wrong with it.

    Each problem reads `found ..., expected ...`; what is wrong counts as not declared.
    """
    problems: list[str] = []
    found = {name: value for name, value in _declared(component, role, problems) if value is not _ABSENT}
    found |= dict.fromkeys(_methods(component, role, _METHODS, problems), True)
    if found.get("transactional"):
        _require(component, role, _COMMITS, "transactional = True", problems)
    if found.get("entries"):
        _require(component, role, _LEDGER, "entries()", problems)
    if hasattr(component, MARK) and not _is_instance(component):
        problems += _misspelt(component, role)
    return Capabilities(**found), problems


def _declared(component: Any, role: Role, problems: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield the values that a component declares, where they are right."""
    for name, rule in _VALUES.items():
        value = _attribute(component, name)
        if value is _ABSENT:
            continue
        text = f"found {name} = {value!r}"
        if role in rule.roles:
            if rule.fits(value):
                yield name, value
            else:
                problems.append(f"{text}, expected {rule.expected}")
        elif not _is_instance(component) and rule.fits(value) and value != _DEFAULTS[name]:
            owners = " and ".join(f"{owner}s" for owner in rule.roles)
            problems.append(f"{text} on {with_article(role)}, expected it on {owners}, or _{name} for your own")


def _methods(component: Any, role: Role, rules: dict[str, _Method], problems: list[str]) -> Iterator[str]:
    """Yield the methods that a component has, where they can be called as the engine calls them."""
    for name, rule in rules.items():
        method = _attribute(component, name)
        if method is _ABSENT or role not in rule.roles:
            continue
        problem = _uncallable(component, name, method, rule)
        if problem:
            problems.append(problem)
        else:
            yield name


def _require(component: Any, role: Role, rules: dict[str, _Method], because: str, problems: list[str]) -> None:
    """Report the methods that a declaration needs and that are not there."""
    wrong: list[str] = []
    present = set(_methods(component, role, rules, wrong))
    problems += wrong
    missing = [name for name in rules if name not in present and _attribute(component, name) is _ABSENT]
    if missing:
        near = did_you_mean(missing[0], [name for name in dir(component) if not name.startswith("_")])
        methods = " and ".join(f"async def {name}()" for name in missing)
        problems.append(f"found {because} without {' and '.join(missing)}, expected {methods} beside it{near}")


def _uncallable(component: Any, name: str, method: Any, rule: _Method) -> str | None:
    """Return why the engine cannot call a method, or None."""
    if not callable(method):
        return f"found {name} = {method!r}, expected a method"
    is_async = inspect.iscoroutinefunction(method)
    if rule.awaited and not is_async:
        return f"found a plain function {name}, expected a coroutine function: async def {name}"
    if not rule.awaited and (is_async or inspect.isasyncgenfunction(method) or inspect.isgeneratorfunction(method)):
        return f"found a {_sort_of(method)} {name}, expected a plain function: def {name}"
    if rule.arguments is None:
        return None
    bound = _is_instance(component) or isinstance(inspect.getattr_static(component, name), staticmethod | classmethod)
    given = rule.arguments + (inspect.isclass(component) and not bound)
    try:
        inspect.signature(method).bind(*[None] * given)
    except (TypeError, ValueError):
        takes = {0: "no argument", 1: "one argument"}[rule.arguments]
        return f"found {name}{inspect.signature(method)}, expected it to take {takes}"
    return None


def _misspelt(component: Any, role: Role) -> Iterator[str]:
    """Report public names of the component's own that are nearly a declaration, and would be one if spelt right."""
    for name, value in _own(component).items():
        if name.startswith("_") or name in _VALUES or name in _METHODS:
            continue
        for known, rule in _VALUES.items():
            if role in rule.roles and rule.fits(value) and _near(name, known):
                yield f"found {name} = {value!r}, expected a known name; did you mean {known!r}?"
        for known, method in (_METHODS | (_COMMITS if role == "sink" else {})).items():
            if (
                role in method.roles
                and inspect.isfunction(value)
                and _near(name, known)
                and not hasattr(component, known)
            ):
                yield f"found a method {name}, expected a known name; did you mean {known!r}?"


def _near(name: str, known: str) -> bool:
    """Whether a name is a slip of another: near it, and not a longer word that begins with it (`closed`, `orders`)."""
    return name != known and not name.startswith(known) and bool(did_you_mean(name, [known], cutoff=0.8))


def _own(component: Any) -> dict[str, Any]:
    """Return the attributes that the component's own file gives it."""
    if not inspect.isclass(component):
        return dict(getattr(component, "__dict__", {}))
    bases = [cls for cls in reversed(component.__mro__) if cls.__module__ == component.__module__]
    return {name: value for cls in bases for name, value in vars(cls).items()}


def _attribute(component: Any, name: str) -> Any:
    """Return an attribute; absent where there is none, or a class only computes it for its instances."""
    if isinstance(inspect.getattr_static(component, name, None), property) and inspect.isclass(component):
        return _ABSENT
    return getattr(component, name, _ABSENT)


def _is_instance(component: Any) -> bool:
    return not inspect.isclass(component) and not inspect.isroutine(component)


def _sort_of(function: Any) -> str:
    if inspect.isasyncgenfunction(function):
        return "async generator function"
    return "generator function" if inspect.isgeneratorfunction(function) else "coroutine function"
