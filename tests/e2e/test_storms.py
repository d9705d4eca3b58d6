"""Storms of renames, swaps, copies and deletions with `kill -9` of the real process: 0 lost, 0 twice, 0 stale.

`pytest tests/e2e/test_storms.py --storms 200` has two hundred of them; by default there are eight.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import duckdb
import pytest

INBOXES = 8  # one process has so many storms at once
KILLS = 3
NAMES = ("a.txt", "b.txt", "c.txt", "d.txt", "sub/e.txt", "sub/f.txt")
TEXTS = tuple(f"{letter} " * (1 + index % 3) for index, letter in enumerate("pqrstuvwx"))  # several of each size

PLUGIN = '''
"""Reads text at some moment of its time in flight, so that everything can happen before and after."""

import asyncio
import random

from fastembed.pipeline.component import operator
from fastembed.pipeline.payload.document import Document, File


@operator
async def open_text(file: File) -> Document:
    await asyncio.sleep(random.random() * 0.1)
    text = file.path.read_text()
    await asyncio.sleep(random.random() * 0.1)
    return Document(file, file.name, text, "{}", (), 0, "text")
'''

PIPELINE = """
  storm{number}:
    source: {{folder: inbox{number}, settle: 50ms, rescan: 300ms}}
    operators: [{{open_text: {{}}, workers: 4}}]
    sink: {{duckdb: lake.duckdb}}
"""


@pytest.mark.timeout(3600)
def test_storms_lose_nothing_repeat_nothing_and_leave_nothing_stale(tmp_path, request):
    storms = request.config.getoption("--storms")
    found: Counter[str] = Counter()
    for first in range(0, storms, INBOXES):
        home = tmp_path / str(first)
        found += storm(home, random.Random(first), min(INBOXES, storms - first))
        assert found["lost"] == found["twice"] == found["stale"] == 0, (
            f"{found}\n{(home / 'log.txt').read_text()[-9000:]}"
        )
        shutil.rmtree(home)
    assert found["files"] >= 2 * storms, "the storms leave files"
    sys.stdout.write(f"\n{storms} storms: {dict(found)}\n")


def storm(home: Path, rng: random.Random, count: int) -> Counter[str]:
    """Let one process have `count` storms, kill it again and again, let it come to rest; return what was found."""
    inboxes = [home / f"inbox{number}" for number in range(count)]
    for inbox in inboxes:
        (inbox / "sub").mkdir(parents=True)
        (inbox / "anchor.txt").write_text("always here")
    (home / "reading.py").write_text(PLUGIN)
    pipelines = "".join(PIPELINE.format(number=number) for number in range(count))
    (home / "pipelines.yaml").write_text(f"version: 1\nplugins: [./reading.py]\npipelines:\n{pipelines}")
    actions = 0
    for _ in range(KILLS):
        process = run(home)
        until = time.monotonic() + 1.5 + 2.5 * rng.random()
        actions += blow(inboxes, rng, until)
        assert process.poll() is None, (home / "log.txt").read_text()[-4000:]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        actions += blow(inboxes, rng, time.monotonic() + 0.1 * rng.random())  # while nobody looks
    assert run(home, "--once").wait(120) == 0, (home / "log.txt").read_text()[-4000:]
    found = Counter(actions=actions, kills=KILLS)
    for inbox in inboxes:
        found += differences(home / "lake.duckdb", f"storm{inbox.name.removeprefix('inbox')}", inbox)
    return found


def run(home: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "fastembed", "run", "--config", "pipelines.yaml", *options]
    with (home / "log.txt").open("ab") as log:
        return subprocess.Popen(command, cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def blow(inboxes: list[Path], rng: random.Random, until: float) -> int:
    """Do something to some file every few milliseconds; return how often."""
    actions = 0
    while time.monotonic() < until:
        inbox = rng.choice(inboxes)
        one, other = (inbox / name for name in rng.sample(NAMES, 2))
        action = rng.choice((write, write, rename, rename, swap, swap, copy, copy_with_its_time, delete))
        action(one, other, rng.choice(TEXTS))
        actions += 1
        time.sleep(rng.choice((0, 0, 0.002, 0.01, 0.05)))
    return actions


def write(one: Path, _: Path, text: str) -> None:
    one.write_text(text)


def rename(one: Path, other: Path, _: str) -> None:
    if one.exists():
        one.rename(other)


def swap(one: Path, other: Path, _: str) -> None:
    if one.exists() and other.exists():
        aside = one.with_name(".aside")
        one.rename(aside)
        other.rename(one)
        aside.rename(other)


def copy(one: Path, other: Path, _: str) -> None:
    if one.exists():
        shutil.copyfile(one, other)


def copy_with_its_time(one: Path, other: Path, _: str) -> None:
    if one.exists():
        shutil.copy2(one, other)


def delete(one: Path, _other: Path, _text: str) -> None:
    one.unlink(missing_ok=True)


def differences(database: Path, pipeline: str, inbox: Path) -> Counter[str]:
    """Count what the database has not, has twice or has wrongly of the files of an inbox."""
    files = {path.relative_to(inbox).as_posix(): path.read_text() for path in inbox.rglob("*.txt")}
    with duckdb.connect(database, read_only=True) as connection:
        documents = connection.execute(
            "SELECT name, markdown, sha256 FROM documents WHERE pipeline = ?", [pipeline]
        ).fetchall()
        ledger = dict(connection.execute("SELECT name, sha256 FROM ledger WHERE pipeline = ?", [pipeline]).fetchall())
    texts = Counter(text for _, text, _ in documents)
    lost = [*(set(files.values()) - texts.keys()), *(files.keys() - ledger.keys())]
    twice = [text for text, count in texts.items() if count > 1] + sorted(
        (Counter(name for name, _, _ in documents) - Counter({name for name, _, _ in documents})).elements()
    )
    stale = [(name, text) for name, text, sha256 in documents if files.get(name) != text or sha256_of(text) != sha256]
    stale += [(name, sha) for name, sha in ledger.items() if name not in files or sha256_of(files[name]) != sha]
    if lost or twice or stale:
        sys.stdout.write(f"{pipeline}: {lost=} {twice=} {stale=}\n{files=}\n{documents=}\n{ledger=}\n")
    return Counter(files=len(files), documents=len(documents), lost=len(lost), twice=len(twice), stale=len(stale))


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
