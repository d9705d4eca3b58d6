"""Whatever stands in a file, reading it ends in a configuration or in problems with places."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastembed.pipeline.config.load import parse
from fastembed.pipeline.config.mermaid import mermaid
from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.plan import Configuration
from fastembed.pipeline.registry import Registry

TEXT = """\
version: 1
defaults: {queue: 64, timeout: 30s, retry: {attempts: 2}}
pipelines:
  p:
    source: {folder: in, match: "*.md", settle: 2s, queue: 5s, overflow: drop_oldest, key: name}
    operators:
      - parse: {ocr: auto}
        timeout: {total: 10m}
      - chunk: 400
      - route:
          - if: value.index > 1
            operators: [embed: {model: auto}]
          - else: {operators: [embed], sink: {duckdb: y}}
      - fork: {a: [embed], b: []}
    sink: {duckdb: x, table: "${T:-t}"}
    on_error: {folder: failed}
tests: [{pipeline: p, give: 1, expect: [2], fake: {embed: 1}}]
"""
PLACED = re.compile(
    r"p\.yaml:\d+:\d+: (?:found |not valid YAML|the pipeline |the test |'\w+' is missing|no item reaches )"
)
PIECES = re.split(r"(\W)", TEXT)
JUNK = st.sampled_from(
    [
        *set(PIECES),
        "",
        "\t",
        "&a",
        "*a",
        "<<",
        "!!int",
        "- ",
        "null",
        "${X}",
        "${",
        "[",
        "}",
        "'",
        "1e999",
        ".nan",
        "-1",
        "\x00",
    ]
)


@st.composite
def broken(draw: st.DrawFn) -> str:
    pieces = list(PIECES)
    for _ in range(draw(st.integers(1, 4))):
        pieces[draw(st.integers(0, len(pieces) - 1))] = draw(JUNK)
    return "".join(pieces)


def outcome(text: str, registry: Registry) -> Configuration | list[str]:
    try:
        return parse(text, registry=registry, file="p.yaml", base=Path("/base"), environ={})
    except ConfigError as error:
        return error.problems


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(broken())
def test_a_broken_file_gives_problems_with_places_and_nothing_else(registry: Registry, text: str) -> None:
    found = outcome(text, registry)
    if isinstance(found, Configuration):
        assert all(mermaid(plan).startswith("flowchart") for plan in found.pipelines.values())
    else:
        assert found
        assert [problem for problem in found if not PLACED.match(problem)] == []


def test_the_file_itself_is_fine(registry: Registry):
    assert parse(TEXT, registry=registry, environ={}).pipelines
