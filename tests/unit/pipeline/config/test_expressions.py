from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from fastembed.pipeline.config.expressions import ExpressionError, compile_expression, value_fields
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.item import Item
from fastembed.pipeline.plan import Place


@dataclass
class Page:
    text: str = "Hello World"
    pages: int = 12
    tags: list[str] = field(default_factory=lambda: ["a", "b"])
    score: float = 0.5
    final: bool = False
    inner: dict[str, Any] = field(default_factory=lambda: {"kind": "table", "run": print})
    vector: Any = field(default_factory=lambda: np.arange(3))
    key: str = "of the value"

    def method(self) -> int:
        return 1


def item(value: Any = None) -> Item[Any]:
    return Item(Page() if value is None else value, key="s1", meta={"name": "x.pdf", "size": 3}, priority=2)


def evaluate(text: str, value: Any = None) -> Any:
    return compile_expression(text).evaluate(item(value))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("value.pages > 10", True),
        ("pages > 10 and not final", True),
        ("item.final or item.value.final", False),
        ("key", "s1"),
        ("session == key == item.key", True),
        ("value.key", "of the value"),
        ("item.priority", 2),
        ("meta.name.lower().endswith('.pdf')", True),
        ("meta['size'] + 1", 4),
        ("meta.get('none', 7)", 7),
        ("text[:5] + '!'", "Hello!"),
        ("tags[-1]", "b"),
        ("'a' in tags and 'z' not in tags", True),
        ("len(tags) * 2 - 1", 3),
        ("max(pages, 20), min(tags)", (20, "a")),
        ("abs(-score) // 1", 0.0),
        ("2 ** 10 % 1000", 24),
        ("'long' if pages > 10 else 'short'", "long"),
        ("inner.kind in {'table', 'figure'}", True),
        ("vector[1] == 1", True),
        ("any([final, pages == 12]) and all([])", True),
        ("1 < 2 < 3", True),
        ("1 < 3 < 2", False),
        ("None is None", True),
        ("[1, 'x', None, True]", [1, "x", None, True]),
        ("  pages\n", 12),
        ("text.upper().count('L')", 3),
        ("+pages - -1", 13),
    ],
)
def test_an_expression_reads_the_item_and_its_value(text: str, expected: object) -> None:
    assert evaluate(text) == expected


def test_fields_of_a_mapping_are_its_keys():
    assert evaluate("left.n + value.right", {"left": {"n": 1}, "right": 2}) == 3


def test_or_and_and_stop_early():
    assert evaluate("pages or nothing") == 12
    assert evaluate("final and nothing") is False


def test_a_condition_is_true_or_false_and_a_key_is_text_or_none():
    assert compile_expression("pages", "truth").evaluate(item()) is True
    assert compile_expression("pages", "key").evaluate(item()) == "12"
    assert compile_expression("None", "key").evaluate(item()) is None
    with pytest.raises(InvalidInput, match=r"expression `tags`: found list, expected a key: text or a number"):
        compile_expression("tags", "key").evaluate(item())


