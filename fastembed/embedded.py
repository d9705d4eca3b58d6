"""A server in this process: `FastEmbedServer().start()` serves until it is interrupted.

with FastEmbedServer(port=0) as server:      # in a thread of its own
    client = FastEmbedClient(base_url=server.url)
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, get_args

from fastembed.assembly import chosen_file, read_configuration
from fastembed.guards import check_installation, keep_files_private
from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.plan import Configuration
from fastembed.runtime import Process, new_runner, run_process
from fastembed.server.caching.response_cache import TTL_S, CacheLimits
from fastembed.server.http.server import address_of, listen
from fastembed.server.observability.logs import Level, configure
from fastembed.server.settings import ServerSettings
from fastembed.server.wire.unknown_fields import UnknownFieldRule
from fastembed.server_address import published
from fastembed.tuning import Tuning

_MOST_PORT: Final = 65535
_START_S: Final = 600.0
"""How long loading models may take."""


class FastEmbedServer:
    """The built-in pipelines, or those of `config`, served on `host` and `port` (0: any free one).

    host, port, pull: by default what FASTEMBED_HOST, FASTEMBED_PORT and FASTEMBED_PULL say, else 127.0.0.1, 8000, no.

    api_key: one or several that clients must send. keys_file: those of `fastembed keys`.
    allow_urls: where it may fetch from, as `serve --allow-url` takes it. caching:
    `{"enable_response_cache": True, "cache_ttl": 3600, "cache_size_limit": "2GB"}` keeps answers
    that depend on nothing but the request; by default none are kept. unknown_fields: whether
    fields of a request that its endpoint does not have are ignored, and named in a response header, or refused.
    pull: fetch models of `models` and known ones when they are first asked for.
    models, hardware: see `fastembed.tuning`.
    monitoring: `{"enable_metrics": True, "metrics_endpoint": "/metrics", "log_level": "INFO"}`; with a level the
    process's log goes to standard error. Raises ConfigError for what cannot run.
    """

    def __init__(
        self,
        *,
        config: Path | str | None = None,
        host: str | None = None,
        port: int | None = None,
        api_key: str | Sequence[str] = (),
        keys_file: Path | str | None = None,
        allow_urls: Sequence[str] = (),
        models: Mapping[str, str] | None = None,
        hardware: Mapping[str, Any] | None = None,
        caching: Mapping[str, Any] | None = None,
        monitoring: Mapping[str, Any] | None = None,
        insecure: bool = False,
        unknown_fields: UnknownFieldRule = "ignore",
        pull: bool | None = None,
    ) -> None:
        check_installation()
        named = None if config is None else Path(config)
        keys = (api_key,) if isinstance(api_key, str) else tuple(api_key)
        self._settings = ServerSettings(
            host=host or os.environ.get("FASTEMBED_HOST") or "127.0.0.1",
            port=_port(port),
            api_keys=keys,
            keys_file=None if keys_file is None else Path(keys_file),
            allow_urls=tuple(allow_urls),
            cache=_cache(caching or {}),
            insecure=insecure,
            unknown_fields=unknown_fields,
            access_log=False,
            pull=_pulls(pull),
            metrics_path=_monitored(monitoring or {}),
        )
        self._logs = "log_level" in (monitoring or {})
        self._source = chosen_file(named)
        self._tuning = Tuning.of(models or {}, hardware or {})
        self._named = named
        self._configuration = self._read()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process: Process | None = None
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self.url = ""
        """Where it listens, once it does."""

    def _read(self) -> Configuration:
        return self._tuning.over(read_configuration(self._named, metrics_path=self._settings.metrics_path))

    def start(self) -> None:
        """Serve until SIGINT or SIGTERM. Call it in the main thread, or use the context manager."""
        if not self._logs and not logging.getLogger().handlers:
            configure("text", "info")  # it is the program: downloads and refusals are shown, as `serve` shows them
        keep_files_private()
        sock = listen(self._settings.host, self._settings.port)
        self.url = address_of(sock)
        print(f"FastEmbed starts at {self.url}", flush=True)  # noqa: T201 - what a person waits for
        process = Process(self._settings, self._configuration, source=self._source, read=self._read)
        with published(self.url, self._source):
            run_process(process, ready=lambda address: print(f"FastEmbed is ready at {address}", flush=True), sock=sock)  # noqa: T201

    def __enter__(self) -> Self:
        """Serve in a thread; return when everything is warm."""
        self._thread = threading.Thread(target=self._run, name="fastembed-server")
        self._thread.start()
        if not self._ready.wait(_START_S):
            self.stop()
            raise TimeoutError(f"the models were not loaded after {_START_S:g} s")
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Drain and stop the server; return when it has stopped."""
        if self._loop is not None and self._process is not None:
            self._loop.call_soon_threadsafe(self._process.stop)
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            sock = listen(self._settings.host, self._settings.port)
            with new_runner() as runner:
                self._loop = runner.get_loop()
                self._process = Process(self._settings, self._configuration, source=self._source, read=self._read)
                runner.run(self._process.serve(sock, ready=self._serves))
        except BaseException as error:  # noqa: BLE001 - it is raised again where the server was started
            self._error = error
        finally:
            self._loop = None
            self._ready.set()

    def _serves(self, address: str) -> None:
        self.url = address
        self._ready.set()


def _port(given: int | None) -> int:
    text = str(os.environ.get("FASTEMBED_PORT") or 8000) if given is None else str(given)
    if not text.isdecimal() or int(text) > _MOST_PORT:
        raise ConfigError([f"port: found {text!r}, expected a number from 0 to {_MOST_PORT}"])
    return int(text)


def _pulls(given: bool | None) -> bool:  # noqa: FBT001 - a parameter of the class, by name there
    return os.environ.get("FASTEMBED_PULL", "").lower() in ("1", "true", "yes", "on") if given is None else given


def _monitored(monitoring: Mapping[str, Any]) -> str | None:
    """Read the parameter `monitoring`: set the log's level, return the path of the metrics. ConfigError as below."""
    _check_keys("monitoring", monitoring, ("enable_metrics", "metrics_endpoint", "log_level"))
    if (named := monitoring.get("log_level")) is not None:
        level = next((level for level in get_args(Level) if level == str(named).lower()), None)
        if level is None:
            raise ConfigError([f"monitoring: found the log_level {named!r}, expected one of {_words(get_args(Level))}"])
        configure("text", level)
    path = monitoring.get("metrics_endpoint", "/metrics")
    if not isinstance(path, str) or re.fullmatch(r"/[A-Za-z0-9._/-]+", path) is None:
        raise ConfigError([f"monitoring: found the metrics_endpoint {path!r}, expected a path such as /metrics"])
    return path if monitoring.get("enable_metrics", True) else None


def _check_keys(parameter: str, found: Mapping[str, Any], known: Sequence[str]) -> None:
    if unknown := sorted(set(found) - set(known)):
        raise ConfigError([f"{parameter}: found {unknown[0]!r}, expected one of {_words(known)}"])


def _words(names: Sequence[str]) -> str:
    return ", ".join(names)


def _cache(caching: Mapping[str, Any]) -> CacheLimits | None:
    """Read the parameter `caching`. ConfigError names a key that it has not, or a value that cannot be read."""
    _check_keys("caching", caching, ("enable_response_cache", "cache_ttl", "cache_size_limit"))
    if not caching.get("enable_response_cache", False):
        return None
    return CacheLimits.of(str(caching.get("cache_size_limit", "256MiB")), caching.get("cache_ttl", TTL_S))
