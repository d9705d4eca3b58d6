"""Lists of steps that pipelines share."""

from __future__ import annotations

import pytest
import yaml
from jsonschema import Draft202012Validator

from fastembed.assembly import make_registry
from fastembed.pipeline.config.load import parse
from fastembed.pipeline.config.schema import schema
from fastembed.pipeline.errors import ConfigError

REGISTRY = make_registry()
FILE = """
version: 1
templates:
  clean:
    - map: value.strip()
    - filter: value != ''
  loud: [template: clean, map: value.upper()]
  broken: [no_such_operator]
pipelines:
  a: {source: {http: POST /a}, operators: [template: loud, template: clean], sink: reply}
  b:
    source: {http: POST /b}
    operators:
      - fork: {one: [template: clean], two: []}
    sink: reply
"""


def test_a_template_stands_for_its_steps_wherever_it_is_used() -> None:
    found = parse(FILE, registry=REGISTRY).pipelines
    assert [step.id for step in found["a"].steps] == ["map", "filter", "map-2", "map-3", "filter-2"]
    (fork,) = found["b"].steps
    assert [[step.id for step in branch.steps] for branch in fork.branches] == [["map", "filter"], []]


def test_the_schema_for_editors_knows_templates() -> None:
    Draft202012Validator(schema(REGISTRY)).validate(yaml.safe_load(FILE.replace("[no_such_operator]", "[]")))


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ("[template: claen]", "did you mean 'clean'?"),
        ("[{template: clean, id: x}]", "found id beside template"),
        ("[template: 3]", "found the template"),
        ("[template: round]", "round within itself"),
        ("[template: broken]", "no_such_operator"),
    ],
)
def test_what_is_wrong_with_a_use_is_said_at_its_place(steps: str, words: str) -> None:
    text = FILE.replace("  broken:", "  round: [template: round]\n  broken:").replace(
        "[template: loud, template: clean]", steps
    )
    with pytest.raises(ConfigError) as refused:
        parse(text, registry=REGISTRY)
    (problem,) = refused.value.problems
    assert words in problem
    assert problem.startswith("pipelines.yaml:")


def test_templates_of_a_wrong_form_are_reported() -> None:
    with pytest.raises(ConfigError, match="expected a list of operators"):
        parse("version: 1\ntemplates: {a: 3}\npipelines: {}\n", registry=REGISTRY)
    with pytest.raises(ConfigError, match="which has none"):
        parse(FILE.replace("templates:", "defaults: {}\nunused:"), registry=REGISTRY)
