"""From the syntax tree of an expression to closures over the item: which syntax there is, and what it compiles to.

Each part becomes a function of the item. A list comprehension binds a name: its value lies in a slot of the thread that
evaluates, since steps may run in threads. Parts that are constant are computed when the file is loaded, so that
`9**9**9` is refused there.
"""

from __future__ import annotations

import ast
import operator
import threading
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from fastembed.pipeline.config.evaluation import (
    ARITHMETIC,
    COMPARISONS,
    FUNCTIONS,
    ITEM_FIELDS,
    METHODS,
    ItemView,
    bounded_text,
    entries_of,
    number,
    of_kind,
    plain_text,
    read_field,
    read_part,
    safe,
)
from fastembed.pipeline.item import Item
from fastembed.pipeline.names import did_you_mean

CompiledPart = Callable[[Item[Any]], Any]

NAMES: Final = ("item", "value", "key", "session", "meta")
_MAX_ROUNDS: Final = 100_000
"""Rounds of all comprehensions in one evaluation: some 20 ms of work."""

_ALLOWED: Final = (
    "names, fields, comparisons, and/or/not/in, arithmetic, subscripts, literals, f-strings, [x for x in a list], "
    "functions such as len() and methods such as .startswith()"
)


class ExpressionError(ValueError):
    """Not an expression of the configuration; the message says what was found and what was expected."""


class _BoundName(threading.local):
    """The value of a comprehension's name, in this thread."""

    value: Any = None


class _Rounds(threading.local):
    """How many rounds comprehensions did so far in this thread's evaluation, and how deep they are nested now."""

    done = 0
    depth = 0


def bound_names(tree: ast.expr) -> frozenset[str]:
    """Return the names that comprehensions bind."""
    targets = (node.target for node in ast.walk(tree) if isinstance(node, ast.comprehension))
    return frozenset(target.id for target in targets if isinstance(target, ast.Name))


