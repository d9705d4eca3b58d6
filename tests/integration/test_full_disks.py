"""A full disk is told where operators look."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastembed.pipeline.health import Health
from fastembed.pipeline.ledger import LedgerEntry
from fastembed.server.observability.full_disks import LEAST_BYTES, free_bytes, look
from fastembed.sinks.lake.database import Lakes
from fastembed.sinks.lake.opening import LakeFull
from tests.integration.test_folder import Line, drop, line, once, wait_for


@contextmanager
def no_file_may_grow() -> Iterator[None]:
    """Let no file of this process grow beyond 4 KiB: as on a disk that a quota keeps full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_disk_without_room_is_a_problem_until_there_is_some(tmp_path: Path) -> None:
    health, lakes = Health(), Lakes()
    lake = await lakes.acquire(tmp_path / "lake.duckdb")
    room = {lake.path: LEAST_BYTES - 1, tmp_path / "files": LEAST_BYTES}
    await look(health, lakes, [tmp_path / "files"], free=room.get)
    assert health.lines() == [f"disk of {lake.path}: the disk is full: 63 MiB free, expected at least 64"]
    room[lake.path], room[tmp_path / "files"] = LEAST_BYTES, 0
    await look(health, lakes, [tmp_path / "files"], free=room.get)
    assert health.lines() == [f"disk of {tmp_path / 'files'}: the disk is full: 0 MiB free, expected at least 64"]
    await lakes.release(lake)


async def test_a_database_that_cannot_grow_says_so_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    health, lakes = Health(), Lakes()
    lake = await lakes.acquire(tmp_path / "lake.duckdb")
    monkeypatch.setattr(lake, "room_s", 0.0)
    entry = LedgerEntry("a" * 8192, "", "d", "failed", 1, 1, "", "")
    with no_file_may_grow(), pytest.raises(LakeFull):
        await lake.ledger("papers").record(entry)
    await look(health, lakes, free=lambda _: None)
    assert "disk or quota full" in health.lines()[0]
    await lake.ledger("papers").record(entry)
    await look(health, lakes, free=lambda _: None)
    assert health.lines() == []
    await lakes.release(lake)


def test_room_is_measured_where_a_folder_would_be(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "there") == free_bytes(tmp_path)
    assert free_bytes(Path("/proc/none")) is None


async def test_a_ledger_that_cannot_be_written_for_a_while_breaks_no_pipeline(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    async with line(tmp_path) as run:
        run.sink.lake.room_s = 0.0
        drop(tmp_path / "inbox" / "a.txt", "one" * 2000)
        await run.expect({"a.txt": "one" * 2000})
        with no_file_may_grow():
            (tmp_path / "inbox" / "a.txt").rename(tmp_path / "inbox" / "b.txt")
            drop(tmp_path / "inbox" / "c.txt", "two")
            await wait_for(lambda: run.sink.lake.full != "")
            assert run.processed == ["a.txt"], "nothing is emitted while what was decided before is not recorded"
        await run.expect({"b.txt": "one" * 2000, "c.txt": "two"})
        assert run.processed == ["a.txt", "c.txt"]


async def test_a_single_run_ends_at_once_where_the_ledger_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    drop(tmp_path / "inbox" / "a.txt", "one")
    await once(tmp_path)
    for number in range(60):
        drop(tmp_path / "inbox" / f"copy {number}.txt", "one")
    run = Line(tmp_path, {}, "d1", once=True)
    await run.sink.open(run.contexts[0])
    await run.source.open(run.contexts[1])
    with no_file_may_grow(), pytest.raises(LakeFull, match="free space on its disk"):
        await asyncio.wait_for(run.run(), 5)
    await run.sink.close()
