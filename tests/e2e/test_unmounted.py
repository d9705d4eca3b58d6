"""The file system of a watched folder goes and comes back, under the real process: its documents stay.

With a real mount where this machine lets the tests make one (root, Linux), and with another folder in its place.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.serving import Serving, fastembed, serving

PLUGIN = """
from fastembed.pipeline.component import operator
from fastembed.pipeline.payload.document import Document, File


@operator
def open_text(file: File) -> Document:
    return Document(file, file.name, file.path.read_text(), "{}", (), 0, "text")
"""

PIPELINES = """
version: 1
plugins: [./reading.py]
pipelines:
  notes:
    source: {folder: inbox, settle: 50ms, rescan: 500ms}
    operators: [open_text]
    sink: {duckdb: lake.duckdb}
"""


class ReplacedFolder:
    """The folder is moved away; an empty one lies in its place."""

    prefix: Sequence[str] = ()

    def __init__(self, home: Path) -> None:
        self.inbox, self.volume = home / "inbox", home / "volume"

    def mount(self, _: Serving) -> None:
        self.inbox.rmdir()
        self.volume.rename(self.inbox)

    def unmount(self, _: Serving) -> None:
        self.inbox.rename(self.volume)
        self.inbox.mkdir()

    @property
    def files(self) -> Path:
        return self.volume if self.volume.exists() else self.inbox


class BindMount(ReplacedFolder):
    """A file system is mounted on the folder, for the server's eyes only."""

    prefix = ("unshare", "--mount", "--propagation", "private")

    def mount(self, server: Serving) -> None:
        self._inside(server, "mount", "--bind", str(self.volume), str(self.inbox))

    def unmount(self, server: Serving) -> None:
        self._inside(server, "umount", str(self.inbox))

    def _inside(self, server: Serving, *command: str) -> None:
        subprocess.run(["nsenter", "--target", str(server.process.pid), "--mount", *command], check=True)


def can_mount() -> bool:
    try:
        tried = subprocess.run(
            [*BindMount.prefix, "mount", "--bind", "/tmp", "/tmp"],  # noqa: S108 - nothing is written there
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        return False
    return tried.returncode == 0


class MountBelow(BindMount):
    """A file system is mounted on a folder of the inbox."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.inbox = home / "inbox" / "share"
        self.inbox.mkdir()


MOUNTS = can_mount()
WAYS = [ReplacedFolder, BindMount] if MOUNTS else [ReplacedFolder]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for folder in ("inbox", "volume"):
        (tmp_path / folder).mkdir()
    (tmp_path / "reading.py").write_text(PLUGIN)
    (tmp_path / "pipelines.yaml").write_text(PIPELINES)
    return tmp_path


@pytest.mark.timeout(180)
@pytest.mark.parametrize("make", WAYS)
def test_an_unmounted_inbox_keeps_its_documents_says_so_and_goes_on_when_it_is_back(
    home: Path, make: type[ReplacedFolder]
) -> None:
    way = make(home)
    with serving(home, prefix=way.prefix) as server:
        way.mount(server)
        write(way.files, "a.txt", "b.txt")
        wait_for(lambda: documents(server) == {"a.txt": "done", "b.txt": "done"})
        way.unmount(server)
        wait_for(lambda: ready(server)["status"] == "degraded")
        [problem] = ready(server)["problems"]
        assert "none of the files that were processed from here (2) is here; their rows are kept" in problem
        status = httpx2.get(f"{server.url}/v1/system/status").json()
        assert status["problems"] == [problem]
        assert status["pipelines"][0]["problem"] in problem
        time.sleep(1.0)  # far longer than a deleted file is waited for
        assert documents(server) == {"a.txt": "done", "b.txt": "done"}
        listed = fastembed(home, "ls", "--url", server.url)
        assert (listed.returncode, problem in listed.stderr, listed.stdout.count("done")) == (0, True, 2)
        assert server.errors().count("their rows are kept") == 1
        assert server.terminate() == 0
    assert "their rows are kept" in fastembed(home, "run", "--once").stderr
    listed = fastembed(home, "ls")
    assert (listed.returncode, "none of these files is in it" in listed.stderr, listed.stdout.count("done")) == (
        0,
        True,
        2,
    )
    with serving(home, prefix=way.prefix) as server:
        wait_for(lambda: ready(server)["status"] == "degraded")
        way.mount(server)
        wait_for(lambda: ready(server) == {"status": "ready", "waiting_for": [], "degraded": []})
        assert documents(server) == {"a.txt": "done", "b.txt": "done"}
        write(way.files, "c.txt")
        (way.files / "a.txt").unlink()
        wait_for(lambda: documents(server) == {"b.txt": "done", "c.txt": "done"})
        [pipeline] = httpx2.get(f"{server.url}/v1/system/status").json()["pipelines"]
        assert (pipeline["admitted"], pipeline["problem"]) == (1, "")


if MOUNTS:  # rather left out than skipped

    @pytest.mark.timeout(180)
    def test_what_lies_on_a_file_system_that_is_mounted_in_the_inbox_stays_when_it_goes(home: Path) -> None:
        way = MountBelow(home)
        known = {"own.txt": "done", "share/a.txt": "done"}
        write(home / "inbox", "own.txt")
        with serving(home, prefix=way.prefix) as server:
            way.mount(server)
            write(way.volume, "a.txt")
            wait_for(lambda: documents(server) == known)
            way.unmount(server)
            write(home / "inbox", "new.txt")
            wait_for(lambda: ready(server)["status"] == "degraded")
            assert "share: a file system was mounted here and is not any more" in ready(server)["problems"][0]
            time.sleep(2.0)  # several scans
            assert documents(server) == known | {"new.txt": "done"}
            way.mount(server)
            wait_for(lambda: ready(server)["status"] == "ready")
            (way.volume / "a.txt").unlink()
            wait_for(lambda: documents(server) == {"own.txt": "done", "new.txt": "done"})


@pytest.mark.timeout(180)
@pytest.mark.parametrize("running", [True, False])
def test_files_that_were_deleted_while_it_was_down_are_forgotten_when_asked(home: Path, *, running: bool) -> None:
    write(home / "inbox", "a.txt", "b.txt")
    assert fastembed(home, "run", "--once").returncode == 0
    for name in ("a.txt", "b.txt"):
        (home / "inbox" / name).unlink()
    assert fastembed(home, "run", "--once").returncode == 1
    if running:
        with serving(home) as server:
            wait_for(lambda: ready(server)["status"] == "degraded")
            assert fastembed(home, "forget", "notes", "--url", server.url).stdout == "2 files of notes are forgotten\n"
            wait_for(lambda: documents(server) == {} and ready(server)["status"] == "ready")
    else:
        assert fastembed(home, "forget", "notes").stdout == "2 files of notes are forgotten\n"
    assert fastembed(home, "ls").stdout == ""
    assert fastembed(home, "run", "--once").returncode == 0


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text(f"This is {name}.")


def documents(server: Serving) -> dict[str, str]:
    return {row["name"]: row["state"] for row in httpx2.get(f"{server.url}/v1/documents").json()["data"]}


def ready(server: Serving) -> dict[str, Any]:
    answer: dict[str, Any] = httpx2.get(f"{server.url}/readyz").json()
    return answer


def wait_for(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)
