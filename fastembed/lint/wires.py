"""Checks the payload types of the server's routes against the types of the steps behind them.

The kernel knows no wire: to it, requests are of any type. Here they are what `fastembed.server.endpoints` makes of
them: on the paths of OpenAI's clients typed requests, on others JSON; and results must be what the path can answer
with.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from fastembed.lint.routes import served_by
from fastembed.pipeline.component import OperatorKind
from fastembed.pipeline.config.adjacency import Flow, check_flow, members_of
from fastembed.pipeline.config.guarantees import operators, sinks
from fastembed.pipeline.config.problems import Problems
from fastembed.pipeline.payload.audio import SpeechEvent, SpeechInput
from fastembed.pipeline.payload.json_schema import DeclaredSchema
from fastembed.pipeline.payload.json_values import has_json
from fastembed.pipeline.plan import Branch, Configuration, ForkPlan, PipelinePlan, RoutePlan, SinkPlan, Step
from fastembed.pipeline.spec import Spec
from fastembed.server.endpoints.custom import JSON_VALUE
from fastembed.server.endpoints.registry import PIPELINE_ENDPOINTS, endpoint_of
from fastembed.sinks.reply import Reply
from fastembed.sources.websocket import Websocket

_JSON_ADVICE: Final = (
    "; a path of one's own takes JSON as it is: put an operator of your own before it that makes the right type of it"
)
_SPEECH_ADVICE: Final = (
    "; websockets speak the realtime protocol: speech goes in, what was heard comes out; `messages: json`, `text` or "
    "`bytes` beside the path takes messages of your own"
)
_MESSAGES: Final[dict[str, Any]] = {"json": JSON_VALUE, "text": str, "bytes": bytes}


def check_wires(configuration: Configuration, problems: Problems) -> None:
    """Report steps that cannot take what a request becomes, and replies that a path has no words for."""
    for plan in configuration.pipelines.values():
        served = served_by(plan)
        if served is None:
            continue
        route = " ".join(served)
        takes, gives, advice = _words_of(plan, *served, problems)
        giver = route if served[0] == "websocket" else f"{plan.source.id} {route}"
        first = Flow(takes, giver, plan.source.place, narrowed=gives is Any, advice=advice)
        steps, sink = _replying(plan.steps, gives), _reply(plan.sink, gives)
        check_flow(plan.source, steps, sink, problems, source_flow=first)
        if gives is Any:
            _check_results(plan, problems)
            _check_ends(plan, route, problems)
        elif not any(found.component.factory is Reply for found in sinks(plan)):
            problems.add(
                plan.sink.place,
                f"found {plan.sink.id} at the end of {route}, expected reply: its clients wait for what was found; "
                "a fork keeps results elsewhere beside it",
            )


def _words_of(plan: PipelinePlan, method: str, path: str, problems: Problems) -> tuple[Any, Any, str]:
    """Return the types that a path takes and gives, and what to do where they are not those of the steps."""
    if method == "websocket":
        kind = plan.source.options.get("messages", "speech")
        return (
            (_declared(plan, _MESSAGES[kind]), Any, "")
            if kind in _MESSAGES
            else (SpeechInput, SpeechEvent, _SPEECH_ADVICE)
        )
    route = f"{method} {path}"
    wire = endpoint_of(route)
    if route in PIPELINE_ENDPOINTS:
        if plan.source.options.get("schema") is not None:
            problems.add(plan.source.place, f"found schema beside {route}, whose requests are as its clients send them")
        return wire.takes, wire.gives, ""
    inputs = [kind for step in operators(plan.steps) for kind in members_of(step.component.in_type)]
    paths = [path for path, other in PIPELINE_ENDPOINTS.items() if other.takes in inputs]
    return _declared(plan, wire.takes), wire.gives, _JSON_ADVICE + (f", or serve {' or '.join(paths)}" if paths else "")


def _declared(plan: PipelinePlan, takes: Any) -> Any:
    """Return the type that a path of one's own takes, as its schema says, if it has one."""
    schema = plan.source.options.get("schema")
    return takes if schema is None else DeclaredSchema(schema).value_type


def _replying(steps: tuple[Step, ...], gives: Any) -> tuple[Step, ...]:
    """Return the steps with every reply in them taking what the path can answer with."""
    return tuple(
        replace(step, branches=tuple(_answering(branch, gives) for branch in step.branches))
        if isinstance(step, RoutePlan | ForkPlan)
        else step
        for step in steps
    )


def _answering(branch: Branch, gives: Any) -> Branch:
    sink = branch.sink and _reply(branch.sink, gives)
    return replace(branch, steps=_replying(branch.steps, gives), sink=sink)


def _reply(sink: SinkPlan, gives: Any) -> SinkPlan:
    if sink.component.factory is not Reply:
        return sink
    component: Spec = replace(sink.component, in_type=gives)
    return replace(sink, component=component)


def _check_ends(plan: PipelinePlan, route: str, problems: Problems) -> None:
    """Warn of operators on a stream that never ends: what they give at its end reaches no caller."""
    if plan.source.key is not None or plan.source.component.factory is Websocket:
        return
    for step in operators(plan.steps):
        if step.component.kind is OperatorKind.STREAM:
            problems.warn(
                step.place,
                f"found {step.id}, which works on a stream, behind {route}: all requests are one stream, which ends "
                "with the pipeline, so what it gives at the end reaches no caller (204); expected a result for each "
                "input",
            )


def _check_results(plan: PipelinePlan, problems: Problems) -> None:
    """Report results that cannot be written as JSON."""
    last = plan.steps[-1] if plan.steps else None
    if plan.sink.component.factory is not Reply or last is None or isinstance(last, RoutePlan | ForkPlan):
        return
    kinds = [
        kind for kind in members_of(last.component.out_type) if isinstance(kind, type) and kind not in (Any, object)
    ]
    if wrong := [kind.__name__ for kind in kinds if not has_json(kind)]:
        problems.add(
            last.place,
            f"found {last.id}, which gives {' | '.join(wrong)}, before {plan.sink.id}, expected what JSON can hold: "
            "dataclasses, pydantic models, mappings, lists, texts, numbers",
        )
