"""Expressions of the configuration: a small, safe part of Python, compiled once to closures.

Names: `item`, `value`, `key` (alias `session`), `meta`, and the fields of the value. Attributes without underscores,
comparisons, `and or not in is`, `a if b else c`, arithmetic on numbers, joining text, subscripts, literals, f-strings,
list comprehensions over one list, calls of `FUNCTIONS` and of the methods in `METHODS`. There are no other loops,
lambdas or calls, so an expression ends; sizes and rounds are bounded, so it ends soon; functions, classes, modules and
frames cannot be reached, so nothing can be run.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, Final, Literal

from fastembed.pipeline.config.compiling import NAMES, Compiler, ExpressionError, bound_names
from fastembed.pipeline.config.evaluation import FUNCTIONS, ITEM_FIELDS
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.item import Item
from fastembed.pipeline.plan import NOWHERE, Expression, Place

Result = Literal["any", "truth", "key"]

MAX_TEXT: Final = 1000
_MAX_NODES: Final = 300


def compile_expression(text: str, result: Result = "any", place: Place = NOWHERE) -> Expression:
    """Compile `text`; result "truth" makes it True or False, "key" text or None.

    Raises ExpressionError. Evaluating raises InvalidInput, which names the expression, where the item does not fit.
    """
    run = Compiler().compile(_parsed(text))
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
    tree = _parsed(text)
    own = bound_names(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="value"), attr=name):
                names.add(name)
            case ast.Attribute(value=ast.Name(id="item"), attr=name) if name not in ITEM_FIELDS:
                names.add(name)
            case ast.Name(id=name) if name not in NAMES and name not in FUNCTIONS and name not in own:
                names.add(name)
    return frozenset(names)


def constant(text: str) -> bool | None:
    """Return whether `text` holds for every item, or for none; None where it depends. Raises ExpressionError."""
    if any(isinstance(node, ast.Name) for node in ast.walk(_parsed(text))):  # also `now()`
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
