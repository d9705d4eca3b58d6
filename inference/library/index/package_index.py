"""Package indexes over HTTP, or as folders: where a wheel is, and what their refusals mean."""

from __future__ import annotations

import netrc
import os
import re
import ssl
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Final, Self
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import httpx2
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from fastembed.inference.library.index.pip_settings import PipSettings, hosts_of
from fastembed.inference.library.index.simple_page import ACCEPT, Link, NoSimplePage, read_page
from fastembed.inference.library.index.wheel import Wheel
from fastembed.pipeline.errors import FastEmbedError

_CLOSED: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED)


class IndexRefused(FastEmbedError):
    """No index gives the wheel; the message lists what each said."""


class IndexUnreachable(IndexRefused):
    """No index answered at all."""


@dataclass(frozen=True, slots=True)
class Located:
    """A wheel's address: a URL, or a file on this machine. index: which index named it."""

    url: str
    index: str

    @property
    def path(self) -> Path | None:
        """The file, if it is on this machine."""
        return path_of(self.url)


class _Silent(Exception):
    """One index does not answer."""


class _Said(Exception):
    """What one index says instead of giving the wheel."""


@dataclass(slots=True)
class PackageIndex:
    """The user's indexes. Use it as a context manager: it holds connections."""

    settings: PipSettings
    _clients: dict[bool, httpx2.Client] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def locate(self, wheel: Wheel) -> Located:
        """Return where the wheel is: in the first of --find-links, then of the indexes, that has it.

        IndexUnreachable: none of them answers. IndexRefused: those that answer do not have it, or refuse.
        """
        answers: list[str] = []
        silent = 0
        for source, address in self._sources(wheel):
            try:
                links = self._links(address)
                found = _pick(links, wheel)
            except _Silent as error:
                silent += 1
                answers.append(f"{hosts_of([source])}: no answer ({error})")
            except _Said as error:
                answers.append(f"{hosts_of([source])}: {error}")
            else:
                return Located(self._with_credentials(found.url, source), source)
        if not answers:
            raise IndexRefused(f"no package index to ask for {wheel}: pip is set to use none (no-index)")
        kind = IndexUnreachable if silent == len(answers) else IndexRefused
        raise kind(f"no package index gives {wheel}; " + "; ".join(answers) + "; `pip config list` shows which are set")

    def client(self, url: str) -> httpx2.Client:
        """Return the client for a URL: one that checks certificates, unless its host is among pip's trusted ones."""
        split = urlsplit(url)
        trusted = bool(self.settings.trusted & {split.hostname or "", split.netloc.rpartition("@")[2]})
        if trusted not in self._clients:
            self._clients[trusted] = self._connect(trusted=trusted)
        return self._clients[trusted]

    def accept(self, answer: httpx2.Response) -> None:
        """Raise IndexRefused unless the answer to a file's request is good."""
        if answer.is_error:
            raise IndexRefused(f"{hosts_of([str(answer.request.url)])}: {_meaning(answer)}")

    def _connect(self, *, trusted: bool) -> httpx2.Client:
        settings = self.settings
        return httpx2.Client(
            headers={"user-agent": f"fastembed-multimodal/{version('fastembed-multimodal')}"},
            timeout=httpx2.Timeout(max(settings.timeout_s, 15.0), connect=min(settings.timeout_s, 15.0)),
            follow_redirects=True,
            verify=_context(settings, trusted=trusted),
            proxy=settings.proxy,
            auth=_authenticate,
        )

    def _sources(self, wheel: Wheel) -> Iterator[tuple[str, str]]:
        """Give each place to look, and the address to look at."""
        for link in self.settings.find_links:
            yield link, link
        for index in self.settings.indexes:
            yield index, f"{index}/{canonicalize_name(wheel.project)}/"

    def _links(self, address: str) -> list[Link]:
        path = path_of(address)
        if path is not None:
            return _local_links(path)
        try:
            answer = self.client(address).get(address, headers={"accept": ACCEPT})
        except httpx2.TransportError as error:
            raise _Silent(str(error) or type(error).__name__) from error
        except httpx2.InvalidURL as error:
            raise _Said(f"not a URL ({error})") from error
        if answer.is_error:
            raise _Said(_meaning(answer))
        try:
            return read_page(answer.content, answer.headers.get("content-type", ""), str(answer.url))
        except NoSimplePage as error:
            raise _Said(str(error)) from error

    def _with_credentials(self, url: str, source: str) -> str:
        """Return the file's URL with the index's own user and password where both are on one host."""
        split, origin = urlsplit(url), urlsplit(source)
        user, at, host = origin.netloc.rpartition("@")
        if at and "@" not in split.netloc and host == split.netloc:
            return split._replace(netloc=f"{user}@{host}").geturl()
        return url


