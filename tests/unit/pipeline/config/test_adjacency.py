from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, NewType, Protocol, TypeVar, overload

import pytest

from fastembed.pipeline.component import operator
from fastembed.pipeline.config.adjacency import fits, type_name
from fastembed.pipeline.payload.document import Chunk, Document
from fastembed.pipeline.plan import Configuration
from fastembed.pipeline.registry import Registry

T = TypeVar("T")
Narrow = TypeVar("Narrow", bound=int)
Meters = NewType("Meters", float)


class Closable(Protocol):
    def close(self) -> None: ...


class Base: ...


class Derived(Base): ...


@pytest.mark.parametrize(
    ("given", "wanted", "fit"),
    [
        (int, int, True),
        (Derived, Base, True),
        (Base, Derived, False),
        (str, Any, True),
        (Any, str, True),
        (object, str, True),
        (str, object, True),
        (int | str, int | str | float, True),
        (int | str, int, False),
        (int, int | str, True),
        (list[int], list[str], True),
        (list[int], Sequence[int], True),
        (list[int], dict[str, int], False),
        (int, float, True),
        (float, int, False),
        (Annotated[int, "x"], int, True),
        (Literal["a", "b"], str, True),
        (Literal[1], str, False),
        (T, str, True),
        (Narrow, str, False),
        (Meters, float, True),
        (Base, Closable, True),
        (type(None), int | None, True),
    ],
)
def test_a_type_fits_another(given: Any, wanted: Any, fit: bool) -> None:  # noqa: FBT001 - a table
    assert fits(given, wanted) is fit


def test_types_are_named_as_they_are_written():
    assert type_name(list[int] | None) == "list[int] | None"
    assert type_name(Any) == "Any"


def text(steps: str, *, source: str = "{folder: in}", sink: str = "reply") -> str:
    return f"pipelines:\n  p:\n    source: {source}\n    operators: {steps}\n    sink: {sink}\n"


Problems = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ("[chunk]", ["p.yaml:4:17: found folder before chunk, which gives File (at p.yaml:3:13), expected Document"]),
        (
            "[parse, chunk, chunk]",
            [("p.yaml:4:31: found chunk before chunk-2, which gives Chunk (at p.yaml:4:24), expected Document")],
        ),
        (
            "[parse, {route: [{if: pages, operators: [embed]}, {else: [chunk]}]}]",
            [
                (
                    "p.yaml:4:38: found 'pages' in `pages`, expected a field of Document: blocks, duration_s, file, "
                    "html, markdown, metadata, model, ocr_pages, page_count, parse_seconds, parser, parts, structure, "
                    "title, unread, warnings; "
                    "did you mean 'ocr_pages'?"
                ),
                "p.yaml:4:57: found parse before embed, which gives Document (at p.yaml:4:17), expected Chunk",
            ],
        ),
        (
            "[parse, {fork: {a: [chunk], b: [analyze], join: all}}, chunk]",
            ["p.yaml:4:71: found fork before chunk-2, which gives dict (at p.yaml:4:25), expected Document"],
        ),
        (
            "[parse, {chunk: , if: titel == 'x'}]",
            [
                (
                    "p.yaml:4:38: found 'titel' in `titel == 'x'`, expected a field of Document: blocks, duration_s, "
                    "file, html, markdown, metadata, model, ocr_pages, page_count, parse_seconds, parser, parts, "
                    "structure, title, unread, warnings; "
                    "did you mean 'title'?"
                )
            ],
        ),
    ],
)
def test_steps_that_do_not_fit_are_named_with_both_types_and_places(
    problems: Problems, steps: str, expected: list[str]
) -> None:
    assert problems(text(steps)) == expected


def test_a_sink_must_take_what_comes(problems: Problems):
    assert problems(text("[parse]", sink="{duckdb: x}")) == [
        "p.yaml:5:11: found parse before duckdb, which gives Document (at p.yaml:4:17), expected Chunk"
    ]


def test_a_branch_with_a_sink_is_checked_against_it(problems: Problems):
    found = problems(text("[parse, {route: [{if: title, sink: {duckdb: x}}, {else: }]}]"))
    assert found == ["p.yaml:4:51: found parse before duckdb, which gives Document (at p.yaml:4:17), expected Chunk"]


