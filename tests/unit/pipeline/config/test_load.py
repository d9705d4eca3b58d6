from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from fastembed.pipeline.config.load import Report, lint, load, parse
from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.plan import Configuration
from fastembed.pipeline.policy import QueuePolicy, RetryPolicy, Timeouts
from fastembed.pipeline.registry import Registry

Read = Callable[..., Configuration]
Problems = Callable[..., list[str]]

DESIGN = """\
version: 1
plugins: [./my_operators.py]
defaults: {queue: 64, timeout: 30s, drain: 20s}

devices:                       # what the residency planner may use
  npu: {memory: 12GiB, inflight: 1}
  cpu: {inflight: 2}

models:
  gemma-3n-4b: {task: chat, from: ~/models/gemma-3n-E4B-it-int4-ov, on: [npu, gpu, cpu], fallback: gemma-3n-2b}
  phi-4-mini: {task: code, from: OpenVINO/Phi-4-mini-instruct-int4-ov, on: [gpu, cpu], cache: blobs}

pipelines:
  embeddings:
    source: {http: POST /v1/embeddings, overflow: reject}
    operators:
      - analyze
      - shout: 2
      - embed: {model: auto}
        batch: {max: 32, tokens: 8192, wait: 4ms}
    sink: reply

  transcription:
    source: {websocket: /v1/realtime, key: session, queue: 5s, overflow: drop_oldest}
    operators:
      - vad: {silence: 500ms}
      - transcribe: {model: auto}
        latest: not item.final        # a newer partial replaces a waiting one
        on_error: skip
    sink: reply

  papers:
    source: {folder: inbox, match: "**/*.{pdf,docx,pptx,xlsx,html,md,png,jpg}", settle: 2s}
    operators:
      - parse: {ocr: auto}
        workers: 1                    # killable subprocess
        timeout: 10m
        retry: 1
      - chunk: {tokens: 400, overlap: 40}
      - embed: {model: auto}
        batch: {max: 32, wait: 50ms}
    sink: {duckdb: data/lake.duckdb, table: chunks}
    on_error: {folder: inbox/failed}
"""

PLUGIN = """\
from fastembed.pipeline.component import operator

@operator
class Shout:
    def __init__(self, times: int = 1) -> None:
        self.times = times

    def __call__(self, value: object) -> object:
        return value
"""


@pytest.fixture
def design(read: Read, tmp_path: Path) -> Configuration:
    (tmp_path / "my_operators.py").write_text(PLUGIN)
    return read(DESIGN)


def test_the_file_of_the_design_is_read(design: Configuration, tmp_path: Path):
    assert list(design.pipelines) == ["embeddings", "transcription", "papers"]
    papers = design.pipelines["papers"]
    assert papers.source.options == {
        "path": tmp_path / "inbox",
        "match": "**/*.{pdf,docx,pptx,xlsx,html,md,png,jpg}",
        "settle": 2.0,
    }
    assert [step.id for step in papers.steps] == ["parse", "chunk", "embed"]
    assert papers.sink.options["path"] == tmp_path / "data/lake.duckdb"
    assert papers.on_error is not None
    assert papers.on_error.options == {"path": tmp_path / "inbox/failed"}
    assert (papers.drain_s, papers.timeout_s, papers.base) == (20.0, None, tmp_path)


def test_the_source_has_its_queue_overflow_and_key(design: Configuration):
    source = design.pipelines["transcription"].source
    assert source.queue == QueuePolicy(None, None, 5.0, "drop_oldest")
    assert source.key is not None
    assert design.pipelines["embeddings"].source.queue == QueuePolicy(64, overflow="reject")


def test_a_plugin_named_by_the_file_is_used(design: Configuration):
    step = design.pipelines["embeddings"].steps[1]
    assert (step.id, step.options) == ("shout", {"times": 2})


def test_sections_are_checked_by_the_types_of_the_caller(design: Configuration, tmp_path: Path):
    assert design.sections["devices"]["npu"].memory == 12 * 2**30
    assert design.sections["models"]["phi-4-mini"].on == ["gpu", "cpu"]
    assert design.sections["models"]["phi-4-mini"].cache == tmp_path / "blobs"


