"""What an expression may do with values at run time: read fields that hold no code, and operations that stay small."""

from __future__ import annotations

import ast
import functools
import operator
import types
from collections.abc import Callable, Mapping, Sequence, Sized
from collections.abc import Set as AbstractSet
from numbers import Number
from typing import Any, Final

from fastembed.pipeline.item import Item

ITEM_FIELDS: Final = frozenset({"value", "id", "key", "seq", "time", "deadline", "priority", "meta", "trace"})
_MAX_BITS: Final = 4096
_MAX_LENGTH: Final = 1_000_000  # of what is joined, searched or walked


# Reading values.


class ItemView:
    """`item` by itself: shows the item's and its value's fields, and no method."""

    __slots__ = ("_item",)

    def __init__(self, item: Item[Any]) -> None:
        self._item = item

    def read(self, name: str) -> Any:
        """Return a field of the item, else of its value."""
        return safe(getattr(self._item, name)) if name in ITEM_FIELDS else read_field(self._item.value, name)


_OPAQUE: Final = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.CodeType,
    types.FrameType,
    types.TracebackType,
    types.GeneratorType,
    types.CoroutineType,
    types.AsyncGeneratorType,
)


_PLAIN: Final = frozenset({str, int, float, bool, type(None), list, tuple, dict})  # the usual ones, found fast
_MISSING: Final = object()


def safe(value: Any) -> Any:
    """Return the value; raise if an expression could reach code through it."""
    if type(value) not in _PLAIN and (isinstance(value, _OPAQUE) or callable(value)):
        msg = f"found a {type(value).__name__}, expected a plain value"
        raise TypeError(msg)
    return value


def read_field(value: Any, name: str) -> Any:
    """Return the value of a mapping's key or an object's attribute."""
    if isinstance(value, ItemView):
        return value.read(name)
    kind: type = type(value)
    if _is_mapping(kind):
        if name not in value:
            msg = f"found no {name!r} in {_listing(map(str, value))}"
            raise LookupError(msg)
        return safe(value[name])
    safe(value)
    found = getattr(value, name, _MISSING)
    if found is _MISSING:
        msg = f"found no field {name!r} in {kind.__name__}"
        raise AttributeError(msg)
    return safe(found)


def _listing(names: Any) -> str:
    return f"the keys {', '.join(sorted(names))}"[:200]


@functools.lru_cache(maxsize=1024)
def _is_mapping(kind: type) -> bool:
    return issubclass(kind, Mapping)


def read_part(value: Any, index: Any) -> Any:
    """Return `value[index]` of a list, text, mapping or array."""
    if not isinstance(value, Mapping | Sequence) and not hasattr(value, "__array__"):
        msg = f"found {type(value).__name__}, expected a list, text, mapping or array before [ ]"
        raise TypeError(msg)
    try:
        return safe(value[index])
    except KeyError:
        msg = f"found no {index!r:.80} in the mapping"
        raise LookupError(msg) from None


def of_kind(value: Any, kind: type, method: str) -> Any:
    """Return the value if `.method()` is defined for its type; raise otherwise."""
    if isinstance(value, kind):
        return value
    msg = f"found {type(value).__name__} before .{method}(), expected {kind.__name__}"
    raise TypeError(msg)


# Bounded operations.


def number(value: Any) -> Any:
    """Return the value if it is a real number; raise otherwise."""
    if isinstance(value, Number) and not isinstance(value, complex):
        return value
    msg = f"found {type(value).__name__}, expected a number"
    raise TypeError(msg)


def _bounded(value: Any) -> Any:
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        msg = f"found an integer of more than {_MAX_BITS} bits"
        raise ArithmeticError(msg)
    return value


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        if len(left) + len(right) > _MAX_LENGTH:
            msg = f"found more than {_MAX_LENGTH} characters"
            raise ArithmeticError(msg)
        return left + right
    return _bounded(number(left) + number(right))


def _multiply(left: Any, right: Any) -> Any:
    return _bounded(number(left) * number(right))


def _power(base: Any, exponent: Any) -> Any:
    base, exponent = number(base), number(exponent)
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > _MAX_BITS:
        msg = f"found a power of more than {_MAX_BITS} bits"
        raise ArithmeticError(msg)
    return number(base**exponent)


def _on_numbers(apply: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda left, right: _bounded(apply(number(left), number(right)))


def _walkable(value: Any) -> Any:
    """Return the value if it has a length within the limit; raise otherwise."""
    if not isinstance(value, Sized):
        msg = f"found {type(value).__name__}, expected something with a length"
        raise TypeError(msg)
    if not isinstance(value, AbstractSet | Mapping | str) and len(value) > _MAX_LENGTH:
        msg = f"found {len(value)} entries, expected at most {_MAX_LENGTH}"
        raise ValueError(msg)
    return value


def _extreme(choose: Callable[..., Any]) -> Callable[..., Any]:
    def run(*values: Any) -> Any:
        return choose(_walkable(values[0])) if len(values) == 1 else choose(*values)

    return run


FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "len": lambda value: len(_walkable(value)),
    "min": _extreme(min),
    "max": _extreme(max),
    "abs": lambda value: abs(number(value)),
    "any": lambda value: any(_walkable(value)),
    "all": lambda value: all(_walkable(value)),
}

METHODS: Final[dict[str, tuple[type, Callable[..., Any]]]] = {
    **{
        name: (str, getattr(str, name))
        for name in (
            *("lower", "upper", "casefold", "strip", "lstrip", "rstrip", "startswith", "endswith", "removeprefix"),
            *("removesuffix", "count", "find", "split", "isdigit", "isalpha", "isalnum", "isspace", "isupper"),
            *("islower", "isnumeric"),
        )
    },
    "get": (Mapping, lambda mapping, key, default=None: safe(mapping.get(key, default))),
}

ARITHMETIC: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: _add,
    ast.Sub: _on_numbers(operator.sub),
    ast.Mult: _multiply,
    ast.Div: _on_numbers(operator.truediv),
    ast.FloorDiv: _on_numbers(operator.floordiv),
    ast.Mod: _on_numbers(operator.mod),
    ast.Pow: _power,
}

COMPARISONS: Final[dict[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda left, right: left in _walkable(right),
    ast.NotIn: lambda left, right: left not in _walkable(right),
}
