"""What `docs/plugins.md` calls public is there, is documented, and works for a plug-in that uses all of it."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from fastembed.pipeline.config.load import parse
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.item import Outcome
from fastembed.pipeline.registry import Registry
from fastembed.pipeline.runner import Pipeline
from fastembed.pipeline.testing import run_plan, run_virtual

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "plugins.md").read_text()
PLUGIN = ROOT / "tests" / "typing" / "plugin.py"


def public() -> list[tuple[str, str]]:
    rows = re.findall(r"^\| `(fastembed\.[\w.]+)` \| (.+?) \|", PAGE, re.MULTILINE)
    return [(module, name) for module, names in rows for name in re.findall(r"`(\w+)`", names)]


def test_the_page_names_the_public_modules() -> None:
    modules = {module for module, _ in public()}
    assert modules >= {f"fastembed.pipeline.{name}" for name in ("item", "component", "errors", "testing", "units")}


@pytest.mark.parametrize(("module", "name"), public())
def test_every_public_name_exists_and_is_documented(module: str, name: str) -> None:
    target = getattr(importlib.import_module(module), name)
    assert not isinstance(target, type) or (target.__doc__ or "").strip()


def test_every_name_that_a_plug_in_needs_is_public() -> None:
    used = re.findall(r"^from (fastembed[\w.]*) import (.+)$", PLUGIN.read_text(), re.MULTILINE)
    names = {(module, name) for module, found in used for name in found.split(", ")}
    assert names <= set(public())


def run(steps: str) -> Pipeline:
    text = f"""
version: 1
plugins: [{PLUGIN}]
pipelines:
  numbers:
    source: {{countdown: 4}}
    operators: {steps}
    sink: memory
"""
    found = parse(text, registry=Registry({}, group="fastembed.none"), file="pipelines.yaml", base=ROOT)
    return run_virtual(run_plan(found.pipelines["numbers"]))


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ("[spell]", ["four", "three", "two", "one"]),
        ("[spell, keep: {longer_than: 3}]", ["four", "three"]),
        ("[spell, look_up: {wait: 1s}]", ["FOUR", "THREE", "TWO", "ONE"]),
        ("[spell, digest]", [444, 536, 346, 322]),
        ("[spell, letters]", [*"fourthreetwoone"]),
        ("[spell, lengths]", [4, 5, 3, 3]),
        ("[running_total]", [4, 3, 6, 4]),
        ("[spell, prefix: {words: No}]", ["No four", "No three", "No two", "No one"]),
    ],
)
def test_each_kind_of_component_works_in_a_pipeline(steps: str, expected: list[Any]) -> None:
    pipeline = run(steps)
    assert pipeline.sink.kept == expected
    ended = Outcome.DELIVERED, Outcome.FILTERED
    assert [outcome in ended for outcome in pipeline.source.ends] == [True] * 4


def test_an_error_of_a_plug_in_fails_its_item_alone() -> None:
    pipeline = run("[spell: {most: 3}]")
    assert pipeline.sink.kept == ["three", "two", "one"]
    assert InvalidInput.status == 400
    assert [*pipeline.source.ends].count(Outcome.REJECTED) == 1