def test_defaults_hold_where_a_step_does_not_say(read: Read):
    text = """
defaults: {queue: 5s, timeout: {idle: 3s}, retry: 2, drain: 1m}
pipelines:
  p: {source: {http: x}, operators: [transcribe, {transcribe: , retry: 0, timeout: 1s}, analyze], sink: reply}
  q: {source: {http: x, queue: 9}, sink: reply, drain: 2s, timeout: 1h}
"""
    found = read(text).pipelines
    first, second, plain_function = found["p"].steps
    assert (first.timeouts, first.retry) == (Timeouts(idle_s=3.0), RetryPolicy(2))
    assert (second.timeouts, second.retry) == (Timeouts(total_s=1.0), RetryPolicy(0))
    assert (plain_function.timeouts, plain_function.retry) == (Timeouts(), RetryPolicy())
    assert (found["p"].source.queue, found["p"].drain_s) == (QueuePolicy(None, None, 5.0), 60.0)
    assert (found["q"].source.queue, found["q"].drain_s, found["q"].timeout_s) == (QueuePolicy(9), 2.0, 3600.0)


def test_options_may_stand_under_the_component_or_beside_it(read: Read, tmp_path: Path):
    text = "pipelines: {p: {source: {folder: {path: in, match: '*.md'}, settle: 1s}, sink: {folder: /abs/out}}}"
    plan = read(text).pipelines["p"]
    assert plan.source.options == {"path": tmp_path / "in", "match": "*.md", "settle": 1.0}
    assert plan.sink.options == {"path": Path("/abs/out")}


