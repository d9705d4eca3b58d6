"""A package index on loopback (PEP 503 and PEP 691), which fails where a test tells it to."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from fastembed.inference.library.index.wheel import Wheel


@dataclass
class LoopbackIndex:
    """What it serves and what it was asked.

    projects: files of each, by name. login: `user:password` that it wants. form: "json", or "html" whatever is asked
    for. cuts: bytes of a file after which the connection ends, one for each request to come. statuses: what to answer
    to a path first. sums: SHA-256 that pages claim instead of the right ones.
    """

    url: str = ""
    host: str = ""
    projects: dict[str, dict[str, bytes]] = field(default_factory=dict)
    login: str = ""
    form: str = "json"
    cuts: dict[str, list[int]] = field(default_factory=dict)
    statuses: dict[str, list[int]] = field(default_factory=dict)
    sums: dict[str, str | None] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def page(self, project: str) -> tuple[str, bytes]:
        files = self.projects[project]
        if self.form == "json":
            listed = [
                {"filename": name, "url": f"../../files/{name}", "hashes": self._hashes(name, content)}
                for name, content in files.items()
            ]
            return "application/vnd.pypi.simple.v1+json", json.dumps({"name": project, "files": listed}).encode()
        links = "".join(
            f'<a href="../../files/{name}{self._fragment(name, content)}" data-requires-python="&gt;=3.8">{name}</a>\n'
            for name, content in files.items()
        )
        return "text/html", f"<!DOCTYPE html><html><body>{links}</body></html>".encode()

    def _hashes(self, name: str, content: bytes) -> dict[str, str]:
        found = self.sums.get(name, hashlib.sha256(content).hexdigest())
        return {"sha256": found} if found else {}

    def _fragment(self, name: str, content: bytes) -> str:
        found = self._hashes(name, content).get("sha256")
        return f"#sha256={found}" if found else ""


def make_wheel(project: str, files: dict[str, bytes], members: dict[str, str]) -> tuple[Wheel, bytes]:
    """Return a pinned wheel with these files, and its content."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    data = content.getvalue()
    name = f"{project.replace('-', '_')}-1.0-py3-none-any.whl"
    return Wheel(project, "1.0", name, len(data), hashlib.sha256(data).hexdigest(), members), data


@contextmanager
def index_on_loopback() -> Iterator[LoopbackIndex]:
    """Serve an index while a test runs."""
    index = LoopbackIndex()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(index))
    index.host = f"127.0.0.1:{server.server_port}"
    index.url = f"http://{index.host}/simple"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(index: LoopbackIndex) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = urlsplit(self.path).path
            index.asked.append((path, self.headers.get("range")))
            if index.statuses.get(path):
                return self._say(index.statuses[path].pop(0))
            right = "Basic " + base64.b64encode(index.login.encode()).decode()
            if index.login and self.headers.get("authorization") != right:
                return self._say(401)
            if (page := re.fullmatch(r"/simple/([^/]+)/", path)) and page[1] in index.projects:
                return self._say(200, *index.page(page[1]))
            if (file := re.fullmatch(r"/files/(.+)", path)) and (found := self._file(file[1])) is not None:
                return self._send(file[1], found)
            return self._say(404)

        def _file(self, name):
            return next((files[name] for files in index.projects.values() if name in files), None)

        def _send(self, name, content):
            asked = re.match(r"bytes=(\d+)-", self.headers.get("range", ""))
            start = int(asked[1]) if asked else 0
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("content-range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("content-length", str(len(content) - start))
            self.end_headers()
            cuts = index.cuts.get(name)
            rest = content[start:]
            self.wfile.write(rest[: cuts.pop(0)] if cuts else rest)
            self.close_connection = True

        def _say(self, status, kind="text/plain", body=b""):
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler
