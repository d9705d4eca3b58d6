"""Runs the `tests:` of a configuration file: given values in, expected values out, steps replaced where it says `fake`.

The pipeline is the real one but for its ends: the source gives the test's values, the sink keeps what arrives. A value
becomes the payload that the first step takes (a mapping becomes its dataclass), and what arrives is compared as plain
data: a mapping that is expected may leave keys out, numbers may differ by 1e-6. An item that fails shows as
`{error: "Class: message"}`; an expected error may be a part of that text.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from fastembed.pipeline.component import Resources, operator, sink, source
from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.item import END_OF_KEY, Item, Outcome
from fastembed.pipeline.plan import (
    ForkPlan,
    PipelinePlan,
    PipelineTest,
    RoutePlan,
    SinkPlan,
    SourcePlan,
    Step,
    StepPlan,
)
from fastembed.pipeline.runner import Pipeline
from fastembed.pipeline.spec import Spec, describe


@dataclasses.dataclass(frozen=True, slots=True)
class TrialResult:
    """How one test ended: `difference` is empty if it passed, else it says what was found and what was expected."""

    test: PipelineTest
    found: tuple[Any, ...]
    difference: str

    @property
    def passed(self) -> bool:
        """Whether everything expected was found."""
        return not self.difference


async def run_trial(plan: PipelinePlan, test: PipelineTest, resources: Resources | None = None) -> TrialResult:
    """Run one test; ConfigError if it names a step that is not there, or gives what the pipeline cannot take."""
    steps = _with_fakes(plan.steps, test)
    first = next((step.component.in_type for step in steps if isinstance(step, StepPlan)), Any)
    results = _Results()
    trial = dataclasses.replace(
        plan,
        source=SourcePlan(
            "given", describe(_TestSource, "given"), {"values": _payloads(test, first), "results": results}
        ),
        steps=steps,
        sink=SinkPlan("kept", describe(_Collector, "kept"), {"results": results}),
        on_error=None,
    )
    pipeline = Pipeline(trial, resources, once=True)
    await pipeline.open()
    await pipeline.run()
    found = tuple(results.in_order())
    return TrialResult(test, found, _difference(list(found), list(test.expect)))


class _Results:
    """The results of each input value, in the order of the inputs."""

    def __init__(self) -> None:
        self._by_seq: dict[int, list[Any]] = {}

    def add(self, seq: int, value: Any) -> None:
        self._by_seq.setdefault(seq, []).append(value)

    def in_order(self) -> list[Any]:
        return [value for seq in sorted(self._by_seq) for value in self._by_seq[seq]]


@source
class _TestSource:
    def __init__(self, values: Sequence[Any], *, results: _Results) -> None:
        self._values = values
        self._results = results

    async def items(self) -> AsyncIterator[Item[Any]]:
        item: Item[Any]
        for value in self._values:
            item = Item(value, key="test")

            def settled(_: Outcome, error: BaseException | None, item: Item[Any] = item) -> None:
                if error is not None:
                    self._results.add(item.seq, {"error": f"{type(error).__name__}: {error}"})

            item.on_settled = settled
            yield item
        yield Item(END_OF_KEY, key="test")


@sink
class _Collector:
    def __init__(self, *, results: _Results) -> None:
        self._results = results

    async def write(self, item: Item[Any]) -> None:
        self._results.add(item.seq, plain(item.value))


def _with_fakes(steps: Sequence[Step], test: PipelineTest) -> tuple[Step, ...]:
    """Replace the steps that the test fakes."""
    left = dict(test.fake)
    replaced = tuple(_faked(step, left) for step in steps)
    if left:
        raise ConfigError([f"{test.place}: found fake for {name!r}, expected the id of a step" for name in left])
    return replaced


def _faked(step: Step, left: dict[str, Any]) -> Step:
    if isinstance(step, RoutePlan | ForkPlan):
        branches = tuple(
            dataclasses.replace(branch, steps=tuple(_faked(inner, left) for inner in branch.steps))
            for branch in step.branches
        )
        return dataclasses.replace(step, branches=branches)
    if step.id not in left:
        return step
    result = _coerced(left.pop(step.id), step.component)

    @operator
    async def fake(_: Any) -> Any:
        return result

    return StepPlan(id=step.id, component=describe(fake, step.id), condition=step.condition, place=step.place)


def _coerced(value: Any, spec: Spec) -> Any:
    try:
        return TypeAdapter(spec.out_type).validate_python(value)
    except (ValidationError, PydanticSchemaGenerationError, TypeError):
        return value  # a fake may give what the next step takes, whatever the real step is declared to give


def _payloads(test: PipelineTest, wanted: Any) -> list[Any]:
    """Make payloads of what the test gives."""
    if wanted is Any:
        return list(test.give)
    try:
        adapter = TypeAdapter(wanted)
    except (PydanticSchemaGenerationError, TypeError):
        return list(test.give)
    problems, values = [], []
    for index, value in enumerate(test.give):
        try:
            values.append(adapter.validate_python(value))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, (index, *first["loc"])))
            problems.append(f"{test.place}: give.{where}: found {first['input']!r}, expected: {first['msg']}")
    if problems:
        raise ConfigError(problems)
    return values


def plain(value: Any) -> Any:
    """Return a payload as mappings, lists, text and numbers, as YAML has them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, PurePath) else value


def _difference(found: Any, expected: Any, where: str = "result") -> str:
    """Return the first difference, "" if there is none."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for key, value in expected.items():
            if key not in found:
                return f"{where}: found no {key!r} in {sorted(found)}, expected {value!r}"
            if key == "error" and isinstance(value, str) and isinstance(found[key], str) and value in found[key]:
                continue
            if difference := _difference(found[key], value, f"{where}.{key}"):
                return difference
        return ""
    if isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            return f"{where}: found {len(found)} ({found!r:.200}), expected {len(expected)}"
        differences = (_difference(f, e, f"{where}[{i}]") for i, (f, e) in enumerate(zip(found, expected, strict=True)))
        return next((difference for difference in differences if difference), "")
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (found, expected))
    same = math.isclose(found, expected, rel_tol=1e-6, abs_tol=1e-6) if numbers else found == expected
    return "" if same else f"{where}: found {found!r:.200}, expected {expected!r:.200}"
