"""Every component in `sources/`, `operators/` and `sinks/` keeps the contract that plug-ins are told to keep.

Parametrised over the files: a new component is under test as soon as its file exists.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from fastembed.pipeline.component import OperatorKind, Role
from fastembed.pipeline.config.checking import options_adapter
from fastembed.pipeline.config.expressions import compile_expression
from fastembed.pipeline.config.guarantees import guarantee
from fastembed.pipeline.config.load import parse
from fastembed.pipeline.config.schema import arguments
from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.part import make
from fastembed.pipeline.registry import Registry
from fastembed.pipeline.spec import Spec

ROOT = Path(__file__).parents[2]
PACKAGES: dict[Role, str] = {
    "source": "fastembed.sources",
    "operator": "fastembed.operators",
    "sink": "fastembed.sinks",
}
REGISTRY = Registry(PACKAGES)
SPECS = [spec for role in get_args(Role) for spec in REGISTRY.all(role)]
NEEDED: dict[str, Any] = {  # a value for each option that has no default
    "source folder path": Path("inbox"),
    "source http route": "POST /v1/embeddings",
    "source websocket path": "/v1/realtime",
    "sink duckdb path": Path("lake.duckdb"),
    "sink folder path": Path("failed"),
    "sink jsonl path": Path("out.jsonl"),
    "sink table path": Path("rows.duckdb"),
    "sink webhook url": "http://127.0.0.1:9/",
    "source jsonl path": Path("in.jsonl"),
    "source timer every": 60.0,
    "operator dedupe by": compile_expression("value", "key"),
    "operator classify labels": ("refund", "praise"),
    "operator extract schema": {"type": "object"},
    "operator filter where": compile_expression("value", "truth"),
    "operator map to": compile_expression("value"),
    "operator throttle count": 10,
}


def name_of(spec: Spec) -> str:
    return f"{spec.role} {spec.name}"


ONE_OF_THEM: dict[str, dict[str, Any]] = {"operator sample": {"every": 2}, "operator window": {"count": 2}}
"""Components that need one of several options."""


def options_of(spec: Spec) -> dict[str, Any]:
    required = [name for name, option in spec.options.items() if option.default is option.empty]
    needed = {name: NEEDED[f"{name_of(spec)} {name}"] for name in required}
    return needed | ONE_OF_THEM.get(name_of(spec), {})


every = pytest.mark.parametrize("spec", SPECS, ids=name_of)
every_operator = pytest.mark.parametrize("spec", [spec for spec in SPECS if spec.role == "operator"], ids=name_of)


@every
def test_its_documentation_starts_with_one_sentence(spec: Spec) -> None:
    first = spec.doc.split("\n\n")[0]
    assert first.strip(), "no docstring"
    assert first.rstrip().endswith((".", ":"))


@every
def test_it_documents_its_options(spec: Spec) -> None:
    assert spec.options.keys() - arguments(spec.doc, spec.options).keys() == set()


@every_operator
def test_an_operator_says_what_goes_in_and_what_comes_out(spec: Spec) -> None:
    assert "In: " in spec.doc
    assert "Out: " in spec.doc


@every_operator
def test_an_operator_says_what_types_go_in_and_come_out(spec: Spec) -> None:
    assert spec.in_type is not Any
    assert spec.out_type is not Any
    assert isinstance(spec.kind, OperatorKind)


@every
def test_every_option_has_a_type_that_the_schema_can_say(spec: Spec) -> None:
    assert spec.options.keys() == spec.hints.keys()
    schema = options_adapter(spec).json_schema()
    assert schema.get("properties", {}).keys() == spec.options.keys()


@every
def test_an_unknown_option_is_refused(spec: Spec) -> None:
    with pytest.raises(ValidationError, match="no_such_option"):
        options_adapter(spec).validate_python({**options_of(spec), "no_such_option": 1})


@every
def test_only_the_first_option_may_be_positional(spec: Spec) -> None:
    keyword_only = [name for name, option in spec.options.items() if option.kind is option.KEYWORD_ONLY]
    assert spec.options.keys() - keyword_only <= {spec.primary}


@every
def test_making_it_touches_no_file(spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = make(spec.name, spec, options_of(spec))
    assert list(tmp_path.iterdir()) == []
    assert made.instance is not None


@every
async def test_it_closes_without_having_been_opened(spec: Spec, tmp_path: Path) -> None:
    options = {key: tmp_path / value if isinstance(value, Path) else value for key, value in options_of(spec).items()}
    made = make(spec.name, spec, options)
    await made.close()
    await made.close()


@every
def test_what_makes_it_a_component_is_there(spec: Spec) -> None:
    if spec.role == "source" and inspect.isclass(spec.factory):
        assert inspect.isasyncgenfunction(spec.factory.items) or callable(spec.factory.items)
    if spec.role == "sink" and inspect.isclass(spec.factory):
        assert inspect.iscoroutinefunction(spec.factory.write)


def test_importing_all_components_imports_no_parser_and_no_model() -> None:
    modules = [f"{PACKAGES[spec.role]}.{spec.name}" for spec in SPECS]
    heavy = "{'docling', 'rapidocr', 'cv2', 'pandas', 'scipy', 'torch', 'openvino_genai'}"
    code = f"import sys, {', '.join(modules)}; print(sorted({heavy} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_a_pipeline_of_the_three_kinds_checks_and_has_a_guarantee() -> None:
    text = "version: 1\npipelines:\n  p:\n    source: {folder: inbox}\n    operators: [parse, chunk, embed]\n"
    plan = parse(text + "    sink: {duckdb: lake.duckdb}\n", registry=REGISTRY).pipelines["p"]
    assert "exactly once" in str(guarantee(plan))


def test_operators_that_do_not_fit_are_refused_when_the_file_is_read() -> None:
    text = "version: 1\npipelines:\n  p:\n    source: {folder: inbox}\n    operators: [chunk, parse]\n"
    with pytest.raises(ConfigError, match="chunk"):
        parse(text + "    sink: {duckdb: lake.duckdb}\n", registry=REGISTRY)