def test_a_home_folder_is_expanded(read: Read, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/ann")
    plan = read("pipelines: {p: {source: {folder: ~/in}, sink: reply}}").pipelines["p"]
    assert plan.source.options["path"] == Path("/home/ann/in")


def test_a_default_path_of_a_component_is_relative_to_the_file_too(read: Read, tmp_path: Path):
    plan = read("pipelines: {p: {source: {http: x}, operators: [{tokenize: {}}], sink: reply}}").pipelines["p"]
    assert plan.steps[0].options["home"] == tmp_path / "cache"


def test_an_unquoted_reference_is_a_number_and_a_quoted_one_text(read: Read):
    text = """
pipelines:
  p:
    source: {http: x}
    operators:
      - chunk:
          tokens: ${N}
      - transcribe: {model: "${N}"}
    sink: reply
"""
    plan = read(text, N="300").pipelines["p"]
    assert [dict(step.options) for step in plan.steps] == [{"tokens": 300, "overlap": 40}, {"model": "300"}]


def test_tests_are_read(read: Read):
    text = """
pipelines: {p: {source: {http: x}, operators: [analyze, {fork: {a: [{embed: , id: vec}]}}], sink: reply}}
tests:
  - {pipeline: p, give: hello, expect: [1, 2], fake: {vec: [0.5]}, name: greets}
"""
    (test,) = read(text).tests
    assert (test.pipeline, test.give, test.expect, test.fake, test.name) == (
        "p",
        ("hello",),
        (1, 2),
        {"vec": [0.5]},
        "greets",
    )
    assert str(test.place) == "p.yaml:4:5"


MINIMAL = "pipelines: {p: {source: {http: x}, sink: reply}}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "p.yaml:1:1: found an empty file, expected version and pipelines"),
        ("[1]", "p.yaml:1:1: found a list of 1, expected a mapping with version and pipelines"),
        ("version: 1", "p.yaml:1:1: found no pipelines, expected pipelines: {name: {source, operators, sink}}"),
        (f"version: 2\n{MINIMAL}", "p.yaml:1:10: found version 2, expected 1"),
        (
            f"{MINIMAL}modles: {{}}",
            (
                "p.yaml:2:1: found the unknown key 'modles', expected one of version, plugins, "
                "defaults, templates, pipelines, tests, devices, models; did you mean 'models'?"
            ),
        ),
        (
            f"{MINIMAL}defaults: {{drian: 2s}}",
            (
                "p.yaml:2:12: found the unknown key 'drian', expected one of queue, "
                "timeout, retry, drain; did you mean 'drain'?"
            ),
        ),
        (f"{MINIMAL}plugins: [3]", "p.yaml:2:11: found 3, expected the path of a Python file"),
        (
            f"{MINIMAL}devices: {{npu: {{memory: 12Gib}}}}",
            ("p.yaml:2:25: found '12Gib', expected a size such as 500kB or 64MiB"),
        ),
        (
            f"{MINIMAL}devices: {{npu: {{memroy: 12GiB}}}}",
            ("p.yaml:2:17: found the unknown key 'memroy', expected one of inflight, memory; did you mean 'memory'?"),
        ),
        (f"{MINIMAL}devices: {{npu: {{inflight: '1'}}}}", "p.yaml:2:27: found '1', expected an integer"),
        (f"{MINIMAL}models: {{a: {{task: x, from: y}}}}", "p.yaml:2:13: 'on' is missing: it has no default"),
        (f"{MINIMAL}models: {{a: {{task: x, from: y, on: [1]}}}}", "p.yaml:2:37: found 1, expected text"),
        (f"{MINIMAL}models: {{a: {{task: x, form: y, on: []}}}}", None),
        ("pipelines: {p: {sink: reply}}", "p.yaml:1:13: the pipeline p has no source: add one"),
        (
            "pipelines: {p: {source: {http: x}, sink: reply, snik: reply}}",
            (
                "p.yaml:1:49: found the unknown key 'snik', "
                "expected one of source, operators, sink, on_error, timeout, drain; did you mean 'sink'?"
            ),
        ),
        ("pipelines: {p: 3}", "p.yaml:1:16: found 3, expected a pipeline: {source, operators, sink}"),
        (
            "pipelines: {p: {source: {fodler: x}, sink: reply}}",
            ("p.yaml:1:26: found 'fodler', expected a source: one of folder, http, websocket; did you mean 'folder'?"),
        ),
        (
            "pipelines: {p: {source: {queue: 3}, sink: reply}}",
            ("p.yaml:1:25: found no name of a source, expected one of folder, http, websocket"),
        ),
        (
            "pipelines: {p: {source: [http], sink: reply}}",
            ("p.yaml:1:25: found a list of 1, expected a source: its name, or a mapping that has it as a key"),
        ),
        (
            "pipelines: {p: {source: {http: nowhere}, sink: reply}}",
            "p.yaml:1:26: found options that http refuses: found route 'nowhere', expected METHOD /path",
        ),
        ("pipelines: {p: {source: http, sink: reply}}", "p.yaml:1:25: 'route' is missing: it has no default"),
        (
            "pipelines: {p: {source: {folder: in, setle: 2s}, sink: reply}}",
            (
                "p.yaml:1:38: found the unknown key 'setle' "
                "beside folder, expected one of match, settle, key, queue, overflow; did you mean 'settle'?"
            ),
        ),
        (
            "pipelines: {p: {source: {folder: {path: a}, path: b}, sink: reply}}",
            ("p.yaml:1:45: found the option 'path' twice, expected it once"),
        ),
        (
            "pipelines: {p: {source: {http: x}, sink: {reply: 3}}}",
            ("p.yaml:1:50: found 3 for reply, which takes no value of its own"),
        ),
        (
            "pipelines: {p: {source: {http: x}, sink: reply, on_error: {duckdb: x}}}",
            ("p.yaml:1:59: found duckdb, which takes Chunk, as on_error, expected a sink that takes a Failure"),
        ),
        (
            "pipelines: {p: {source: {http: x}, sink: reply, operators: 3}}",
            ("p.yaml:1:60: found 3, expected a list of operators"),
        ),
        (
            "pipelines: {p: {source: {http: x}, sink: reply, drain: 3}}",
            ("p.yaml:1:56: found 3, expected a duration such as 4ms, 2s or 10m"),
        ),
        (f"{MINIMAL}tests: [{{pipeline: q, give: 1, expect: 2}}]", "p.yaml:2:20: found the pipeline 'q', expected p"),
        (f"{MINIMAL}tests: [{{pipeline: p, expect: 2}}]", "p.yaml:2:9: the test has no give: add it"),
        (
            f"{MINIMAL}tests: [{{pipeline: p, give: 1, expect: 2, fake: {{x: 1}}}}]",
            ("p.yaml:2:50: found the unknown key 'x', expected no key at all"),
        ),
    ],
)
def test_what_is_wrong_is_said_at_its_place(problems: Problems, text: str, expected: str | None) -> None:
    found = problems(text)
    assert expected is None or found == [expected]


def test_a_file_that_is_no_file_is_a_problem(registry: Registry, tmp_path: Path):
    with pytest.raises(
        ConfigError, match=r"found no readable file .No such file or directory., expected a pipelines.yaml"
    ):
        load(tmp_path / "no.yaml", registry=registry)
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    with pytest.raises(ConfigError, match=r"latin.yaml:1:1: found bytes that are not UTF-8"):
        load(tmp_path / "latin.yaml", registry=registry)


