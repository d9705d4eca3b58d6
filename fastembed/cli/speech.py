"""Commands that write down what is said."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastembed.commands.options import Config

commands = typer.Typer()


@commands.command()
def transcribe(
    file: Annotated[Path, typer.Argument(help="A sound file.", exists=True, dir_okay=False)],
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Print words as they come, at the pace of speech.")] = False,
    config: Config = None,
) -> None:
    """Write down what is said in a file, by the same pipeline as /v1/realtime."""
    from fastembed.commands.transcribe import transcribe as run

    raise typer.Exit(run(file, config, follow=follow))