def test_an_expression_knows_its_text_and_place():
    place = Place("p.yaml", 3, 4)
    expression = compile_expression("1 + 1", "any", place)
    assert (expression.text, expression.place) == ("1 + 1", place)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("value.__class__", "found __class__, expected a name without a leading underscore"),
        ("__import__('os')", "found `__import__('os')`, expected one of len, min, max, abs, any, all, sum"),
        ("open('x')", "found `open('x')`, expected one of len, min"),
        ("value.method()", "found `value.method()`, expected one of len"),
        ("text.lowr()", "did you mean 'lower'?"),
        ("text.format(1)", "found `text.format(1)`, expected one of len"),
        ("[x for x in tags for y in tags]", "expected one list and one name: [x for x in value.words]"),
        ("[x for x, y in tags]", "expected one list and one name: [x for x in value.words]"),
        ("[value for value in tags]", "found the name value in `[value for value in tags]`, expected one that means"),
        ("[[x for x in tags] for x in tags]", "found the name x in `[x for x in tags]`, expected one that means"),
        ("[_x for _x in tags]", "found _x, expected a name without a leading underscore"),
        ("{x for x in tags}", "expected names, fields, comparisons"),
        ("{x: 1 for x in tags}", "expected names, fields, comparisons"),
        ("lambda: 1", "found `lambda: 1`, expected names, fields"),
        ("f'{text!r}'", "expected plain {names} in it"),
        ("f'{pages:>999999}'", "expected plain {names} in it"),
        ("(a := 1)", "expected names, fields"),
        ("await x", "expected names, fields"),
        ("{**meta}", "found `{**meta}`, expected a name before each value"),
        (
            "9 ** 9 ** 9",
            "found `9 ** 9 ** 9`, expected something that can be computed: found a power of more than 4096",
        ),
        ("pages + 9 ** 999 * 9 ** 999", "found an integer of more than 4096 bits"),
        ("10.0 ** 400", "result out of range"),
        ("1 / 0", "division by zero"),
        ("'x' * 9", "found str, expected a number"),
        ("'%1000000d' % 1", "found str, expected a number"),
        ("len(*tags)", "found `*tags`, expected names"),
        ("max(tags, key=len)", "found `max(tags, key=len)`, expected arguments without names"),
        ("b'x'", "found `b'x'`, expected a number, text, True, False or None"),
        ("...", "found `...`, expected a number"),
        ("1 << 99", "found `1 << 99`, expected one of + - * / // % **"),
        ("~1", "found `~1`, expected not, - or + before a value"),
        ("len", "found len without its parentheses, expected len(...)"),
        ("a = 1", "found 'a = 1', expected an expression (invalid syntax"),
        ("", "found '', expected an expression"),
        ("import os", "expected an expression (invalid syntax)"),
        ("(" * 500, "expected an expression ("),
        ("-" * 900 + "1", "found an expression of more than 300 parts"),
        ("1" + "+1" * 200, "found an expression of more than 300 parts"),
        ("1" * 1001, "found an expression of 1001 characters, expected at most 1000"),
    ],
)
def test_what_is_not_allowed_is_refused_when_it_is_loaded(text: str, expected: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nothing > 1", "found no field 'nothing' in Page"),
        ("meta.nothing", "found no 'nothing' in the keys name, size"),
        ("meta['nothing']", "found no 'nothing' in the mapping"),
        ("tags[5]", "list index out of range"),
        ("pages / 0", "division by zero"),
        ("text > 1", "'>' not supported between instances of 'str' and 'int'"),
        ("value.method", "found a method, expected a plain value"),
        ("inner.run", "found a builtin_function_or_method, expected a plain value"),
        ("inner['run']", "found a builtin_function_or_method, expected a plain value"),
        ("text * 9", "found str, expected a number"),
        ("tags + 1", "found list, expected a number"),
        ("pages ** 9 ** 5", "found a power of more than 4096 bits"),
        ("[x for x in text]", "found str, expected a list after `in`"),
        ("sum(tags)", "found str, expected a number"),
        ("seconds('yesterday')", "Invalid isoformat string"),
        ("str(value)", "found Page, expected text, a number, a list or a mapping"),
        ("pages.lower()", "found int before .lower(), expected str"),
        ("len(pages)", "found int, expected something with a length"),
        ("pages[0]", "found int, expected a list, text, mapping or array before [ ]"),
    ],
)
def test_what_does_not_fit_the_item_is_invalid_input_with_the_text(text: str, expected: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        evaluate(text)
    assert str(caught.value).startswith(f"expression `{text}`: ")
    assert expected in str(caught.value)


def endless() -> Iterator[int]:
    while True:
        yield 1


@pytest.mark.parametrize("text", ["all(value)", "max(value)", "2 in value", "value.gi_frame", "len(value)"])
def test_a_generator_is_never_walked_nor_opened(text: str) -> None:
    with pytest.raises(InvalidInput):
        evaluate(text, endless())


@pytest.mark.parametrize("value", [sys, sys._getframe(), object, endless, [*range(3)].append])
def test_code_is_never_a_value(value: Any) -> None:
    with pytest.raises(InvalidInput, match="expected a plain value"):
        evaluate("left.f_globals", {"left": value})


def test_a_huge_range_is_not_walked():
    with pytest.raises(InvalidInput, match="expected at most 1000000"):
        evaluate("max(value)", range(10**12))


def test_the_fields_that_an_expression_needs_are_known():
    assert value_fields("pages > 1 and value.text == key and item.final and item.seq and len(meta.x)") == {
        "pages",
        "text",
        "final",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[tag.upper() for tag in tags]", ["A", "B"]),
        ("[tag for tag in tags if tag != 'a']", ["b"]),
        ("[[tag + other for other in tags] for tag in tags]", [["aa", "ab"], ["ba", "bb"]]),
        ("any(tag == 'b' for tag in tags)", True),
        ("sum([len(tag) for tag in tags])", 2),
        ("sum(x * 2 for x in [1, 2, 3])", 12),
        ("', '.join(tags)", "a, b"),
        ("f'{pages} pages of {text}'", "12 pages of Hello World"),
        ("{'text': text, 'n': pages}", {"text": "Hello World", "n": 12}),
        ("{'a': 1}.get('b', 2)", 2),
        ("tags + ['c']", ["a", "b", "c"]),
        ("text.replace('l', 'L')", "HeLLo WorLd"),
        ("int('12') + float('0.5')", 12.5),
        ("round(3.14159, 2)", 3.14),
        ("sorted([3, 1])", [1, 3]),
        ("isotime(0)", "1970-01-01T00:00:00Z"),
        ("seconds('1970-01-02')", 86400.0),
        ("seconds('1970-01-01T01:00:00+01:00')", 0.0),
        ("now() > seconds('2020-01-01')", True),
    ],
)
def test_lists_texts_and_times_can_be_made(text: str, expected: object) -> None:
    assert compile_expression(text).evaluate(item()) == expected


def test_comprehensions_do_not_go_on_for_long() -> None:
    many = Item([0] * 2000)
    with pytest.raises(InvalidInput, match="found more than 100000 rounds, expected fewer"):
        compile_expression("[[x for x in value] for y in value]").evaluate(many)
    assert len(compile_expression("[x for x in value]").evaluate(many)) == 2000


def test_names_of_comprehensions_are_no_fields_of_the_value() -> None:
    assert value_fields("[tag + text for tag in tags]") == {"text", "tags"}