@pytest.mark.parametrize(
    "steps",
    [
        "[parse, chunk, embed]",
        "[analyze, total]",
        "[parse, {analyze: , if: title}, chunk]",
        "[parse, {route: [{if: page_count > 3, operators: [chunk]}, {else: {sink: reply}}]}, embed]",
        "[parse, {chunk: , if: page_count > 3}, {embed: , if: 'True'}]",
        "[parse, {fork: {a: [chunk], b: {operators: [chunk], sink: reply}}}, embed]",
    ],
)
def test_steps_that_fit_are_let_through(read: Callable[..., Configuration], steps: str) -> None:
    assert read(text(steps)).pipelines["p"]


def test_an_operator_that_gives_what_it_takes_is_seen_through(registry: Registry, problems: Problems):
    @operator
    def same(value: T) -> T:
        return value

    registry.add(same)
    assert problems(text("[parse, same, embed]")) == [
        "p.yaml:4:30: found same before embed, which gives Document (at p.yaml:4:24), expected Chunk"
    ]


def test_the_key_of_a_source_is_checked_too(problems: Problems):
    found = problems(text("[]", source="{folder: in, key: nmae}"))
    assert found == [
        (
            "p.yaml:3:31: found 'nmae' in `nmae`, expected a field of File: "
            "changed_ns, container, inode, mtime_ns, name, path, sha256, size_bytes; did you mean 'name'?"
        )
    ]


@pytest.fixture
def sorting(registry: Registry) -> Registry:
    """Offer an operator whose overloads say what it gives for what: chunks for chunks, numbers for text."""

    @operator
    class Sorting:
        @overload
        def __call__(self, value: Chunk) -> Chunk: ...
        @overload
        def __call__(self, value: Document) -> Document: ...
        @overload
        def __call__(self, value: str) -> list[int]: ...
        def __call__(self, value: Any) -> Any:
            return value

    @operator
    def text_of(document: Document) -> str:
        return document.title

    registry.add(Sorting)
    registry.add(text_of)
    return registry


@pytest.mark.usefixtures("sorting")
def test_what_an_operator_gives_is_what_its_overloads_say_of_what_arrives(
    problems: Problems, read: Callable[..., Configuration]
):
    assert problems(text("[parse, text_of, sorting]", sink="{duckdb: x}")) == [
        "p.yaml:5:11: found sorting before duckdb, which gives list[int] (at p.yaml:4:33), expected Chunk"
    ]
    assert problems(text("[parse, sorting, total]")) == [
        "p.yaml:4:33: found sorting before total, which gives Document (at p.yaml:4:24), expected list[int]"
    ]
    assert read(text("[parse, chunk, sorting]", sink="{duckdb: x}")).pipelines["p"]
    assert read(text("[parse, text_of, sorting, total]")).pipelines["p"]


@pytest.mark.usefixtures("sorting")
def test_what_no_overload_takes_is_refused(problems: Problems):
    assert problems(text("[parse, text_of, tokenize, sorting]")) == [
        (
            "p.yaml:4:43: found tokenize before sorting, which gives list[int] (at p.yaml:4:33), "
            "expected Chunk | Document | str"
        )
    ]


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        (
            "valu > 0",
            "found 'valu' in `valu > 0`, expected a field of int, which has none; the value itself is `value`",
        ),
        ("value.size > 0", "found 'size' in `value.size > 0`, expected a field of int"),
    ],
)
@pytest.mark.parametrize("key", ["if", "latest"])
def test_a_field_that_no_built_in_type_has_is_reported(
    registry: Registry, problems: Problems, key: str, expression: str, found: str
) -> None:
    @operator
    def pages(_document: Document) -> int:
        return 1

    @operator
    async def doubled(number: int) -> int:
        return number

    registry.add(pages)
    registry.add(doubled)
    reported = problems(text(f"[parse, pages, {{doubled: , {key}: {expression}}}]"))
    assert [found in problem for problem in reported] == [True]
