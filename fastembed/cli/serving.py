"""Commands that serve the pipelines, run them, and show what they do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from fastembed.commands.options import Config, LogFormat, LogLevel

commands = typer.Typer()


@commands.command()
def serve(
    *,
    config: Config = None,
    host: Annotated[str, typer.Option(envvar="FASTEMBED_HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="FASTEMBED_PORT", min=0, max=65535, help="0 takes any free port.")] = 8000,
    api_key: Annotated[
        list[str] | None, typer.Option(help="Ask clients for this key; several may be given. Or FASTEMBED_API_KEY.")
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(envvar="FASTEMBED_KEYS_FILE", help="The key file of `fastembed keys`.", show_default=False),
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
    conversations_size: Annotated[
        str,
        typer.Option(
            envvar="FASTEMBED_CONVERSATIONS_SIZE",
            help="How much stored responses and conversations may take together; 0: none are stored.",
        ),
    ] = "1GiB",
    insecure: Annotated[bool, typer.Option(help="Serve other machines without a key.")] = False,
    tls_cert: Annotated[Path | None, typer.Option(help="Serve HTTPS with this certificate, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The certificate's key, PEM.")] = None,
    tls_self_signed: Annotated[
        bool, typer.Option("--tls-self-signed", help="Serve HTTPS with a certificate of this machine's own making.")
    ] = False,
    wyoming_port: Annotated[
        int | None,
        typer.Option(envvar="FASTEMBED_WYOMING_PORT", min=0, max=65535, help="Serve Home Assistant (Wyoming) here."),
    ] = None,
    unknown_fields: Annotated[
        Literal["ignore", "reject"],
        typer.Option(
            envvar="FASTEMBED_UNKNOWN_FIELDS",
            help="Fields of a request that its endpoint does not have: ignored, with a warning header, or a 400.",
        ),
    ] = "ignore",
    pull: Annotated[
        bool, typer.Option("--pull", envvar="FASTEMBED_PULL", help="Fetch models that are named when first asked for.")
    ] = False,
    watch: Annotated[bool, typer.Option(help="Take changes of the file over as they are saved.")] = True,
    access_log: Annotated[bool, typer.Option(help="Log every request, not only refused ones.")] = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "info",
) -> None:
    """Serve the pipelines over HTTP and websockets, and run the folder pipelines beside them."""
    from fastembed.commands.serve import serve as run

    api_keys = api_key or os.environ.get("FASTEMBED_API_KEY", "").split(",")
    raise typer.Exit(
        run(
            config,
            host=host,
            port=port,
            api_keys=tuple(key for key in api_keys if key.strip()),
            keys_file=keys,
            allow_origins=tuple(allow_origin or ()),
            allow_hosts=tuple(allow_host or ()),
            allow_urls=tuple(allow_url or ()),
            cache=(cache_size, cache_ttl),
            files_size=files_size,
            conversations_size=conversations_size,
            insecure=insecure,
            wyoming_port=wyoming_port,
            tls=(tls_cert, tls_key, tls_self_signed),
            unknown_fields=unknown_fields,
            watch=watch,
            access_log=access_log,
            pull=pull,
            log_format=log_format,
            log_level=log_level,
        )
    )


@commands.command()
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


@commands.command()
def demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the server running.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 0,
) -> None:
    """Show all three uses on real input."""
    from fastembed.demo import run_demo

    raise typer.Exit(run_demo(keep=keep, port=port))
