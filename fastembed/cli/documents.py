"""Commands that find, list and process again what folder pipelines read."""

from __future__ import annotations

from typing import Annotated

import typer

from fastembed.commands.options import LOCAL_URL, ApiKeyOfClient, AsJson, Config, Database, OfPipeline, Url

commands = typer.Typer()


@commands.command()
def search(
    words: Annotated[list[str], typer.Argument(help="What to look for.")],
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100)] = 5,
    as_json: AsJson = False,
    database: Database = None,
    table: Annotated[list[str] | None, typer.Option("--table", "-t", help="Only tables of this name; several.")] = None,
    file: Annotated[list[str] | None, typer.Option("--file", "-f", help="Only files of this pattern; several.")] = None,
    kind: Annotated[list[str] | None, typer.Option("--type", help="Only files of this suffix: pdf; several.")] = None,
    floor: Annotated[float | None, typer.Option(min=-1, max=1, help="The least cosine.")] = None,
    config: Config = None,
    url: Url = LOCAL_URL,
    api_key: ApiKeyOfClient = None,
) -> None:
    """Find the nearest chunks of the documents that were read."""
    from fastembed.commands.documents import AnswerSource
    from fastembed.commands.documents import search as run
    from fastembed.pipeline.payload.asking import SearchScope

    source = AnswerSource(config, url, api_key, database)
    scope = SearchScope(tables=tuple(table or ()), files=tuple(file or ()), types=tuple(kind or ()))
    raise typer.Exit(run(source, " ".join(words), limit=limit, as_json=as_json, scope=scope, floor=floor))


@commands.command("ls")
def list_documents(
    *,
    pipeline: OfPipeline = None,
    as_json: AsJson = False,
    database: Database = None,
    config: Config = None,
    url: Url = LOCAL_URL,
    api_key: ApiKeyOfClient = None,
) -> None:
    """List every file that the folder pipelines know, and what became of it."""
    from fastembed.commands.documents import AnswerSource
    from fastembed.commands.documents import list_documents as run

    raise typer.Exit(run(AnswerSource(config, url, api_key, database), pipeline, as_json=as_json))


@commands.command()
def failed(
    *,
    pipeline: OfPipeline = None,
    as_json: AsJson = False,
    database: Database = None,
    config: Config = None,
    url: Url = LOCAL_URL,
    api_key: ApiKeyOfClient = None,
) -> None:
    """List the files and items that failed, and why."""
    from fastembed.commands.documents import AnswerSource
    from fastembed.commands.failures import list_failed as run

    raise typer.Exit(run(AnswerSource(config, url, api_key, database), pipeline, as_json=as_json))


@commands.command()
def replay(
    names: Annotated[list[str] | None, typer.Argument(help="As `fastembed failed` names them; none: all.")] = None,
    *,
    pipeline: OfPipeline = None,
    as_json: AsJson = False,
    database: Database = None,
    config: Config = None,
    url: Url = LOCAL_URL,
    api_key: ApiKeyOfClient = None,
) -> None:
    """Try again what failed: files go back to their folder, other items to the step that they failed at."""
    from fastembed.commands.documents import AnswerSource
    from fastembed.commands.failures import replay as run

    raise typer.Exit(run(AnswerSource(config, url, api_key, database), pipeline, names or None, as_json=as_json))


@commands.command()
def reprocess(
    pipeline: Annotated[str, typer.Argument(help="The pipeline.")],
    *,
    everything: Annotated[bool, typer.Option("--all", help="Not only what an older definition made.")] = False,
    as_json: AsJson = False,
    database: Database = None,
    config: Config = None,
    url: Url = LOCAL_URL,
    api_key: ApiKeyOfClient = None,
) -> None:
    """Process files again that an older definition of their pipeline made."""
    from fastembed.commands.documents import AnswerSource
    from fastembed.commands.documents import reprocess as run

    raise typer.Exit(
        run(AnswerSource(config, url, api_key, database), pipeline, everything=everything, as_json=as_json)
    )


@commands.command()
def reembed(
    pipeline: Annotated[str | None, typer.Argument(help="The pipeline; none: all.")] = None,
    *,
    database: Database = None,
    config: Config = None,
    url: Url = LOCAL_URL,
    api_key: ApiKeyOfClient = None,
) -> None:
    """Give stored chunks vectors of the model that their pipeline names now, without reading the files again."""
    from fastembed.commands.documents import AnswerSource
    from fastembed.commands.reembed import reembed as run

    raise typer.Exit(run(AnswerSource(config, url, api_key, database), pipeline))


@commands.command()
def forget(
    pipeline: Annotated[str, typer.Argument(help="The pipeline.")],
    *,
    as_json: AsJson = False,
    database: Database = None,
    config: Config = None,
    url: Url = LOCAL_URL,
    api_key: ApiKeyOfClient = None,
) -> None:
    """Forget the files that are gone from a folder, where their rows were kept because it seemed not to be mounted."""
    from fastembed.commands.documents import AnswerSource
    from fastembed.commands.folders import forget as run

    raise typer.Exit(run(AnswerSource(config, url, api_key, database), pipeline, as_json=as_json))
