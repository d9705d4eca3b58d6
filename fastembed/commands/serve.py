"""`fastembed serve`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from fastembed.assembly import chosen_file, read_configuration
from fastembed.commands.keys import key_file
from fastembed.describing import line_of, stand_ins
from fastembed.guards import keep_files_private
from fastembed.inference.library.folders import kept_home
from fastembed.pipeline.errors import ConfigError, ItemError
from fastembed.pipeline.units import parse_size
from fastembed.runtime import Process, run_process
from fastembed.server.caching.response_cache import CacheLimits
from fastembed.server.http.server import address_of, listen
from fastembed.server.http.tls import chosen_tls
from fastembed.server.observability.logs import Format, Level, configure
from fastembed.server.settings import ServerSettings
from fastembed.server.wire.unknown_fields import UnknownFieldRule
from fastembed.server_address import published


def serve(
    config: Path | None,
    *,
    host: str,
    port: int,
    api_keys: tuple[str, ...],
    keys_file: Path | None,
    allow_origins: tuple[str, ...],
    allow_hosts: tuple[str, ...],
    allow_urls: tuple[str, ...],
    cache: tuple[str | None, str],
    files_size: str,
    conversations_size: str,
    insecure: bool,
    wyoming_port: int | None,
    tls: tuple[Path | None, Path | None, bool],
    unknown_fields: UnknownFieldRule,
    watch: bool,
    access_log: bool,
    pull: bool,
    log_format: Format,
    log_level: Level,
) -> int:
    """Serve until a signal; print one line a pipeline, then the address."""
    settings = ServerSettings(
        host=host,
        port=port,
        api_keys=api_keys,
        keys_file=key_file(keys_file),
        allow_origins=allow_origins,
        allow_hosts=allow_hosts,
        allow_urls=allow_urls,
        cache=CacheLimits.of(*cache),
        files_bytes=_size("--files-size", files_size),
        stored_bytes=_size("--conversations-size", conversations_size),
        insecure=insecure,
        wyoming_port=wyoming_port,
        tls=chosen_tls(tls[0], tls[1], self_signed=tls[2], folder=kept_home() / "tls"),
        unknown_fields=unknown_fields,
        access_log=access_log,
        pull=pull,
    )
    configure(log_format, log_level)
    keep_files_private()
    configuration = read_configuration(config)
    sock = listen(settings.host, settings.port)  # first, so that a taken port is told before models load
    process = Process(settings, configuration, source=chosen_file(config), watch=watch)

    def ready(address: str) -> None:
        for plan in configuration.pipelines.values():
            print(line_of(plan, process.resources), file=sys.stdout)  # noqa: T201 - a command's output
        for line in stand_ins(configuration.pipelines.values(), process.resources):
            print(line, file=sys.stdout)  # noqa: T201
        if process.wyoming.port:
            print(f"Wyoming is served at tcp://{settings.host}:{process.wyoming.port}", file=sys.stdout)  # noqa: T201
        print(f"FastEmbed is ready at {address}", file=sys.stdout, flush=True)  # noqa: T201

    try:
        with published(address_of(sock, settings.tls), chosen_file(config)):
            run_process(process, ready=ready, sock=sock)
    except (asyncio.CancelledError, KeyboardInterrupt):
        return 130
    except ItemError as error:
        print(f"fastembed: cannot start: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 130 if process.server is not None and process.server.killed else 0


def _size(option: str, text: str) -> int:
    """Read a size. ConfigError says what it cannot be."""
    try:
        return parse_size(text)
    except ValueError as error:
        raise ConfigError([f"{option}: {error}"]) from None
