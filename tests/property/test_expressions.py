"""No expression reaches code, and none runs without end: whatever is written, and whatever the value holds."""

from __future__ import annotations

import ast
import builtins
import os
import sys
import types
from dataclasses import dataclass, field
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastembed.pipeline.config.expressions import ExpressionError, compile_expression
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.item import Item


class Tripwire:
    """Code that must not run."""

    def __call__(self, *_: Any) -> Any:
        raise AssertionError("an expression called something of the value")


@dataclass
class Value:
    text: str = "some text"
    number: int = 7
    numbers: list[int] = field(default_factory=lambda: [1, 2, 3])
    mapping: dict[str, Any] = field(default_factory=lambda: {"module": os, "run": eval, "deep": {"frame": sys}})
    tripwire: Tripwire = field(default_factory=Tripwire)
    module: types.ModuleType = builtins
    kind: type = object

    def method(self) -> Any:
        raise AssertionError("an expression called a method of the value")


FORBIDDEN = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.FrameType)

NAMES = st.sampled_from(
    [
        *("item", "value", "key", "meta", "session", "text", "number", "numbers", "mapping", "tripwire", "module"),
        *("kind", "method", "eval", "exec", "open", "print", "getattr", "vars", "dir", "type", "__builtins__"),
        *("__import__", "globals", "len", "max", "any", "__class__", "x"),
    ]
)
ATTRIBUTES = st.sampled_from(
    [
        *("__class__", "__dict__", "__globals__", "__init__", "_item", "value", "mapping", "module", "run", "deep"),
        *("frame", "f_globals", "gi_frame", "modules", "eval", "format", "lower", "upper", "get", "ack", "derive"),
        *("reply", "mro", "text", "numbers", "tripwire", "method", "split", "join", "replace", "encode", "settle"),
    ]
)
CONSTANTS = st.one_of(
    st.integers(-(10**9), 10**9).map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["''", "'a'", "'%999999999d'", "'{0.__class__}'", "None", "True", "1e308", "9**9", "b'x'", "..."]),
)


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.sampled_from(
        ["+", "-", "*", "/", "//", "%", "**", "<<", ">>", "|", "&", "@", "and", "or", "<", "==", "in", "is"]
    )
    return st.one_of(
        st.builds("{}.{}".format, inner, ATTRIBUTES),
        st.builds("({} {} {})".format, inner, binary, inner),
        st.builds("{}({})".format, inner, st.lists(inner, max_size=2).map(", ".join)),
        st.builds("{}[{}]".format, inner, inner),
        st.builds("{}[{}:{}]".format, inner, inner, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("(not {})".format, inner),
        st.builds("(-{})".format, inner),
        st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]"),
        st.builds("[{} for x in {}]".format, inner, inner),
        st.builds("(lambda: {})".format, inner),
        st.builds("(x := {})".format, inner),
    )


EXPRESSIONS = st.recursive(st.one_of(NAMES, CONSTANTS), grown, max_leaves=12)


def reachable(value: Any) -> list[Any]:
    """Return the result and what it contains where an expression made it."""
    if isinstance(value, list | tuple | frozenset):
        return [inner for entry in value for inner in reachable(entry)]
    return [value]


@settings(max_examples=1000, deadline=1000)
@given(EXPRESSIONS)
@example("9**9**9**9")
@example("'a'*10**10")
@example("().__class__.__bases__[0].__subclasses__()")
@example("mapping.deep.frame.modules['os'].system('x')")
@example("value.module.eval('1')")
@example("item.ack.origin")
@example("-" * 800 + "1")
def test_no_expression_reaches_code_or_runs_on(text: str) -> None:
    try:
        expression = compile_expression(text)
    except ExpressionError:
        return
    try:
        result = expression.evaluate(Item(Value(), key="k", meta={"run": eval}))
    except InvalidInput:
        return
    for value in reachable(result):
        assert not isinstance(value, FORBIDDEN)
        assert not callable(value)
        assert not isinstance(value, int) or value.bit_length() <= 4096
        assert not isinstance(value, str) or len(value) <= 1_000_000


@settings(max_examples=300, deadline=1000)
@given(st.text(max_size=200))
def test_any_text_is_an_expression_or_an_expression_error(text: str) -> None:
    try:
        compile_expression(text)
    except ExpressionError:
        return
    ast.parse(text.strip(), mode="eval")


@settings(max_examples=300, deadline=1000)
@given(EXPRESSIONS)
def test_what_compiles_holds_no_name_with_an_underscore_in_front(text: str) -> None:
    try:
        compile_expression(text)
    except ExpressionError:
        return
    for node in ast.walk(ast.parse(text, mode="eval")):
        assert not (isinstance(node, ast.Attribute) and node.attr.startswith("_"))
        assert not (isinstance(node, ast.Name) and node.id.startswith("_"))
        assert not isinstance(node, ast.Lambda | ast.SetComp | ast.DictComp | ast.NamedExpr)
