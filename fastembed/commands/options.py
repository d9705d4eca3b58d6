"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from fastembed.commands.completion import complete_pipelines

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="The pipelines.yaml; by default the one in this folder, else the built-in one."
    ),
]
Url = Annotated[
    str,
    typer.Option(
        envvar="FASTEMBED_URL",
        help="The server to ask; by default the one that serves this folder, else http://127.0.0.1:8000.",
        show_default=False,
    ),
]
ApiKeyOfClient = Annotated[str | None, typer.Option("--api-key", envvar="FASTEMBED_API_KEY", help="The server's key.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Database = Annotated[
    str | None, typer.Option("--database", "-d", help="Only this database, by its path or file name; by default all.")
]
OfPipeline = Annotated[
    str | None,
    typer.Option("--pipeline", "-p", help="Only this pipeline's.", autocompletion=complete_pipelines),
]
LogFormat = Annotated[Literal["text", "json"], typer.Option(help="How log lines are written.")]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], typer.Option(help="What is logged.")]
LOCAL_URL: Final = ""
"""No address was given: `fastembed.commands.server` finds it."""
