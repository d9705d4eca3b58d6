from __future__ import annotations

from collections.abc import Callable

import pytest

from fastembed.pipeline.config.guarantees import guarantee
from fastembed.pipeline.plan import Configuration

Read = Callable[..., Configuration]


@pytest.mark.parametrize(
    ("pipeline", "expected"),
    [
        ("{source: {folder: in}, operators: [parse, chunk], sink: {duckdb: x}}", "exactly once"),
        (
            "{source: {folder: in}, operators: [parse, {chunk: , order: key}], sink: {duckdb: x}}",
            "exactly once, in key order",
        ),
        ("{source: {folder: in}, sink: {folder: out}}", "at least once"),
        (
            "{source: {folder: in}, operators: [parse, chunk, {fork: {a: {sink: reply}, b: }}], sink: {duckdb: x}}",
            "at least once",
        ),
        ("{source: {http: x}, sink: {duckdb: x}}", "at most once, unordered"),
        ("{source: {folder: in, overflow: drop_newest}, sink: {folder: out}}", "at most once"),
        ("{source: {folder: in}, operators: [{analyze: , latest: true}], sink: {folder: out}}", "at most once"),
        ("{source: {folder: in}, operators: [{analyze: , on_error: skip}], sink: {folder: out}}", "at most once"),
        (
            (
                "{source: {folder: in}, operators: [{route: [{if: name, operators: [{analyze: , order: none}]}, "
                "{else: }]}], "
                "sink: {folder: out}}"
            ),
            "at least once, unordered",
        ),
        ("{source: {websocket: x, key: session, overflow: drop_oldest}, sink: reply}", "at most once, in key order"),
        ("{source: {folder: in}, operators: [vad], sink: {folder: out}}", "at least once, in key order"),
    ],
)
def test_a_guarantee_follows_from_the_components(read: Read, pipeline: str, expected: str) -> None:
    assert str(guarantee(read(f"pipelines: {{p: {pipeline}}}").pipelines["p"])) == expected


def test_a_guarantee_gives_its_reasons(read: Read):
    text = """pipelines:
  p:
    source: {http: x, overflow: drop_oldest}
    operators: [{transcribe: , latest: 'True', on_error: skip, queue: 3}]
    sink: reply
  q: {source: {folder: x}, sink: {folder: y}}
"""
    plans = read(text).pipelines
    assert guarantee(plans["p"]).reasons == (
        "http cannot repeat an item after a restart",
        "http: overflow drop_oldest",
        "transcribe: a newer item replaces a waiting one (latest)",
        "transcribe: on_error skip drops what fails",
    )
    assert guarantee(plans["q"]).reasons == ("folder-2 may write an item again after a restart",)
