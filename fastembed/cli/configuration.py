"""Commands that check, draw and try a pipelines.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastembed.commands.options import Config

commands = typer.Typer()


@commands.command()
def check(*, config: Config = None) -> None:
    """Check a pipelines.yaml: print its problems, or what each pipeline promises."""
    from fastembed.commands.configuration import check as run

    raise typer.Exit(run(config))


@commands.command()
def graph(
    pipeline: Annotated[str | None, typer.Argument(help="Only this one.")] = None, *, config: Config = None
) -> None:
    """Draw the pipelines as Mermaid flowcharts."""
    from fastembed.commands.configuration import graph as run

    raise typer.Exit(run(config, pipeline))


@commands.command()
def schema() -> None:
    """Print the JSON Schema of pipelines.yaml, for editors."""
    from fastembed.commands.configuration import schema as run

    raise typer.Exit(run())


@commands.command("test")
def run_tests(*, config: Config = None) -> None:
    """Run the tests that a pipelines.yaml holds."""
    from fastembed.commands.configuration import test as run

    raise typer.Exit(run(config))


@commands.command()
def components(
    name: Annotated[str | None, typer.Argument(help="Everything about this one.")] = None,
    *,
    config: Config = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="The list as a Markdown table.")] = False,
) -> None:
    """List what pipelines are made of, or print one part's options, types and an example."""
    from fastembed.commands.components import components as run

    raise typer.Exit(run(config, name, markdown=markdown))


@commands.command()
def new(
    example: Annotated[str, typer.Argument(help="chat, recordings, router, rows or webcam.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("pipelines.yaml"),
) -> None:
    """Write a pipelines.yaml to begin with: one of the examples."""
    from fastembed.commands.components import new as run

    raise typer.Exit(run(example, output))
