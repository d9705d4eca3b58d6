"""`fastembed run`: the pipelines that need no server, with progress bars."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from fastembed.assembly import SERVED, close_resources, make_resources, only, read_configuration
from fastembed.guards import keep_files_private
from fastembed.pipeline.engine import Engine
from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.health import Health
from fastembed.pipeline.item import Outcome
from fastembed.pipeline.plan import Configuration
from fastembed.pipeline.runner import Pipeline
from fastembed.server.http.stop_signals import stopped_by_signals
from fastembed.server.observability.logs import Format, Level, configure

_BAD = (Outcome.FAILED, Outcome.REJECTED, Outcome.EXPIRED, Outcome.DEFERRED)
_REFRESH_S = 0.2


def run(config: Path | None, names: tuple[str, ...], *, once: bool, log_format: Format, log_level: Level) -> int:
    """Run until a signal, or with `once` until all that was there is processed; 1 if it failed in part."""
    configure(log_format, log_level)
    keep_files_private()
    configuration = chosen(read_configuration(config), names)
    return asyncio.run(_run(configuration, once=once))


def chosen(configuration: Configuration, names: tuple[str, ...]) -> Configuration:
    """Return the configuration with the named pipelines, or all that need no server. ConfigError if none is left."""
    alone = tuple(n for n, plan in configuration.pipelines.items() if plan.source.component.name not in SERVED)
    served = [name for name in names if name in configuration.pipelines and name not in alone]
    if served:
        raise ConfigError([f"found the pipeline {served[0]}, which needs the HTTP server: fastembed serve runs it"])
    found = only(configuration, names or alone)
    if not found.pipelines:
        raise ConfigError(["found no pipeline that runs without the HTTP server, expected one with a folder as source"])
    return found


async def _run(configuration: Configuration, *, once: bool) -> int:
    resources = make_resources(configuration)
    engine = Engine(resources, once=once)
    stop = asyncio.Event()
    with stopped_by_signals(stop.set, drain_s=lambda: engine.drain_s):
        try:
            await engine.start(configuration)
            pipelines = await _watched(engine, stop)
        finally:
            await engine.stop()
            await close_resources(resources)
    bad = [_summarise(pipeline) for pipeline in pipelines]
    health = Health.of(resources)
    problems = health.lines()
    for problem in [*problems, *health.advice()]:
        typer.echo(problem, err=True)
    return 130 if stop.is_set() and once else int(any(bad) or bool(problems))


async def _watched(engine: Engine, stop: asyncio.Event) -> list[Pipeline]:
    """Show how far the pipelines are until they have ended or were stopped; return them as they were at the end."""
    with _bars() as bars:
        progress_bars = {name: bars.add_task(name, total=None, note="") for name in engine.pipelines}
        ended = asyncio.create_task(engine.join())
        stopped = asyncio.create_task(stop.wait())
        while not ended.done() and not stopped.done():
            _show(bars, progress_bars, engine.pipelines)
            await asyncio.wait((ended, stopped), timeout=_REFRESH_S, return_when=asyncio.FIRST_COMPLETED)
        pipelines = dict(engine.pipelines)
        await engine.stop()
        for task in (ended, stopped):
            task.cancel()
        await asyncio.wait((ended, stopped))
        _show(bars, progress_bars, pipelines)
    return list(pipelines.values())


def _bars() -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TextColumn("{task.fields[note]}"), TimeElapsedColumn(), console=Console(stderr=True))


def _show(bars: Progress, progress_bars: dict[str, TaskID], pipelines: Mapping[str, Pipeline]) -> None:
    for name, task in progress_bars.items():
        stats, progress = pipelines[name].stats, pipelines[name].progress
        ended = sum(stats.outcomes.values())
        bad = sum(stats.outcomes.get(outcome, 0) for outcome in _BAD)
        waiting = progress.waiting if progress else 0
        note = f"[red]{bad} failed[/]" if bad else ""
        bars.update(task, completed=ended, total=(stats.admitted + waiting) or None, note=note)


def _summarise(pipeline: Pipeline) -> bool:
    """Print how a pipeline's items ended, over all its restarts; True if one failed, or the pipeline itself broke."""
    outcomes, progress = pipeline.stats.outcomes, pipeline.progress
    counts = {outcome.value: count for outcome, count in outcomes.items() if count}
    counts |= {"ignored": ignored} if (ignored := getattr(progress, "ignored", 0)) else {}
    parts = ", ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "nothing to do"
    copies = progress.duplicates if progress else 0
    note = f" ({copies} {'file holds' if copies == 1 else 'files hold'} the bytes of another)" if copies else ""
    note += "; `fastembed ls` says why files are ignored" if ignored else ""
    broke = pipeline.stats.restarts + pipeline.broken
    times = "once" if broke == 1 else f"{broke} times"
    broken = f"; it broke {times}, the log says why" if broke else ""
    typer.echo(f"{pipeline.name}: {parts}{note}{broken}")
    return broke > 0 or any(outcomes.get(outcome, 0) for outcome in _BAD)