def test_a_file_is_read_with_its_folder_as_base(registry: Registry, tmp_path: Path):
    path = tmp_path / "pipelines.yaml"
    path.write_text("\ufeffversion: 1\npipelines: {p: {source: {folder: in}, sink: reply}}\n", encoding="utf-8")
    found = load(path, registry=registry)
    assert found.path == path
    assert found.pipelines["p"].source.options["path"] == tmp_path / "in"
    assert str(found.pipelines["p"].source.place) == f"{path}:2:25"


def test_lint_returns_problems_and_warnings(registry: Registry, tmp_path: Path):
    path = tmp_path / "p.yaml"
    path.write_text(
        "pipelines:\n  p:\n    source: {http: x}\n    operators:\n"
        "      - route: [{if: key, sink: reply}, {else: {sink: reply}}]\n"
        "      - {analyze: , batch: 3}\n      - {analyze: , if: 1 > 2}\n    sink: reply\n"
    )
    found = lint(path, registry=registry)
    assert found.errors == ()
    assert found.configuration is not None
    assert [warning.removeprefix(f"{path}:") for warning in found.warnings] == [
        "1:1: found no version, read as version: 1",
        "6:10: no item reaches analyze: every branch before it ends in a sink",
        "6:21: found batch for analyze, which does not take batches",
        "7:25: found `1 > 2`, which no item meets, expected one that depends on the item",
    ]
    path.write_text("version: 1")
    assert lint(path, registry=registry) == Report(
        None, (f"{path}:1:1: found no pipelines, expected pipelines: {{name: {{source, operators, sink}}}}",)
    )


# Secrets.


def secret_file(tmp_path: Path) -> Path:
    (tmp_path / "key").write_text("hunter2-hunter2\n")
    return tmp_path


def test_a_secret_reaches_its_component_and_no_printed_plan(read: Read, tmp_path: Path):
    secret_file(tmp_path)
    text = """
pipelines:
  p:
    source: {http: x}
    operators:
      - embed: {token: "${file:key}", key: "${OPENAI_API_KEY}"}
    sink: reply
"""
    plan = read(text, OPENAI_API_KEY="sk-123456789").pipelines["p"]
    options = plan.steps[0].options
    assert options["token"] == "hunter2-hunter2"  # noqa: S105 - what a test calls a secret
    assert options["key"].get_secret_value() == "sk-123456789"
    assert "hunter2" not in repr(plan)
    assert "sk-123456789" not in repr(plan)


@pytest.mark.parametrize(
    "step",
    [
        'vad: {silence: "${file:key}"}',
        'vad: {silence: "x${file:key}"}',
        'parse: {ocr: "${file:key}"}',
        'tokenize: {ratio: "${file:key}"}',
        'tokenize: {names: ["${file:key}", 2]}',
        'analyze: "${file:key}"',
        '{analyze: , if: "${file:key}"}',
        '{analyze: , id: a, queue: "${file:key}"}',
        '"${file:key}"',
    ],
)
def test_no_message_holds_a_secret(problems: Problems, tmp_path: Path, step: str) -> None:
    secret_file(tmp_path)
    text = f"pipelines:\n  p:\n    source: {{http: x}}\n    operators:\n      - {step}\n    sink: reply\n"
    found = problems(text)
    assert found
    assert "hunter2" not in "\n".join(found)


@dataclass
class Account:
    user: str
    password: str


def test_a_secret_in_a_section_is_not_printed_either(registry: Registry):
    text = 'pipelines: {}\naccounts: [{user: ann, password: "${DB_PASSWORD}"}]\n'
    environ = {"DB_PASSWORD": "swordfish"}
    found = parse(text, registry=registry, sections={"accounts": list[Account]}, environ=environ)
    assert found.sections["accounts"][0].password == "swordfish"  # noqa: S105 - what a test calls a secret
    assert "swordfish" not in repr(found)


def test_a_missing_secret_is_one_problem(problems: Problems):
    text = 'pipelines: {p: {source: {http: x}, operators: [{embed: {model: "${file:no}"}}], sink: reply}}'
    assert problems(text) == [
        "p.yaml:1:64: found no readable file no (No such file or directory), expected a file that holds the secret"
    ]