def path_of(address: str) -> Path | None:
    """Return the path that a `file:` URL or a plain path means; None for anything on the network."""
    split = urlsplit(address)
    if split.scheme == "file":
        return Path(url2pathname(split.path))
    return None if re.match(r"\w[\w+.-]+://", address) else Path(address).expanduser()


def _local_links(path: Path) -> list[Link]:
    if path.is_file():
        return [Link(path.name, path.as_uri())] if path.suffix == ".whl" else _page(path)
    if not path.is_dir():
        raise _Said("no such folder")
    page = path / "index.html"
    files = [Link(file.name, file.absolute().as_uri()) for file in path.iterdir() if file.suffix == ".whl"]
    return files + (_page(page) if page.is_file() else [])


def _page(file: Path) -> list[Link]:
    return read_page(file.read_bytes(), "text/html", file.absolute().as_uri())


def _pick(links: list[Link], wheel: Wheel) -> Link:
    """Return the link to the very wheel. A file whose sum the page says to be another is passed over."""
    named = [link for link in links if _is_same(link.filename, wheel.filename)]
    right = [link for link in named if link.sha256 in (None, wheel.sha256)]
    if right:
        return right[0]
    if named:
        raise _Said(f"its {wheel.filename} has the SHA-256 {named[0].sha256}, expected {wheel.sha256}")
    raise _Said(f"no {wheel.filename} among its {len(links)} files")


def _is_same(found: str, expected: str) -> bool:
    if found == expected:
        return True
    try:
        return parse_wheel_filename(found) == parse_wheel_filename(expected)
    except (InvalidWheelFilename, ValueError):
        return False


def _meaning(answer: httpx2.Response) -> str:
    status = answer.status_code
    if status in _CLOSED:
        return (
            f"status {status}: it wants a user and a password; put them into the index's URL "
            "(pip config set global.index-url), or into ~/.netrc"
        )
    if status == HTTPStatus.NOT_FOUND:
        return "it has no such project"
    return f"status {status}, expected 200"


def _context(settings: PipSettings, *, trusted: bool) -> ssl.SSLContext | bool:
    if trusted:
        return False
    if not settings.cert and not settings.client_cert:
        return True
    context = ssl.create_default_context(cafile=settings.cert or None)
    if settings.client_cert:
        context.load_cert_chain(settings.client_cert)
    return context


def _authenticate(request: httpx2.Request) -> httpx2.Request:
    """Show the user and password that stand in the URL, else those of ~/.netrc (or $NETRC), as pip does."""
    user, _, password = (unquote(part) for part in request.url.userinfo.decode("ascii").partition(":"))
    if not user and (found := _from_netrc(request.url.host)):
        user, password = found
    if user:
        token = b64encode(f"{user}:{password}".encode()).decode("ascii")
        request.headers["authorization"] = f"Basic {token}"
    return request


def _from_netrc(host: str) -> tuple[str, str] | None:
    try:
        found = netrc.netrc(os.environ.get("NETRC") or str(Path("~/.netrc").expanduser())).authenticators(host)
    except (OSError, netrc.NetrcParseError):  # none, or a broken one, is as good as none
        return None
    return (found[0], found[2]) if found and found[0] and found[2] else None
