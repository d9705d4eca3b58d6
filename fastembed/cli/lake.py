"""Commands that query and copy the databases of the folder pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from fastembed.commands.options import LOCAL_URL, ApiKeyOfClient, AsJson, Config, Database, Url

commands = typer.Typer()


@commands.command()
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT; - reads it from standard input.")],
    *,
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="A value for ?, or name=value for $name; several.")
    ] = None,
    form: Annotated[
        Literal["table", "json", "csv", "arrow", "parquet"] | None,
        typer.Option("--format", "-f", help="By default what --output ends in, else a table."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write into this file.")] = None,
    max_rows: Annotated[int | None, typer.Option(min=1, help="Most rows.")] = None,
    timeout: Annotated[float, typer.Option(min=0.001, max=600, help="Most seconds.")] = 30.0,
    database: Database = None,
    config: Config = None,
    url: Url = LOCAL_URL,
    api_key: ApiKeyOfClient = None,
) -> None:
    """Query the documents that were read, while a server runs or without one; nothing can be changed."""
    from fastembed.commands.documents import AnswerSource
    from fastembed.commands.sql import sql as run

    source = AnswerSource(config, url, api_key, database)
    options = {"max_rows": max_rows, "timeout": timeout}
    raise typer.Exit(run(source, query, tuple(param or ()), form=form, output=output, options=options))


@commands.command()
def export(
    target: Annotated[str, typer.Argument(help="A file (.duckdb), or a folder for Parquet files.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    task: Annotated[str | None, typer.Option(hidden=True)] = None,
    weights: Annotated[Literal["int4", "int8", "fp16"] | None, typer.Option(hidden=True)] = None,
    print_only: Annotated[bool, typer.Option("--print", hidden=True)] = False,
    database: Database = None,
    config: Config = None,
    url: Url = LOCAL_URL,
    api_key: ApiKeyOfClient = None,
) -> None:
    """Copy the documents that were read, as of one moment, while a server writes them or without one."""
    from fastembed.commands.export import export as run
    from fastembed.commands.export import is_model

    if task or weights or print_only or is_model(target):  # this command converted models once
        from fastembed.commands.convert import convert

        typer.echo("models are converted by `fastembed convert` now", err=True)
        raise typer.Exit(convert(target, task=task, weights=weights, print_only=print_only))
    from fastembed.commands.documents import AnswerSource

    raise typer.Exit(run(AnswerSource(config, url, api_key, database), Path(target), force=force))


@commands.command()
def ask(
    question: Annotated[list[str], typer.Argument(help="A question about the documents that were read.")],
    *,
    folder: Annotated[str | None, typer.Option(help="Only documents that this pipeline has read.")] = None,
    table: Annotated[list[str] | None, typer.Option("--table", "-t", help="Only tables of this name; several.")] = None,
    file: Annotated[list[str] | None, typer.Option("--file", "-f", help="Only files of this pattern; several.")] = None,
    model: Annotated[str | None, typer.Option(help="The chat model that words the answer.")] = None,
    floor: Annotated[float | None, typer.Option(min=0, max=1, help="The least confidence of an answer.")] = None,
    as_json: AsJson = False,
    database: Database = None,
    config: Config = None,
    url: Url = LOCAL_URL,
    api_key: ApiKeyOfClient = None,
) -> None:
    """Answer a question from the documents that were read, each sentence with its source; 1 if they do not say."""
    from fastembed.commands.ask import ask as run
    from fastembed.commands.documents import AnswerSource

    options = {"folder": folder, "tables": table, "files": file, "model": model, "floor": floor}
    source = AnswerSource(config, url, api_key, database)
    raise typer.Exit(run(source, " ".join(question), options=options, as_json=as_json))


@commands.command()
def why(
    answer: Annotated[str, typer.Argument(help="The id of an answer: ans-...")],
    *,
    as_json: AsJson = False,
    database: Database = None,
    config: Config = None,
    url: Url = LOCAL_URL,
    api_key: ApiKeyOfClient = None,
) -> None:
    """Show where an answer is from: sentences, passages, pages, files, and what read and found them."""
    from fastembed.commands.ask import why as run
    from fastembed.commands.documents import AnswerSource

    raise typer.Exit(run(AnswerSource(config, url, api_key, database), answer, as_json=as_json))
