"""What an expression may do with values at run time: read fields that hold no code, and operations that stay small."""

from __future__ import annotations

import ast
import functools
import operator
import time
import types
from collections.abc import Callable, Mapping, Sequence, Sized
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from numbers import Number
from typing import Any, Final

import numpy as np

from fastembed.pipeline.item import Item

ITEM_FIELDS: Final = frozenset({"value", "id", "key", "seq", "time", "deadline", "priority", "meta", "trace"})
_MAX_BITS: Final = 4096
_MAX_DIGITS: Final = 400
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
    if isinstance(left, list) and isinstance(right, list):
        return [*left, *right]
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


def bounded_text(text: str) -> str:
    """Return the text; raise if it is too long for an expression."""
    if len(text) > _MAX_LENGTH:
        msg = f"found more than {_MAX_LENGTH} characters"
        raise ArithmeticError(msg)
    return text


def plain_text(value: Any) -> str:
    """Return a plain value as text: text as it is, numbers, True, False, None, and lists and mappings of them."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, Mapping):
        return bounded_text(
            "{" + ", ".join(f"{plain_text(k)}: {plain_text(v)}" for k, v in _walkable(value).items()) + "}"
        )
    if isinstance(value, list | tuple):
        return bounded_text("[" + ", ".join(map(plain_text, _walkable(value))) + "]")
    msg = f"found {type(value).__name__}, expected text, a number, a list or a mapping"
    raise TypeError(msg)


def entries_of(value: Any) -> Any:
    """Return what a comprehension walks through: a list, a mapping's names, an array; raise otherwise."""
    if isinstance(value, str) or not isinstance(value, Sequence | Mapping | AbstractSet | np.ndarray):
        msg = f"found {type(value).__name__}, expected a list after `in`"
        raise TypeError(msg)
    return _walkable(value)


def _joined(separator: str, parts: Any) -> str:
    texts = [plain_text(part) for part in entries_of(parts)]
    if sum(map(len, texts)) + len(separator) * len(texts) > _MAX_LENGTH:
        msg = f"found more than {_MAX_LENGTH} characters"
        raise ArithmeticError(msg)
    return separator.join(texts)


def _replaced(text: str, old: str, new: str) -> str:
    if len(text) + max(0, len(new) - len(old)) * text.count(old) > _MAX_LENGTH:
        msg = f"found more than {_MAX_LENGTH} characters"
        raise ArithmeticError(msg)
    return text.replace(old, new)


def _integer(value: Any) -> int:
    if isinstance(value, str) and len(value) > _MAX_DIGITS:
        msg = f"found {len(value)} characters, expected a number"
        raise ValueError(msg)
    return int(_bounded(int(value)) if isinstance(value, str) else _bounded(int(number(value))))


def _float(value: Any) -> float:
    return float(value) if isinstance(value, str) else float(number(value))


def _isotime(seconds: Any) -> str:
    """Return seconds since the epoch as a time of UTC: 2026-01-31T08:30:00Z."""
    return datetime.fromtimestamp(number(seconds), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _seconds(text: Any) -> float:
    """Return a date, or a time with its zone (UTC where it names none), as seconds since the epoch."""
    found = datetime.fromisoformat(of_kind(text, str, "seconds"))
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "len": lambda value: len(_walkable(value)),
    "min": _extreme(min),
    "max": _extreme(max),
    "abs": lambda value: abs(number(value)),
    "any": lambda value: any(_walkable(value)),
    "all": lambda value: all(_walkable(value)),
    "sum": lambda values: _bounded(sum(number(value) for value in entries_of(values))),
    "sorted": lambda values: sorted(entries_of(values)),
    "round": lambda value, digits=0: round(number(value), digits) if digits else round(number(value)),
    "int": _integer,
    "float": _float,
    "str": plain_text,
    "now": time.time,
    "isotime": _isotime,
    "seconds": _seconds,
}

METHODS: Final[dict[str, tuple[type, Callable[..., Any]]]] = {
    **{
        name: (str, getattr(str, name))
        for name in (
            *("lower", "upper", "casefold", "title", "strip", "lstrip", "rstrip", "startswith", "endswith"),
            *("removeprefix", "removesuffix", "count", "find", "split", "splitlines", "isdigit", "isalpha"),
            *("isalnum", "isspace", "isupper", "islower", "isnumeric"),
        )
    },
    "join": (str, _joined),
    "replace": (str, _replaced),
    "get": (Mapping, lambda mapping, key, default=None: safe(mapping.get(key, default))),
    "keys": (Mapping, lambda mapping: list(_walkable(mapping))),
    "values": (Mapping, lambda mapping: [safe(value) for value in _walkable(mapping).values()]),
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
