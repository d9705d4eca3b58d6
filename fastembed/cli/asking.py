"""Commands that ask a running server: chat, vectors, one document, its state."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from fastembed.commands.completion import complete_models
from fastembed.commands.options import LOCAL_URL, ApiKeyOfClient, AsJson, Config, Url

commands = typer.Typer()
ModelName = Annotated[
    str, typer.Option("--model", "-m", help="A name that the server lists.", autocompletion=complete_models)
]


@commands.command()
def chat(
    prompt: Annotated[
        list[str] | None, typer.Argument(help="One question; without it, a conversation. Piped input is added to it.")
    ] = None,
    *,
    model: ModelName = "auto",
    file: Annotated[
        list[str] | None, typer.Option("--file", "-f", help="A picture, document, sound or video to show; several.")
    ] = None,
    system: Annotated[str, typer.Option("--system", "-s", help="What the model is told before the conversation.")] = "",
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Most tokens of an answer.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=2, help="0 is the likeliest answer.")] = None,
    as_json: AsJson = False,
    config: Config = None,
    url: Url = LOCAL_URL,
    api_key: ApiKeyOfClient = None,
) -> None:
    """Talk to a model: the answer comes as it is written; /file PATH shows it something, /help says the rest."""
    from fastembed.commands.chat import TalkSettings
    from fastembed.commands.chat import chat as run

    options = TalkSettings(model, system, tuple(file or ()), max_tokens, temperature)
    raise typer.Exit(run(" ".join(prompt or ()), options, as_json=as_json, config=config, url=url, api_key=api_key))


@commands.command()
def embed(
    text: Annotated[str, typer.Argument(help="The text; - reads one from each line of standard input.")],
    *,
    model: ModelName = "auto",
    input_type: Annotated[
        Literal["query", "document"] | None, typer.Option(help="Put the model's own words for it before the text.")
    ] = None,
    dimensions: Annotated[int | None, typer.Option(min=1, help="Only the first ones.")] = None,
    as_json: AsJson = False,
    config: Config = None,
    url: Url = LOCAL_URL,
    api_key: ApiKeyOfClient = None,
) -> None:
    """Print the vector of a text, or of each line, as a JSON array a line."""
    from fastembed.commands.embed import embed as run

    options = {"input_type": input_type, "dimensions": dimensions}
    raise typer.Exit(run(text, model, options, as_json=as_json, config=config, url=url, api_key=api_key))


@commands.command()
def process(
    file: Annotated[str, typer.Argument(help="A document: PDF, Office, HTML, a picture of a page ...; or a URL.")],
    *,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="A document model; by default rules.", autocompletion=complete_models),
    ] = None,
    output_format: Annotated[
        Literal["markdown", "html", "json"], typer.Option("--format", help="What is printed.")
    ] = "markdown",
    as_json: AsJson = False,
    config: Config = None,
    url: Url = LOCAL_URL,
    api_key: ApiKeyOfClient = None,
) -> None:
    """Read one document: print it as Markdown; warnings go to standard error."""
    from fastembed.commands.process import process as run

    raise typer.Exit(run(file, model, output_format, as_json=as_json, config=config, url=url, api_key=api_key))


@commands.command()
def status(
    *,
    once: Annotated[bool, typer.Option("--once", help="Print it once, also on a terminal.")] = False,
    every: Annotated[float, typer.Option(min=0.2, max=3600, help="Seconds between two looks.")] = 1.0,
    as_json: AsJson = False,
    config: Config = None,
    url: Url = LOCAL_URL,
    api_key: ApiKeyOfClient = None,
) -> None:
    """Show what the server does: pipelines with rates and queues, models, memory. On a terminal until Ctrl-C."""
    from fastembed.commands.status import status as run

    raise typer.Exit(run(once=once, every_s=every, as_json=as_json, config=config, url=url, api_key=api_key))


@commands.command()
def batch(
    file: Annotated[Path, typer.Argument(help="JSON Lines: custom_id, method, url and body, as for OpenAI's batches.")],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where answers go; by default FILE with .output.jsonl.")
    ] = None,
    errors: Annotated[
        Path | None, typer.Option(help="Where errors go; by default FILE with .errors.jsonl, if there are any.")
    ] = None,
    window: Annotated[str, typer.Option(help="How long it may take: 24h, or another time from 1m to 30d.")] = "24h",
    wait: Annotated[bool, typer.Option(help="Wait for the answers; without it, print the batch and end.")] = True,
    as_json: AsJson = False,
    config: Config = None,
    url: Url = LOCAL_URL,
    api_key: ApiKeyOfClient = None,
) -> None:
    """Have a file of requests answered behind live ones. Ctrl-C leaves the batch running on the server."""
    from fastembed.commands.batch import BatchFiles
    from fastembed.commands.batch import batch as run

    files = BatchFiles(file, output, errors)
    raise typer.Exit(run(files, window, wait=wait, as_json=as_json, config=config, url=url, api_key=api_key))


@commands.command()
def mcp(*, config: Config = None, url: Url = LOCAL_URL, api_key: ApiKeyOfClient = None) -> None:
    """Give an application's models the running server's tools, over standard input and output (MCP)."""
    from fastembed.commands.mcp import mcp as run

    raise typer.Exit(run(config, url, api_key))
