"""Child processes: what they get, what they do not get, and when they end."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastembed.pipeline.processes.framing import ask, pickled
from fastembed.pipeline.processes.starter import ChildProcess, ProcessLimits

HERE = Path(__file__).parent


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ChildProcess]]:
    monkeypatch.syspath_prepend(str(HERE))
    started: list[ChildProcess] = []

    def begin(argument: Any = None, **options: Any) -> ChildProcess:
        started.append(ChildProcess("child_targets", argument, **options))
        return started[-1]

    yield begin
    for process in started:
        process.end()


def test_a_process_gets_its_argument_limits_and_environment(start):
    limits = ProcessLimits(memory_bytes=1 << 30, nice=3, files=32)
    process = start({"say": "Grüße"}, limits=limits, environment={"OF_THE_CHILD": "yes"})
    state = ask(process.pipe, "state")
    assert state["argument"] == {"say": "Grüße"}
    assert state["limits"] == {"DATA": (1 << 30, 1 << 30), "CORE": (0, 0), "NOFILE": (32, 32)}
    assert state["nice"] == os.nice(0) + 3
    assert (state["environment"], state["isolated"], state["ignores"]) == ("yes", 1, [True, True])


def test_a_process_inherits_no_descriptor_but_those_it_is_given(start, tmp_path):
    for name in ("secret", "given"):
        (tmp_path / name).write_text(name)
    with (tmp_path / "secret").open() as secret, (tmp_path / "given").open() as given:
        os.set_inheritable(secret.fileno(), True)
        process = start(keep_open=[given.fileno()])
        files = ask(process.pipe, "state")["files"]
        assert given.fileno() in files
        assert ask(process.pipe, ("read", given.fileno())) == b"given"
        assert len(files) == 3 + 1 + 1 + 1  # the standard ones, the pipe, what was given, the folder that is listed


def test_a_folder_with_modules_of_its_own_changes_nothing(start, tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise RuntimeError('not the one')")
    monkeypatch.chdir(tmp_path)
    assert ask(start().pipe, "state")["json"] == "json"


def test_a_process_outlives_the_thread_that_asked_for_it(start):
    made: list[ChildProcess] = []
    thread = threading.Thread(target=lambda: made.append(start()))
    thread.start()
    thread.join()
    assert ask(made[0].pipe, "state")["argument"] is None
    assert made[0].alive


def test_a_process_that_cannot_start_leaves_no_socket(start, monkeypatch):
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count is what is wanted
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(OSError, match="No such file"):
        start()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above


def test_ending_says_how_it_ended(start):
    process = start()
    process.pipe.sendall(pickled("leave"))
    process.process.wait(10)
    assert process.end() == "ended with exit status 3"
    hanging = start()
    assert ask(hanging.pipe, "hang") == "hanging"
    assert hanging.end() == "was ended by SIGKILL"


def test_a_process_ends_when_its_pipe_is_closed_even_while_it_works(start):
    process = start()
    assert ask(process.pipe, "hang") == "hanging"
    assert process.end(patience_s=10) == "ended with exit status 0"


PARENT = """
import os, sys, threading
sys.path.insert(0, sys.argv[1])
from fastembed.pipeline.processes.framing import ask
from fastembed.pipeline.processes.starter import ChildProcess
made = []
thread = threading.Thread(target=lambda: made.append(ChildProcess("child_targets")))
thread.start(); thread.join()
ask(made[0].pipe, "hang")
print(made[0].pid, flush=True)
if sys.argv[2] == "copied":
    os.set_inheritable(made[0].pipe.fileno(), True)
    import subprocess
    print(subprocess.Popen(["sleep", "60"], close_fds=False, stdout=subprocess.DEVNULL).pid, flush=True)
input()
"""


@pytest.mark.parametrize("how", ["alone", "copied"])
def test_a_process_dies_with_its_parent_also_when_somebody_else_holds_the_pipe(how):
    command = [sys.executable, "-c", PARENT, str(HERE), how]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as parent:
        pid = int(parent.stdout.readline())
        other = int(parent.stdout.readline()) if how == "copied" else None
        watch = os.pidfd_open(pid)
        parent.kill()
    try:
        assert select.select([watch], [], [], 10)[0], "the process outlived its parent"
    finally:
        os.close(watch)
        if other is not None:
            os.kill(other, signal.SIGKILL)
