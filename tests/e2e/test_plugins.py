"""Plug-ins that are wrong, or break, as their author sees it at the command line."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.serving import fastembed

SOURCE = '''
from collections.abc import AsyncIterator
from fastembed.pipeline.component import operator, sink, source
from fastembed.pipeline.item import Item


@source
class Ticks:
    """Yield numbers, then break."""

    {declared}

    def __init__(self, n: int = 3) -> None:
        self.n = n

    async def items(self) -> AsyncIterator[Item[int]]:
        for i in range(self.n):
            yield Item(i)
        {then}


@operator
def double(n: int) -> int:
    return 2 * n


'''
LINES = '''@sink
class Lines:
    """Append lines."""

    {declared}

    def __init__(self, path: str) -> None:
        self._path = path

    {write}(self, item: Item[object]) -> None:
        with open(self._path, "a") as f:
            f.write(f"{{item.value}}\\n")
'''
BREAKS = 'raise ValueError("the feed is not what it was")'
FILE = "version: 1\nplugins: [./plug.py]\npipelines:\n  p:\n    source: {{ticks: 3}}\n    operators: [{step}]\n"
SINK = "    sink: {lines: out.txt}\n"


def write_plugin(
    folder: Path, *, ticks: str = "", then: str = "", lines: str = "", write: str = "async def write", step: str = ""
) -> None:
    text = SOURCE.format(declared=ticks, then=then or "return") + LINES.format(declared=lines, write=write)
    (folder / "plug.py").write_text(text)
    (folder / "pipelines.yaml").write_text(FILE.format(step=step) + SINK)


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [
        ({"write": "def write"}, "sink lines: found a plain function for write(), expected a coroutine function"),
        ({"lines": "transactional = True"}, "sink lines: found transactional = True without commit and abort"),
        ({"lines": "transactionl = True"}, "found transactionl = True, expected a known name; did you mean"),
        ({"ticks": "replayble = True"}, "source ticks: found replayble = True, expected a known name; did you mean"),
        ({"ticks": "order = 'sorted'"}, "source ticks: found order = 'sorted', expected one of strict, key, none"),
    ],
)
def test_what_check_refuses_with_its_line_run_refuses_too(tmp_path: Path, plugin: dict[str, str], reason: str) -> None:
    write_plugin(tmp_path, **plugin)
    checked = fastembed(tmp_path, "check")
    mark = "@source" if "ticks" in plugin else "@sink"
    line = (tmp_path / "plug.py").read_text().splitlines().index(mark) + 1
    assert checked.returncode == 2
    assert "pipelines.yaml:2:11: found a component in " in checked.stderr
    assert f"plug.py:{line} that cannot be used: " in checked.stderr
    assert reason in checked.stderr
    assert checked.stderr.endswith("\n1 problem\n")  # its consequences are not told beside it
    ran = fastembed(tmp_path, "run", "--once")
    assert ran.returncode == 2
    assert reason in ran.stderr


def test_once_runs_a_source_that_raises_once_and_ends_with_1(tmp_path: Path) -> None:
    write_plugin(tmp_path, then=BREAKS, step="double", ticks="resumes = True")
    assert fastembed(tmp_path, "check").returncode == 0
    ended = fastembed(tmp_path, "run", "--once")
    assert (ended.returncode, ended.stdout) == (1, "p: 3 delivered; it broke once, the log says why\n")
    assert (tmp_path / "out.txt").read_text() == "0\n2\n4\n"
    assert "the feed is not what it was" in ended.stderr


def test_a_source_that_would_repeat_itself_is_not_started_again(tmp_path: Path) -> None:
    write_plugin(tmp_path, then=BREAKS)
    assert "at most once" in fastembed(tmp_path, "check").stdout
    ended = fastembed(tmp_path, "run")
    assert (ended.returncode, ended.stdout) == (1, "p: 3 delivered; it broke once, the log says why\n")
    assert (tmp_path / "out.txt").read_text() == "0\n1\n2\n"


def test_a_stop_between_two_runs_of_a_broken_source_is_final_and_counts_both(tmp_path: Path) -> None:
    write_plugin(tmp_path, then=BREAKS, ticks="resumes = True")
    out = tmp_path / "out.txt"
    arguments = [sys.executable, "-m", "fastembed", "run"]
    with subprocess.Popen(
        arguments, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        breaks = (line for line in running.stderr if "rebuilt in" in line)
        assert "in 0.5 s" in next(breaks)
        assert "in 1 s" in next(breaks)
        running.send_signal(signal.SIGINT)
        stdout, _ = running.communicate(timeout=60)
    assert (running.returncode, stdout) == (1, "p: 6 delivered; it broke 2 times, the log says why\n")
    assert out.read_text() == 2 * "0\n1\n2\n"