class Compiler:
    """Compiles one expression. Raises ExpressionError for syntax that expressions do not have."""

    def __init__(self) -> None:
        self._slots: dict[str, _BoundName] = {}
        self._rounds = _Rounds()

    def compile(self, node: ast.expr) -> CompiledPart:
        """Return the closure of a part; a part without names is computed now."""
        compiler = self._compilers.get(type(node))
        if compiler is None:
            raise ExpressionError(f"found {_source(node)}, expected {_ALLOWED}")
        compiled = compiler(self, node)
        if isinstance(node, ast.BinOp | ast.UnaryOp) and not any(isinstance(n, ast.Name) for n in ast.walk(node)):
            return _folded(node, compiled)
        return compiled

    def _constant(self, node: ast.Constant) -> CompiledPart:
        value = node.value
        if value is not None and not isinstance(value, bool | int | float | str):
            raise ExpressionError(f"found {_source(node)}, expected a number, text, True, False or None")
        return lambda _item: value

    def _name(self, node: ast.Name) -> CompiledPart:
        name = node.id
        _check_public(name)
        if (slot := self._slots.get(name)) is not None:
            return lambda _item: slot.value
        match name:
            case "item":
                return ItemView
            case "value":
                return lambda item: safe(item.value)
            case "key" | "session":
                return lambda item: item.key
            case "meta":
                return lambda item: item.meta
        if name in FUNCTIONS:
            raise ExpressionError(f"found {name} without its parentheses, expected {name}(...)")
        return lambda item: read_field(item.value, name)

    def _attribute(self, node: ast.Attribute) -> CompiledPart:
        name = node.attr
        _check_public(name)
        if isinstance(node.value, ast.Name) and node.value.id == "item" and "item" not in self._slots:
            if name in ITEM_FIELDS:
                read = operator.attrgetter(name)
                return lambda item: safe(read(item))
            return lambda item: read_field(item.value, name)
        inner = self.compile(node.value)
        return lambda item: read_field(inner(item), name)

    def _subscript(self, node: ast.Subscript) -> CompiledPart:
        inner = self.compile(node.value)
        if isinstance(node.slice, ast.Slice):
            parts = (node.slice.lower, node.slice.upper, node.slice.step)
            bounds = [self.compile(part) if part else _nothing for part in parts]
            return lambda item: read_part(inner(item), slice(*(bound(item) for bound in bounds)))
        index = self.compile(node.slice)
        return lambda item: read_part(inner(item), index(item))

    def _bool_op(self, node: ast.BoolOp) -> CompiledPart:
        parts = [self.compile(value) for value in node.values]
        stop_at = isinstance(node.op, ast.Or)

        def run(item: Item[Any]) -> Any:
            result = None
            for part in parts:
                result = part(item)
                if bool(result) is stop_at:
                    break
            return result

        return run

    def _unary(self, node: ast.UnaryOp) -> CompiledPart:
        operand = self.compile(node.operand)
        match node.op:
            case ast.Not():
                return lambda item: not operand(item)
            case ast.USub():
                return lambda item: -number(operand(item))
            case ast.UAdd():
                return lambda item: number(operand(item))
        raise ExpressionError(f"found {_source(node)}, expected not, - or + before a value")

    def _binary(self, node: ast.BinOp) -> CompiledPart:
        apply = ARITHMETIC.get(type(node.op))
        if apply is None:
            raise ExpressionError(f"found {_source(node)}, expected one of + - * / // % **")
        left, right = self.compile(node.left), self.compile(node.right)
        return lambda item: apply(left(item), right(item))

    def _compare(self, node: ast.Compare) -> CompiledPart:
        first = self.compile(node.left)
        pairs = zip(node.ops, node.comparators, strict=True)
        rest = [(COMPARISONS[type(op)], self.compile(value)) for op, value in pairs]

        def run(item: Item[Any]) -> Any:
            left = first(item)
            result: Any = True
            for compare, value in rest:
                right = value(item)
                result = compare(left, right)
                if not result:
                    break
                left = right
            return result

        return run

    def _if_else(self, node: ast.IfExp) -> CompiledPart:
        test, then, otherwise = self.compile(node.test), self.compile(node.body), self.compile(node.orelse)
        return lambda item: then(item) if test(item) else otherwise(item)

    def _sequence(self, node: ast.List | ast.Tuple | ast.Set) -> CompiledPart:
        parts = [self.compile(element) for element in node.elts]
        build = {ast.List: list, ast.Tuple: tuple, ast.Set: frozenset}[type(node)]
        return lambda item: build(part(item) for part in parts)

    def _mapping(self, node: ast.Dict) -> CompiledPart:
        if any(key is None for key in node.keys):
            raise ExpressionError(f"found {_source(node)}, expected a name before each value")
        parts = [(self.compile(k), self.compile(v)) for k, v in zip(node.keys, node.values, strict=True) if k]
        return lambda item: {key(item): value(item) for key, value in parts}

    def _f_string(self, node: ast.JoinedStr) -> CompiledPart:
        parts: list[CompiledPart] = []
        for part in node.values:
            inner = part.value if isinstance(part, ast.FormattedValue) else part
            if isinstance(part, ast.FormattedValue) and (part.format_spec is not None or part.conversion != -1):
                raise ExpressionError(f"found {_source(node)}, expected plain {{names}} in it; round() rounds")
            parts.append(self.compile(inner))
        return lambda item: bounded_text("".join(plain_text(part(item)) for part in parts))

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp) -> CompiledPart:
        loop = node.generators[0]
        if len(node.generators) > 1 or loop.is_async or not isinstance(loop.target, ast.Name):
            raise ExpressionError(f"found {_source(node)}, expected one list and one name: [x for x in value.words]")
        name = loop.target.id
        _check_public(name)
        if name in NAMES or name in FUNCTIONS or name in self._slots:
            raise ExpressionError(f"found the name {name} in {_source(node)}, expected one that means nothing else")
        entries = self.compile(loop.iter)  # outside of the name's reach
        slot = self._slots[name] = _BoundName()
        conditions = [self.compile(condition) for condition in loop.ifs]
        element = self.compile(node.elt)
        del self._slots[name]
        return _walk(entries, slot, conditions, element, self._rounds)

    def _call(self, node: ast.Call) -> CompiledPart:
        arguments = [self.compile(argument) for argument in node.args]
        if node.keywords:
            raise ExpressionError(f"found {_source(node)}, expected arguments without names")
        match node.func:
            case ast.Name(id=name) if name in FUNCTIONS:
                function = FUNCTIONS[name]
                return lambda item: function(*(argument(item) for argument in arguments))
            case ast.Attribute(value=target, attr=name) if name in METHODS:
                inner, kind, method = self.compile(target), *METHODS[name]
                return lambda item: method(of_kind(inner(item), kind, name), *(part(item) for part in arguments))
        known = (*FUNCTIONS, *METHODS)
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        raise ExpressionError(f"found {_source(node)}, expected one of {', '.join(known)}{did_you_mean(called, known)}")

    _compilers: ClassVar[dict[type[ast.expr], Callable[[Compiler, Any], CompiledPart]]] = {
        ast.Constant: _constant,
        ast.Name: _name,
        ast.Attribute: _attribute,
        ast.Subscript: _subscript,
        ast.BoolOp: _bool_op,
        ast.UnaryOp: _unary,
        ast.BinOp: _binary,
        ast.Compare: _compare,
        ast.IfExp: _if_else,
        ast.List: _sequence,
        ast.Tuple: _sequence,
        ast.Set: _sequence,
        ast.Dict: _mapping,
        ast.JoinedStr: _f_string,
        ast.ListComp: _comprehension,
        ast.GeneratorExp: _comprehension,
        ast.Call: _call,
    }


def _walk(
    entries: CompiledPart, slot: _BoundName, conditions: Iterable[CompiledPart], element: CompiledPart, rounds: _Rounds
) -> CompiledPart:
    """Return what evaluates a comprehension. The rounds of nested ones add up; the outermost one starts the count."""
    conditions = tuple(conditions)

    def run(item: Item[Any]) -> list[Any]:
        found = []
        if rounds.depth == 0:
            rounds.done = 0
        rounds.depth += 1
        try:
            for entry in entries_of(entries(item)):
                rounds.done += 1
                if rounds.done > _MAX_ROUNDS:
                    msg = f"found more than {_MAX_ROUNDS} rounds, expected fewer"
                    raise ArithmeticError(msg)
                slot.value = safe(entry)
                if all(condition(item) for condition in conditions):
                    found.append(element(item))
        finally:
            rounds.depth -= 1
            slot.value = None
        return found

    return run


def _folded(node: ast.expr, compiled: CompiledPart) -> CompiledPart:
    try:
        value = compiled(Item(None))
    except (ArithmeticError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise ExpressionError(f"found {_source(node)}, expected something that can be computed: {error}") from None
    return lambda _item: value


def _nothing(_item: Item[Any]) -> None:
    return None


def _source(node: ast.AST) -> str:
    return f"`{ast.unparse(node)}`"


def _check_public(name: str) -> None:
    if name.startswith("_"):
        raise ExpressionError(f"found {name}, expected a name without a leading underscore")
