"""Which files share a transaction, and what becomes of them when it fails."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.document import Document, File
from fastembed.sinks.lake.database import utc_now
from fastembed.sinks.lake.group_commit import MAX_FILES, MAX_WEIGHT, Destination, GroupCommit
from fastembed.sinks.lake.opening import LakeFull
from fastembed.sinks.lake.writing import ReadFile

PAPERS = Destination("papers", "d1", "chunks")
START = utc_now().replace(second=0)
NOTES = Destination("notes", "d1", "chunks")


def file_called(name: str, text: str = "text") -> ReadFile:
    return ReadFile(Document(File(Path("/in") / name, name, "aa", 7, 1), name, text, "{}", (), 0, "text"), ())


class Database:
    """Commits groups, each of which takes a few turns of the event loop; refuses those that hold `refused`."""

    def __init__(self, refused: str = "", error: Exception | None = None) -> None:
        self.groups: list[list[str]] = []
        self.times: list[datetime] = []
        self._refused, self._error = refused, error
        self.commits = GroupCommit(self.write)

    @property
    def written(self) -> list[str]:
        return [name for group in self.groups for name in group]

    async def write(self, files: Sequence[ReadFile], _: Destination, at: datetime) -> None:
        for _turn in range(3):
            await asyncio.sleep(0)
        if self._error is not None and any(file.name == self._refused for file in files):
            raise self._error
        self.groups.append([file.name for file in files])
        self.times.append(at)

    async def commit(self, *files: ReadFile, to: Sequence[Destination] = ()) -> list[BaseException | None]:
        """Commit all files at the same time; return how each ended."""
        places = to or [PAPERS] * len(files)
        at = [START.replace(second=second % 60) for second in range(len(files))]
        commits = [self.commits.commit(*each) for each in zip(files, places, at, strict=True)]
        return await asyncio.gather(*commits, return_exceptions=True)


async def test_what_becomes_ready_while_a_file_is_written_is_written_together() -> None:
    database = Database()
    assert await database.commit(*(file_called(f"{n}") for n in range(5))) == [None] * 5
    assert database.written == ["0", "1", "2", "3", "4"]
    assert len(database.groups) <= 2


async def test_a_group_has_the_time_of_its_earliest_file() -> None:
    database = Database()
    await database.commit(file_called("a"), file_called("b"), file_called("c"))
    assert database.times[-1].second == int(database.groups[0] == ["a"])


async def test_two_contents_of_one_name_are_written_one_after_the_other() -> None:
    database = Database()
    await database.commit(file_called("a"), file_called("b"), file_called("b", "newer"), file_called("c"))
    assert all(len(set(group)) == len(group) for group in database.groups)
    assert database.written == ["a", "b", "b", "c"]


async def test_files_of_two_pipelines_share_no_transaction() -> None:
    database = Database()
    await database.commit(*map(file_called, "abcd"), to=[PAPERS, PAPERS, NOTES, NOTES])
    assert database.written == ["a", "b", "c", "d"]
    assert not any("b" in group and "c" in group for group in database.groups)


async def test_a_group_is_bounded_in_files_and_in_text() -> None:
    database = Database()
    await database.commit(*(file_called(f"{n}") for n in range(3 * MAX_FILES)))
    assert max(map(len, database.groups)) <= MAX_FILES
    database = Database()
    half = "x" * (MAX_WEIGHT // 2)
    await database.commit(*(file_called(f"{n}", half) for n in range(6)), file_called("large", 3 * half))
    assert max(map(len, database.groups)) == 1
    assert database.written == ["0", "1", "2", "3", "4", "5", "large"]


async def test_only_the_file_that_cannot_be_written_fails() -> None:
    database = Database("c", InvalidInput("found odd vectors"))
    ended = await database.commit(*map(file_called, "abcde"))
    assert [type(each) for each in ended] == [type(None)] * 2 + [InvalidInput] + [type(None)] * 2
    assert database.written == ["a", "b", "d", "e"]


async def test_a_full_disk_fails_all_that_wait_once() -> None:
    database = Database("a", LakeFull(Path("lake.duckdb"), OSError("No space left on device")))
    ended = await database.commit(*map(file_called, "abc"))
    assert [type(each) for each in ended] == [LakeFull] * 3
    assert await database.commit(file_called("d")) == [None]


async def test_a_caller_that_is_cancelled_holds_up_nobody() -> None:
    database = Database()
    tasks = [asyncio.create_task(database.commits.commit(file_called(name), PAPERS, START)) for name in "abc"]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[1].cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in ended] == [asyncio.CancelledError, asyncio.CancelledError, type(None)]
    assert "c" in database.groups[-1]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await database.commits.commit(file_called("d"), PAPERS, START)
    assert await database.commit(file_called("e")) == [None]
