"""A hub on loopback that speaks what huggingface_hub asks for, and fails where a test tells it to.

Large files live on a second server, as on the real hub: a redirect leads to another origin, which must not see tokens.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE = (".bin", ".gguf", ".safetensors")


@dataclass
class Repository:
    """Files by path. token: what may read it. gated: its list is public, its files are not."""

    files: dict[str, bytes]
    commit: str = "c" * 40
    branches: tuple[str, ...] = ("main",)
    token: str | None = None
    gated: bool = False
    sizes: dict[str, int] = field(default_factory=dict)
    no_checksums: bool = False

    def listing(self, name: str) -> dict[str, object]:
        return {
            "id": name,
            "modelId": name,
            "sha": self.commit,
            "gated": "manual" if self.gated else False,
            "private": False,
            "tags": [],
            "siblings": [self._sibling(path, content) for path, content in self.files.items()],
        }

    def _sibling(self, path: str, content: bytes) -> dict[str, object]:
        size = self.sizes.get(path, len(content))
        found: dict[str, object] = {"rfilename": path, "size": size}
        if not self.no_checksums:
            found["blobId"] = git_name(content)
            if path.endswith(LARGE):
                found["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": size, "pointerSize": 134}
        return found


@dataclass
class Asked:
    method: str
    path: str
    range: str | None
    token: str | None


@dataclass
class LoopbackHub:
    """What the servers serve, what they were asked, and what goes wrong.

    cuts: bytes of a file after which the connection ends, one for each request to come. lies: other content than the
    list promises, for one request each. statuses: (status, headers) to answer first. ignores_ranges: 200 to everything.
    """

    url: str = ""
    stores: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    lies: dict[str, list[bytes]] = field(default_factory=dict)
    statuses: dict[str, list[tuple[int, dict[str, str]]]] = field(default_factory=dict)
    ignores_ranges: bool = False


def git_name(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324 - git's names


@contextmanager
def hub_on_loopback() -> Iterator[LoopbackHub]:
    hub = LoopbackHub()

    class Answers(_Answers):
        served = hub

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Answers) for _ in range(2)]
    hub.url, hub.stores = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: LoopbackHub

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Be quiet."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        given = self.headers.get("authorization")
        token = given.removeprefix("Bearer ") if given else None
        self.served.asked.append(Asked(self.command, path, self.headers.get("range"), token))
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            self._list(found[1], found[2], token)
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(found[1], found[2], found[3], token)
        elif found := re.fullmatch(r"/store/([^/]+/[^/]+)/(.+)", path):
            self._content(found[2], self.served.repositories[found[1]].files[found[2]], {})
        else:
            self._say(404, {})

    def _repository(self, name: str, revision: str | None, token: str | None) -> Repository | None:
        repository = self.served.repositories.get(name)
        if repository is None or (repository.token and not repository.gated and token != repository.token):
            self._say(401 if token is None else 404, {"X-Error-Code": "RepoNotFound"})
            return None
        if revision not in (None, repository.commit, *repository.branches):
            self._say(404, {"X-Error-Code": "RevisionNotFound"})
            return None
        return repository

    def _list(self, name: str, revision: str | None, token: str | None) -> None:
        repository = self._repository(name, revision, token)
        if repository is not None:
            self._say(200, {"content-type": "application/json"}, json.dumps(repository.listing(name)).encode())

    def _resolve(self, name: str, revision: str, path: str, token: str | None) -> None:
        repository = self._repository(name, revision, token)
        if repository is None:
            return
        if repository.gated and token != repository.token:
            self._say(401 if token is None else 403, {"X-Error-Code": "GatedRepo"})
        elif path not in repository.files:
            self._say(404, {"X-Error-Code": "EntryNotFound"})
        elif path.endswith(LARGE):
            content = repository.files[path]
            linked = {
                "X-Repo-Commit": repository.commit,
                "X-Linked-Size": str(len(content)),
                "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
                "Location": f"{self.served.stores}/store/{name}/{path}",
            }
            self._say(302, linked)
        else:
            content = repository.files[path]
            self._content(path, content, {"X-Repo-Commit": repository.commit, "ETag": f'"{git_name(content)}"'})

    def _content(self, path: str, content: bytes, headers: dict[str, str]) -> None:
        if status := _next(self.served.statuses, path):
            self._say(status[0], status[1])
            return
        content = _next(self.served.lies, path) or content
        start, status_code, size = 0, 200, len(content)
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range") or "")
        if found and not self.served.ignores_ranges:
            start, status_code = int(found[1]), 206
            headers = {**headers, "Content-Range": f"bytes {start}-{size - 1}/{size}"}
        cut = _next(self.served.cuts, path)
        self._say(status_code, headers, content[start:], cut)

    def _say(self, status: int, headers: dict[str, str], body: bytes = b"", cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True


def _next(queues: dict[str, list], path: str):
    queue = queues.get(path)
    return queue.pop(0) if queue else None
