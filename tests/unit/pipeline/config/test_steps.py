from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fastembed.pipeline.plan import Branch, Configuration, ForkPlan, RoutePlan, StepPlan
from fastembed.pipeline.policy import BatchPolicy, QueuePolicy, RetryPolicy, Timeouts

Step = Callable[..., Any]
Problems = Callable[..., list[str]]
Read = Callable[..., Configuration]


def test_a_bare_name_is_an_operator_with_its_defaults(step: Step):
    found = step("- embed")
    assert isinstance(found, StepPlan)
    assert (found.id, found.component.name, found.options["model"]) == ("embed", "embed", "auto")
    assert (found.order, found.workers, found.on_error, found.replicas) == (None, None, "fail", 1)


def test_a_mapping_sets_options_and_its_siblings_say_how_it_runs(step: Step):
    found = step(
        """
- embed: {model: bge}
  id: vectors
  if: value.pages > 1
  batch: {max: 8, tokens: 4096, wait: 4ms}
  workers: 2
  order: key
  latest: not item.final
  timeout: {first: 1s, idle: 500ms, total: 10m}
  retry: {attempts: 3, base: 50ms, max: 2s}
  on_error: skip
  queue: 5s
  replicas: 1
"""
    )
    assert found.id == "vectors"
    assert found.options["model"] == "bge"
    assert found.condition.text == "value.pages > 1"
    assert found.latest.text == "not item.final"
    assert found.batch == BatchPolicy(8, 4096.0, 0.004)
    assert (found.workers, found.order, found.on_error, found.replicas) == (2, "key", "skip", 1)
    assert found.timeouts == Timeouts(1.0, 0.5, 600.0)
    assert found.retry == RetryPolicy(3, 0.05, 2.0)
    assert found.queue == QueuePolicy(None, None, 5.0)
    assert str(found.place) == "p.yaml:6:9"


def test_a_one_to_one_operator_of_values_may_have_a_cache(step: Step):
    assert step("- transcribe:\n  cache: 1000").cache_entries == 1000


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- embed:\n  replicas: 3", "found replicas: 3 for embed, expected 1 in this version"),
        ("- embed:\n  cache: 9", "found cache for embed, which takes batches, expected it on a one-to-one operator"),
        ("- chunk:\n  cache: 9", "found cache for chunk, which gives several results an item, expected it on a"),
        ("- vad:\n  cache: 9", "found cache for vad, which takes a whole stream, expected it on a one-to-one operator"),
    ],
)
def test_a_key_that_the_engine_cannot_honour_is_refused(step_problems: Problems, text: str, problem: str) -> None:
    assert any(found.startswith(problem) for found in step_problems(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("queue: 16", QueuePolicy(16)),
        ("queue: 64MiB", QueuePolicy(None, 64 * 2**20)),
        ("queue: 250ms", QueuePolicy(None, None, 0.25)),
        ("queue: {items: 9, bytes: 1kB, seconds: 1m}", QueuePolicy(9, 1000, 60.0)),
    ],
)
def test_a_queue_is_bounded_in_items_bytes_or_seconds(step: Step, text: str, expected: QueuePolicy) -> None:
    assert step(f"- embed:\n  {text}").queue == expected


def test_short_forms_of_batch_timeout_and_retry(step: Step):
    found = step("- embed:\n  batch: 8\n  timeout: 10s\n  retry: 2")
    assert (found.batch, found.timeouts, found.retry) == (BatchPolicy(8), Timeouts(None, None, 10.0), RetryPolicy(2))


def test_a_bare_scalar_sets_the_primary_option(step: Step):
    assert step("- chunk: 200", before="- parse").options == {"tokens": 200, "overlap": 40}


def test_true_is_an_expression(step: Step):
    assert step("- analyze:\n  latest: true").latest.text == "True"


def test_steps_of_one_operator_get_names_of_their_own(read: Read):
    text = "pipelines: {p: {source: {http: x}, operators: [analyze, analyze, {analyze: , id: last}], sink: reply}}"
    steps = read(text).pipelines["p"].steps
    assert [s.id for s in steps] == ["analyze", "analyze-2", "last"]


