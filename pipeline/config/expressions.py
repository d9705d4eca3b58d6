"""Expressions of the configuration: a small, safe part of Python, compiled once to closures.

Names: `item`, `value`, `key` (alias `session`), `meta`, and the fields of the value. Attributes without underscores,
comparisons, `and or not in is`, `a if b else c`, arithmetic on numbers, joining text, subscripts, literals, calls of
`len min max abs any all` and of the text methods in `METHODS`. There are no loops, lambdas or other calls, so an
expression ends; sizes are bounded, so it ends soon; functions, classes, modules and frames cannot be reached, so
nothing can be run.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any, Final, Literal

from fastembed.pipeline.config.evaluation import (
    ARITHMETIC,
    COMPARISONS,
    FUNCTIONS,
    ITEM_FIELDS,
    METHODS,
    ItemView,
    number,
    of_kind,
    read_field,
    read_part,
    safe,
)
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.item import Item
from fastembed.pipeline.names import did_you_mean
from fastembed.pipeline.plan import NOWHERE, Expression, Place

Compiled = Callable[[Item[Any]], Any]
Result = Literal["any", "truth", "key"]

NAMES: Final = ("item", "value", "key", "session", "meta")
MAX_TEXT: Final = 1000
_MAX_NODES: Final = 300


class ExpressionError(ValueError):
    """Not an expression of the configuration; the message says what was found and what was expected."""


def compile_expression(text: str, result: Result = "any", place: Place = NOWHERE) -> Expression:
    """Compile `text`; result "truth" makes it True or False, "key" text or None.

    Raises ExpressionError. Evaluating raises InvalidInput, which names the expression, where the item does not fit.
    """
    run = _node(_parsed(text))
    convert = _CONVERSIONS[result]

    def evaluate(item: Item[Any]) -> Any:
        try:
            return convert(run(item))
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
            raise InvalidInput(f"expression `{text}`: {error}") from error

    return Expression(text, evaluate, place)


def value_fields(text: str) -> frozenset[str]:
    """Return the names that `text` expects the value to have as fields. Raises ExpressionError."""
    names: set[str] = set()
    for node in ast.walk(_parsed(text)):
        match node:
            case ast.Attribute(value=ast.Name(id="value"), attr=name):
                names.add(name)
            case ast.Attribute(value=ast.Name(id="item"), attr=name) if name not in ITEM_FIELDS:
                names.add(name)
            case ast.Name(id=name) if name not in NAMES and name not in FUNCTIONS:
                names.add(name)
    return frozenset(names)


def constant(text: str) -> bool | None:
    """Return whether `text` holds for every item, or for none; None where it depends. Raises ExpressionError."""
    if any(isinstance(node, ast.Name) for node in ast.walk(_parsed(text))):
        return None
    try:
        return bool(compile_expression(text, "truth").evaluate(Item(None)))
    except InvalidInput:
        return None


def _parsed(text: str) -> ast.expr:
    if len(text) > MAX_TEXT:
        raise ExpressionError(f"found an expression of {len(text)} characters, expected at most {MAX_TEXT}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "too deeply nested"
        raise ExpressionError(f"found {text!r}, expected an expression ({reason})") from None
    if sum(1 for _ in ast.walk(tree)) > _MAX_NODES:
        raise ExpressionError(f"found an expression of more than {_MAX_NODES} parts, expected a shorter one")
    return tree


def _as_it_is(value: object) -> object:
    return value


def _as_key(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(value)
    msg = f"found {type(value).__name__}, expected a key: text or a number"
    raise TypeError(msg)


_CONVERSIONS: Final[dict[Result, Callable[[Any], Any]]] = {"any": _as_it_is, "truth": bool, "key": _as_key}


# From syntax to closures.


def _node(node: ast.expr) -> Compiled:
    compiler = _COMPILERS.get(type(node))
    if compiler is None:
        raise ExpressionError(f"found {_source(node)}, expected {_ALLOWED}")
    return compiler(node)


_ALLOWED: Final = (
    "names, fields, comparisons, and/or/not/in, arithmetic, subscripts, literals, "
    "len(), min(), max(), abs(), any(), all() and text methods such as .startswith()"
)


def _source(node: ast.AST) -> str:
    return f"`{ast.unparse(node)}`"


def _constant(node: ast.Constant) -> Compiled:
    value = node.value
    if value is not None and not isinstance(value, bool | int | float | str):
        raise ExpressionError(f"found {_source(node)}, expected a number, text, True, False or None")
    return lambda _item: value


def _name(node: ast.Name) -> Compiled:
    name = node.id
    _check_public(name)
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


def _attribute(node: ast.Attribute) -> Compiled:
    name = node.attr
    _check_public(name)
    if isinstance(node.value, ast.Name) and node.value.id == "item":
        if name in ITEM_FIELDS:
            read = operator.attrgetter(name)
            return lambda item: safe(read(item))
        return lambda item: read_field(item.value, name)
    inner = _node(node.value)
    return lambda item: read_field(inner(item), name)


def _subscript(node: ast.Subscript) -> Compiled:
    inner = _node(node.value)
    if isinstance(node.slice, ast.Slice):
        bounds = [_node(part) if part else _nothing for part in (node.slice.lower, node.slice.upper, node.slice.step)]
        return lambda item: read_part(inner(item), slice(*(bound(item) for bound in bounds)))
    index = _node(node.slice)
    return lambda item: read_part(inner(item), index(item))


def _nothing(_item: Item[Any]) -> None:
    return None


def _bool_op(node: ast.BoolOp) -> Compiled:
    parts = [_node(value) for value in node.values]
    stop_at = isinstance(node.op, ast.Or)

    def run(item: Item[Any]) -> Any:
        result = None
        for part in parts:
            result = part(item)
            if bool(result) is stop_at:
                break
        return result

    return run


def _unary(node: ast.UnaryOp) -> Compiled:
    operand = _node(node.operand)
    match node.op:
        case ast.Not():
            return lambda item: not operand(item)
        case ast.USub():
            return lambda item: -number(operand(item))
        case ast.UAdd():
            return lambda item: number(operand(item))
    raise ExpressionError(f"found {_source(node)}, expected not, - or + before a value")


def _binary(node: ast.BinOp) -> Compiled:
    apply = ARITHMETIC.get(type(node.op))
    if apply is None:
        raise ExpressionError(f"found {_source(node)}, expected one of + - * / // % **")
    left, right = _node(node.left), _node(node.right)
    return lambda item: apply(left(item), right(item))


def _compare(node: ast.Compare) -> Compiled:
    first = _node(node.left)
    rest = [(COMPARISONS[type(op)], _node(value)) for op, value in zip(node.ops, node.comparators, strict=True)]

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


def _if_else(node: ast.IfExp) -> Compiled:
    test, then, otherwise = _node(node.test), _node(node.body), _node(node.orelse)
    return lambda item: then(item) if test(item) else otherwise(item)


def _sequence(node: ast.List | ast.Tuple | ast.Set) -> Compiled:
    parts = [_node(element) for element in node.elts]
    build = {ast.List: list, ast.Tuple: tuple, ast.Set: frozenset}[type(node)]
    return lambda item: build(part(item) for part in parts)


def _call(node: ast.Call) -> Compiled:
    arguments = [_node(argument) for argument in node.args]
    if node.keywords:
        raise ExpressionError(f"found {_source(node)}, expected arguments without names")
    match node.func:
        case ast.Name(id=name) if name in FUNCTIONS:
            function = FUNCTIONS[name]
            return lambda item: function(*(argument(item) for argument in arguments))
        case ast.Attribute(value=target, attr=name) if name in METHODS:
            inner, kind, method = _node(target), *METHODS[name]
            return lambda item: method(of_kind(inner(item), kind, name), *(argument(item) for argument in arguments))
    known = (*FUNCTIONS, *METHODS)
    called = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
    raise ExpressionError(f"found {_source(node)}, expected one of {', '.join(known)}{did_you_mean(called, known)}")


def _check_public(name: str) -> None:
    if name.startswith("_"):
        raise ExpressionError(f"found {name}, expected a name without a leading underscore")


_COMPILERS: Final[dict[type[ast.expr], Callable[[Any], Compiled]]] = {
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
    ast.Call: _call,
}
