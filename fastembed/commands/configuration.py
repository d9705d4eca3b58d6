"""`fastembed check`, `graph`, `schema`, `test`: what a pipelines.yaml says, before anything runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from fastembed.assembly import (
    chosen_file,
    close_resources,
    lint_configuration,
    make_registry,
    make_resources,
    only,
    read_configuration,
)
from fastembed.describing import line_of
from fastembed.inference.library.sections import SECTIONS
from fastembed.lint.machine import obstacles
from fastembed.pipeline.config.mermaid import mermaid
from fastembed.pipeline.config.schema import schema as schema_of
from fastembed.pipeline.plan import Configuration
from fastembed.pipeline.trial import TrialResult, run_trial


def check(config: Path | None) -> int:
    """Print every problem, one a line with its place; without any, each pipeline's promise.

    2 if the file is wrong; 1 if `serve` and `run` would not start on this machine.
    """
    report = lint_configuration(config)
    for line in (*report.errors, *(f"{warning} (warning)" for warning in report.warnings)):
        typer.echo(line, err=True)
    if report.configuration is None:
        count = len(report.errors)
        typer.echo(f"{count} problem{'s' if count != 1 else ''}", err=True)
        return 2
    resources = make_resources(report.configuration)
    for plan in report.configuration.pipelines.values():
        typer.echo(line_of(plan, resources))
    missing = obstacles(report.configuration, resources)
    for problem in missing:
        typer.echo(f"{problem} (serve does not start)", err=True)
    if missing:
        return 1
    typer.echo(f"{chosen_file(config) or 'the built-in pipelines.yaml'}: all right")
    return 0


def graph(config: Path | None, pipeline: str | None) -> int:
    """Print Mermaid."""
    configuration = read_configuration(config)
    if pipeline is not None:
        only(configuration, (pipeline,))
    for plan in configuration.pipelines.values():
        if pipeline in (None, plan.name):
            typer.echo(mermaid(plan))
    return 0


def schema() -> int:
    """Print the JSON Schema."""
    import orjson

    typer.echo(orjson.dumps(schema_of(make_registry(), SECTIONS), option=orjson.OPT_INDENT_2))
    return 0


def test(config: Path | None) -> int:
    """Run the file's tests; 1 if one fails."""
    configuration = read_configuration(config)
    if not configuration.tests:
        typer.echo("found no tests in the configuration, expected some under `tests:`; nothing was run", err=True)
        return 0
    results = asyncio.run(_run_tests(configuration))
    for result in results:
        name = result.test.name or f"{result.test.pipeline} ({result.test.place})"
        typer.echo(f"{'ok    ' if result.passed else 'FAILED'} {name}")
        for line in result.difference.splitlines():
            typer.echo(f"       {line}")
    failed = sum(not result.passed for result in results)
    typer.echo(f"{len(results) - failed} passed, {failed} failed")
    return int(failed > 0)


async def _run_tests(configuration: Configuration) -> list[TrialResult]:
    resources = make_resources(configuration)
    try:
        return [await run_trial(configuration.pipelines[t.pipeline], t, resources) for t in configuration.tests]
    finally:
        await close_resources(resources)
