from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastembed.client.connection import server_root
from fastembed.commands.server import server_url
from fastembed.server_address import address_file, find_server, published

URL = "http://127.0.0.1:12345"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTEMBED_URL", raising=False)
    return tmp_path


def test_a_server_is_found_while_it_runs_and_not_after(folder):
    assert find_server() is None
    with published(URL):
        file = address_file()
        assert file.parent == folder
        assert json.loads(file.read_text()) == {"pid": os.getpid(), "url": URL}
        assert file.stat().st_mode & 0o777 == 0o600
        assert find_server() == find_server() == URL
        assert server_root() == server_url("") == URL
    assert find_server() is None
    assert not list(folder.iterdir())


def test_a_given_address_wins(monkeypatch):
    with published(URL):
        assert server_root("http://other:1/v1") == server_url("http://other:1") == "http://other:1"
        monkeypatch.setenv("FASTEMBED_URL", "http://env:2")
        assert server_root() == "http://env:2"
    assert server_url("", Path("elsewhere/pipelines.yaml")) == "http://127.0.0.1:8000"


def test_configurations_of_one_folder_have_a_file_each(folder):
    with published(URL, folder / "one.yaml"), published("http://127.0.0.1:2", folder / "two.yaml"):
        assert find_server(Path("one.yaml")) == URL
        assert find_server(Path("two.yaml")) == "http://127.0.0.1:2"
        assert find_server() is None


def test_what_a_killed_server_left_is_ignored_and_replaced():
    code = f"""
from fastembed.server_address import published
with published({URL!r}):
    print(1, flush=True)
    input()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        assert find_server() == URL
        server.kill()
    assert address_file().is_file()
    assert find_server() is None
    with published("http://127.0.0.1:2"):
        assert find_server() == "http://127.0.0.1:2"


def test_a_pid_that_is_alive_again_proves_nothing():
    address_file().write_text(json.dumps({"pid": os.getppid(), "url": URL}))
    assert find_server() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"url": 5}', '{"url": "file:///etc/passwd"}'])
def test_what_holds_no_address_is_ignored(text):
    with published(URL):
        address_file().write_text(text)
        assert find_server() is None


def test_a_link_is_not_followed(folder):
    with published(URL, folder / "other.yaml"):
        address_file().symlink_to(address_file(folder / "other.yaml"))
        assert find_server() is None


def test_the_end_of_a_server_leaves_the_file_of_the_next_one_alone():
    first = published(URL)
    first.__enter__()
    with published("http://127.0.0.1:2"):
        first.__exit__(None, None, None)
        assert find_server() == "http://127.0.0.1:2"


def test_a_folder_that_cannot_be_written_to_is_no_reason_not_to_serve(folder):
    with published(URL, folder / "missing" / "pipelines.yaml"):
        assert find_server(folder / "missing" / "pipelines.yaml") is None