def test_a_route_takes_the_first_branch_that_holds(step: Step):
    found = step(
        """
- route:
    - if: value.pages > 10
      operators: [analyze, {transcribe: {model: big}}]
    - if: key == 'x'
      id: special
      sink: {folder: special}
    - else: [analyze]
"""
    )
    assert isinstance(found, RoutePlan)
    assert [b.name for b in found.branches] == ["branch-1", "special", "else"]
    first, special, other = found.branches
    assert [s.id for s in first.steps] == ["analyze", "transcribe"]
    assert first.condition is not None
    assert special.sink is not None
    assert special.sink.component.name == "folder"
    assert (other.condition, [s.id for s in other.steps]) == (None, ["analyze-2"])


def test_else_may_be_a_mapping_or_nothing(step: Step):
    assert step("- route: [{if: key, operators: [analyze]}, {else: {sink: reply}}]").branches[1].sink.id == "reply"
    assert step("- route: [{if: key, operators: [analyze]}, {else: }]").branches[1] == Branch("else")


@pytest.mark.parametrize(
    "text",
    ["- fork: {a: [analyze], b: [transcribe], join: all}", "- fork: {a: [analyze], b: [transcribe]}\n  join: all"],
)
def test_a_fork_gives_the_item_to_every_branch(step: Step, text: str) -> None:
    found = step(text)
    assert isinstance(found, ForkPlan)
    assert ([b.name for b in found.branches], found.join) == (["a", "b"], "all")


def test_a_fork_with_sinks_of_its_own(step: Step):
    found = step("- fork: {keep: {operators: [analyze], sink: {folder: out}}, go: []}")
    assert found.join == "none"
    assert found.branches[0].sink.component.name == "folder"
    assert found.branches[1].sink is None


RESERVED = "id, if, batch, workers, order, latest, timeout, retry, on_error, queue, cache, replicas"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- 3", "found 3, expected an operator's name, or a mapping of its name to its options"),
        ("- {if: key}", "found only if, expected the name of an operator too"),
        (
            "- anlyze",
            (
                "found 'anlyze', expected an operator: one of analyze, chunk, decode, "
                "embed, parse, tokenize, total, "
                "transcribe, vad; did you mean 'analyze'?"
            ),
        ),
        (
            "- reply",
            (
                "found 'reply', which is a sink, expected an operator: one of analyze, chunk, decode, "
                "embed, parse, tokenize, "
                "total, transcribe, vad"
            ),
        ),
        (
            "- analyze:\n  bacth: 3",
            (f"found the unknown key 'bacth' beside analyze, expected one of {RESERVED}; did you mean 'batch'?"),
        ),
        (
            "- analyze:\n  embed:",
            "found a second operator 'embed' beside 'analyze', expected one a step: put a dash before it",
        ),
        (
            "- embed: {modle: x}",
            "found the unknown key 'modle', expected one of key, model, token; did you mean 'model'?",
        ),
        ("- embed: {model: 3}", "found 3, expected text"),
        ("- embed: bge", "found 'bge' for embed, expected a mapping of its options: one of model, key, token"),
        ("- analyze: 3", "found 3 for analyze, expected no option"),
        ("- vad: {silence: 500}", "found 500, expected a duration such as 4ms, 2s or 10m"),
        ("- vad: {silence: 5 parsecs}", "found '5 parsecs', expected a duration such as 4ms, 2s or 10m"),
        ("- vad: {buffer: 5s}", "found '5s', expected a size such as 500kB or 64MiB"),
        ("- parse: {ocr: atuo}", "found 'atuo', expected 'auto', 'never' or 'always'; did you mean 'auto'?"),
        ("- tokenize: {names: [a, 2]}", "found 2, expected text"),
        ("- tokenize: {names: a}", "found 'a', expected a list"),
        ("- tokenize: {ratio: yes}", "found 'yes', expected a number"),
        ("- tokenize: {ratio: true}", "found true, expected a number"),
        ("- transcribe: {model: [a]}", "found a list of 1, expected text"),
        ("- transcribe: {model: {a: 1}}", "found a mapping (a), expected text"),
        ("- transcribe: {model: }", "found nothing, expected text"),
        ("- analyze:\n  workers: 0", "found 0, expected a number greater than or equal to 1"),
        ("- analyze:\n  workers: yes", "found 'yes', expected an integer"),
        ("- analyze:\n  workers: '2'", "found '2', expected an integer"),
        ("- analyze:\n  workers: 1.5", "found 1.5, expected an integer"),
        ("- analyze:\n  order: stirct", "found 'stirct', expected 'strict', 'key' or 'none'; did you mean 'strict'?"),
        ("- analyze:\n  on_error: ignore", "found 'ignore', expected 'fail', 'skip' or 'pass'"),
        ("- analyze:\n  queue: 5x", "found '5x', expected items (64), seconds (5s) or bytes (64MiB)"),
        ("- analyze:\n  queue: 0", "found 0, expected a number greater than or equal to 1"),
        (
            "- analyze:\n  queue: {item: 3}",
            ("found the unknown key 'item', expected one of bytes, items, seconds; did you mean 'items'?"),
        ),
        ("- analyze:\n  timeout: 10", "found 10, expected a duration such as 4ms, 2s or 10m"),
        (
            "- analyze:\n  timeout: {totl: 1s}",
            ("found the unknown key 'totl', expected one of first, idle, total; did you mean 'total'?"),
        ),
        ("- analyze:\n  retry: -1", "found -1, expected a number greater than or equal to 0"),
        ("- embed:\n  batch: {max: 0}", "found 0, expected a number greater than or equal to 1"),
        ("- analyze:\n  if: value.x(", "found 'value.x(', expected an expression ('(' was never closed)"),
        ("- analyze:\n  if: [1]", "found a list of 1, expected an expression such as value.pages > 10"),
        ("- analyze:\n  if: open('x') == 1", None),
        ("- analyze:\n  id: 3", "found 3, expected a name that no other step of the pipeline has"),
        (
            "- route: [{if: key, operators: [analyze]}]",
            "found a route without else, expected a last branch {else: {...}}",
        ),
        ("- route: 3", "found 3, expected a list of branches, the last one `else`"),
        ("- route: [{else: }, {if: key}, {else: }]", "found else before another branch, expected it last"),
        ("- route: [{operators: []}, {else: }]", "found a branch without if, expected {if: ..., operators: [...]}"),
        (
            "- route: [{if: key, operator: []}, {else: }]",
            ("found the unknown key 'operator', expected one of if, id, operators, sink; did you mean 'operators'?"),
        ),
        ("- route: [{if: key}, {else: }]\n  workers: 2", "found the unknown key 'workers' beside route, expected id"),
        ("- fork: {}", "found a fork without a branch, expected {name: [operators]}"),
        ("- fork: [analyze]", "found a list of 1, expected a mapping of branch names to lists of operators"),
        (
            "- fork: {a: [analyze], b: {sink: reply}, join: all}",
            ("found a sink in the branch 'b', expected none: join: all waits for its result"),
        ),
        ("- fork: {a: 3}", "found 3, expected a list of operators, or {operators: [...], sink: ...}"),
    ],
)
def test_what_is_wrong_with_a_step_is_said(step_problems: Problems, text: str, expected: str | None) -> None:
    found = step_problems(text)
    assert len(found) == 1
    assert found[0] == expected or expected is None


def test_an_id_given_twice_is_an_error(step_problems: Problems):
    expected = "found the id 'a' again, expected a name that no other step of the pipeline has"
    assert step_problems("- {analyze: , id: a}\n- {embed: , id: a}") == [expected]


def test_every_problem_of_a_step_is_reported_at_once_in_file_order(problems: Problems):
    text = """version: 1
pipelines:
  p:
    source: {http: POST /x, overflow: rejct}
    operators:
      - embed: {modle: x}
        workers: none
        queue: 0
      - nothing
    sink: replay
"""
    assert [problem.split(": found")[0] for problem in problems(text)] == [
        "p.yaml:4:39",
        "p.yaml:6:17",
        "p.yaml:7:18",
        "p.yaml:8:16",
        "p.yaml:9:9",
        "p.yaml:10:11",
    ]
