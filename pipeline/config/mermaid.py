"""A pipeline as a Mermaid flowchart (https://mermaid.js.org/syntax/flowchart.html), for documents and web pages."""

from __future__ import annotations

from typing import Any

from fastembed.pipeline.config.guarantees import guarantee
from fastembed.pipeline.plan import Branch, ForkPlan, PipelinePlan, RoutePlan, SinkPlan, SourcePlan, Step, StepPlan

Ends = list[tuple[str, str]]
"""Edges that end at the next node: their start and their label."""


def mermaid(plan: PipelinePlan) -> str:
    """Return the flowchart's text. It shows names, conditions and bounds, and never an option's value."""
    return _Chart().draw(plan)


class _Chart:
    """Collects lines; node ids are numbered, so that no name can break the syntax."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._count = 0

    def draw(self, plan: PipelinePlan) -> str:
        self._lines += ["flowchart LR", f"  subgraph pipeline [{_quoted(f'{plan.name}: {guarantee(plan)}')}]"]
        start = self._node(_source_label(plan.source), "([", "])")
        ends = self._through(plan.steps, [(start, "")])
        sink = self._sink(plan.sink)
        self._join(ends, sink)
        if plan.on_error is not None:
            failed = self._sink(plan.on_error)
            self._lines.append(f"  {start} -. {_quoted('on error')} .-> {failed}")
        return "\n".join([*self._lines, "  end", ""])

    def _through(self, steps: tuple[Step, ...], ends: Ends) -> Ends:
        for step in steps:
            if isinstance(step, StepPlan):
                node = self._node(_step_label(step))
                self._join(ends, node)
                ends = [(node, "")]
            else:
                ends = self._split(step, ends)
        return ends

    def _split(self, step: RoutePlan | ForkPlan, ends: Ends) -> Ends:
        node = self._node(step.id, "{", "}")
        self._join(ends, node)
        leaving: Ends = []
        for branch in step.branches:
            tail = self._through(branch.steps, [(node, _branch_label(branch, step))])
            if branch.sink is None:
                leaving += tail
            else:
                self._join(tail, self._sink(branch.sink))
        if isinstance(step, ForkPlan) and step.join == "all":
            joined = self._node("join", "{", "}")
            self._join(leaving, joined)
            return [(joined, "")]
        return leaving

    def _sink(self, sink: SinkPlan) -> str:
        return self._node(_named(sink.id, sink.component.name), "[(", ")]")

    def _node(self, label: str, opening: str = "[", closing: str = "]") -> str:
        self._count += 1
        name = f"n{self._count}"
        self._lines.append(f"  {name}{opening}{_quoted(label)}{closing}")
        return name

    def _join(self, ends: Ends, node: str) -> None:
        for end, label in ends:
            self._lines.append(f"  {end} -- {_quoted(label)} --> {node}" if label else f"  {end} --> {node}")


def _source_label(source: SourcePlan) -> str:
    queue = source.queue
    bounds = [
        f"{queue.max_items} items" if queue.max_items else "",
        f"{queue.max_bytes} bytes" if queue.max_bytes else "",
        f"{queue.max_seconds:g} s" if queue.max_seconds else "",
    ]
    return (
        f"{_named(source.id, source.component.name)}<br>queue {' or '.join(b for b in bounds if b)}, {queue.overflow}"
    )


def _step_label(step: StepPlan) -> str:
    facts: list[tuple[str, Any]] = [
        ("if", step.condition.text if step.condition else None),
        ("batch", step.batch.max_items if step.batch else None),
        ("workers", step.workers),
        ("retry", step.retry.attempts or None),
    ]
    return "<br>".join([_named(step.id, step.component.name), *(f"{name} {fact}" for name, fact in facts if fact)])


def _branch_label(branch: Branch, step: RoutePlan | ForkPlan) -> str:
    if isinstance(step, RoutePlan) and branch.condition is not None:
        return branch.condition.text
    return branch.name


def _named(step: str, component: str) -> str:
    return component if step == component else f"{step} ({component})"


def _quoted(text: str) -> str:
    """Return a Mermaid string: entity codes for what would end it or start markup."""
    kept = " ".join(text.split()).replace("<br>", "\0")
    escaped = kept.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
    return '"' + escaped.replace("\0", "<br>") + '"'
