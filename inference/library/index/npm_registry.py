"""The user's own npm registry: where a tarball is. npm is asked, or its settings are read; no host's name stands here.

`npm config list` merges its files and the NPM_CONFIG_* variables, so that mirrors, proxies and certificates that work
for npm work for models too. Where there is no npm, NPM_CONFIG_REGISTRY or a line `registry=` in ~/.npmrc is enough.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

import httpx2

from fastembed.inference.library.index.package_index import IndexRefused, IndexUnreachable, Located
from fastembed.inference.library.index.pip_settings import hosts_of
from fastembed.inference.library.index.wheel import Wheel
from fastembed.pipeline.errors import FastEmbedError

_PATIENCE_S: Final = 60
_LINE: Final = re.compile(r"^\s*(?P<key>[^#;=\s][^=]*?)\s*=\s*(?P<value>.*?)\s*$")
_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")
_SETTINGS: Final = ("registry", "https-proxy", "proxy", "cafile", "strict-ssl", "userconfig")


class NpmMissing(FastEmbedError):
    """Nothing says where npm's packages come from."""


@dataclass(frozen=True, slots=True)
class NpmSettings:
    """What concerns finding and downloading a tarball. tokens: the value of `authorization`, by `//host/path/`."""

    registry: str
    proxy: str | None = None
    cafile: str | None = None
    checks: bool = True
    tokens: Mapping[str, str] = field(default_factory=dict)

    def authorization(self, url: str) -> str | None:
        """Return the `authorization` for a URL: that of the longest beginning which the settings name."""
        split = urlsplit(url)
        place = f"//{split.netloc.rpartition('@')[2]}{split.path}"
        named = [start for start in self.tokens if place.startswith(start)]
        return self.tokens[max(named, key=len)] if named else None


def read_npm_settings(environ: Mapping[str, str] | None = None) -> NpmSettings:
    """Ask npm for its settings; without npm, read the environment and ~/.npmrc. NpmMissing: none names a registry."""
    environ = os.environ if environ is None else environ
    npm = shutil.which("npm", path=environ.get("PATH"))
    found = _asked(npm, environ) if npm else _read(environ)
    if not found.get("registry"):
        raise NpmMissing(
            "nothing says where npm's packages come from: install npm, or set NPM_CONFIG_REGISTRY to a registry's URL"
        )
    users = Path(str(found.get("userconfig") or "~/.npmrc")).expanduser()
    return NpmSettings(
        registry=str(found["registry"]).rstrip("/"),
        proxy=found.get("https-proxy") or found.get("proxy") or None,
        cafile=found.get("cafile") or None,
        checks=str(found.get("strict-ssl", "true")).lower() != "false",
        tokens=_tokens(_lines(users, environ)),
    )


@dataclass(slots=True)
class NpmRegistry:
    """The registry, asked when the first tarball is wanted. Use it as a context manager: it holds a connection."""

    environ: Mapping[str, str] | None = None
    _settings: NpmSettings | None = None
    _client: httpx2.Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def locate(self, tarball: Wheel) -> Located:
        """Return where the tarball of a package's version is.

        IndexUnreachable: the registry does not answer. IndexRefused: it does not have it, or refuses. NpmMissing.
        """
        registry = self._read().registry
        address = f"{registry}/{quote(tarball.project, safe='@')}/{quote(tarball.version)}"
        try:
            answer = self.client(address).get(address)
        except httpx2.TransportError as error:
            raise IndexUnreachable(f"{hosts_of([registry])}: no answer ({error})") from error
        self.accept(answer)
        try:
            return Located(str(answer.json()["dist"]["tarball"]), registry)
        except (ValueError, KeyError, TypeError) as error:
            raise IndexRefused(f"{hosts_of([registry])}: found no tarball of {tarball} in its answer") from error

    def client(self, url: str) -> httpx2.Client:
        """Return the client, which shows the token that the settings have for the URL's place."""
        del url
        if self._client is None:
            settings = self._read()
            verify: ssl.SSLContext | bool = settings.checks
            if settings.checks and settings.cafile and Path(settings.cafile).is_file():
                verify = ssl.create_default_context(cafile=settings.cafile)
            self._client = httpx2.Client(
                headers={"user-agent": f"fastembed-multimodal/{version('fastembed-multimodal')}"},
                timeout=httpx2.Timeout(30.0, connect=15.0),
                follow_redirects=True,
                verify=verify,
                proxy=settings.proxy,
                auth=self._authenticate,
            )
        return self._client

    def accept(self, answer: httpx2.Response) -> None:
        """Raise IndexRefused unless the answer is good."""
        if answer.status_code == HTTPStatus.NOT_FOUND:
            raise IndexRefused(f"{hosts_of([str(answer.request.url)])}: it has no such package or version")
        if answer.is_error:
            status = answer.status_code
            raise IndexRefused(f"{hosts_of([str(answer.request.url)])}: status {status}, expected 200; see npm config")

    def _authenticate(self, request: httpx2.Request) -> httpx2.Request:
        if shown := self._read().authorization(str(request.url)):
            request.headers["authorization"] = shown
        return request

    def _read(self) -> NpmSettings:
        if self._settings is None:
            self._settings = read_npm_settings(self.environ)
        return self._settings


def _asked(npm: str, environ: Mapping[str, str]) -> dict[str, Any]:
    command = [npm, "config", "list", "--json"]
    try:
        ended = subprocess.run(  # noqa: S603 - the user's npm and fixed words
            command, env=dict(environ), cwd=Path.home(), capture_output=True, text=True, check=True, timeout=_PATIENCE_S
        )
        found: dict[str, Any] = json.loads(ended.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):  # a broken npm is as good as none
        return _read(environ)
    return {name: found.get(name) for name in _SETTINGS if found.get(name) is not None}


def _read(environ: Mapping[str, str]) -> dict[str, Any]:
    users = Path(environ.get("HOME", "~")).expanduser() / ".npmrc"
    found: dict[str, Any] = {name: value for name, value in _lines(users, environ).items() if name in _SETTINGS}
    for name, value in environ.items():
        key = name.lower().removeprefix("npm_config_").replace("_", "-")
        if name.lower().startswith("npm_config_") and key in _SETTINGS and value:
            found[key] = value
    return {"userconfig": str(users), **found}


def _lines(file: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of an .npmrc, with ${VARIABLES} replaced; none if it cannot be read."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    found = (match for match in map(_LINE.match, text.splitlines()) if match)
    return {
        match["key"]: _VARIABLE.sub(lambda name: environ.get(name[1], name[0]), match["value"].strip("\"'"))
        for match in found
    }


def _tokens(lines: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for key, value in lines.items():
        place, _, kind = key.rpartition(":")
        if place.startswith("//") and kind in ("_authToken", "_auth"):
            found[place] = f"Bearer {value}" if kind == "_authToken" else f"Basic {value}"
    return found
