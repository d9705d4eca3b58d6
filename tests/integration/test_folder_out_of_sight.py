"""A folder that is not mounted, or whose ledger is wrong: nothing is lost, and it goes on when all is well again."""

import asyncio
import contextlib
import os
import shutil
from pathlib import Path

import duckdb
import pytest

from fastembed.pipeline.errors import FileChanged
from fastembed.pipeline.item import Item, Outcome
from fastembed.pipeline.payload.document import File
from tests.integration.test_folder import SETTLE, Line, drop, line, once, wait_for


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


ROWS = {"a.txt": "one", "b.txt": "two"}


async def test_another_folder_in_its_place_keeps_the_rows(
    tmp_path: Path, inbox: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with line(tmp_path) as run:
        for name, text in ROWS.items():
            drop(inbox / name, text)
        await run.expect(ROWS)
        unmount(inbox)
        await wait_for(lambda: "none of the files that were processed" in run.source.progress().problem)
        drop(inbox / "new.txt", "three")
        await run.expect(ROWS | {"new.txt": "three"})
        mount(inbox)
        await run.expect(ROWS)
        assert run.source.progress().problem == ""
        (inbox / "a.txt").unlink()
        await run.expect({"b.txt": "two"})
        assert run.processed == ["a.txt", "b.txt", "new.txt"]
    assert caplog.text.count("their rows are kept") == 1
    assert f"{inbox} is back" in caplog.text


async def test_files_that_go_all_at_once_with_no_word_of_the_watch_are_kept(
    tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with line(tmp_path, rescan=SETTLE) as run:
        for name, text in ROWS.items():
            drop(inbox / name, text)
        await run.expect(ROWS)
        with monkeypatch.context() as patch:  # as a network file system does that has lost its server
            patch.setattr(os, "scandir", lambda _: contextlib.nullcontext([]))
            await wait_for(lambda: run.source.progress().problem != "")
            await asyncio.sleep(5 * SETTLE)
            assert await run.rows() == ROWS
        await wait_for(lambda: run.source.progress().problem == "")
        await run.expect(ROWS)


async def test_a_start_before_the_mount_keeps_the_rows(tmp_path: Path, inbox: Path) -> None:
    for name, text in ROWS.items():
        drop(inbox / name, text)
    await once(tmp_path)
    unmount(inbox)
    states = dict.fromkeys(ROWS, "done")
    for _ in range(2):
        assert await once(tmp_path) == ([], ROWS, states)
    drop(inbox / "a.txt", "another")  # a scanner that does not know that nothing is mounted
    assert (await once(tmp_path))[1] == ROWS | {"a.txt": "another"}
    mount(inbox)
    assert await once(tmp_path) == (["a.txt"], ROWS, states)


@pytest.mark.parametrize("options", [{"deleted": "keep"}, {"done": "processed"}])
async def test_an_empty_folder_in_its_place_is_a_problem_where_rows_are_kept_anyway(
    tmp_path: Path, inbox: Path, options: dict[str, str]
) -> None:
    if "done" in options:
        options = {"done": tmp_path / "processed"}
    async with line(tmp_path, **options) as run:
        drop(inbox / "a.txt", "one")
        await run.expect({"a.txt": "one"})
        unmount(inbox)
        await wait_for(lambda: "Check that its file system is mounted" in run.source.progress().problem)
        mount(inbox)
        await wait_for(lambda: run.source.progress().problem == "")
        unmount(inbox)
        await wait_for(lambda: run.source.progress().problem != "")
        drop(inbox / "b.txt", "two")  # whoever writes here means this folder
        await run.expect({"a.txt": "one", "b.txt": "two"})
        await wait_for(lambda: run.source.progress().problem == "")


async def test_files_deleted_by_hand_are_no_problem_where_their_rows_are_kept(
    tmp_path: Path, inbox: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with line(tmp_path, deleted="keep", rescan=SETTLE) as run:
        drop(inbox / "a.txt", "one")
        await run.expect({"a.txt": "one"})
        (inbox / "a.txt").unlink()
        await asyncio.sleep(10 * SETTLE)  # more than a word of the watch takes, which scans may overtake
        assert run.source.progress().problem == ""
    caplog.clear()
    async with line(tmp_path, deleted="keep") as run:  # nobody saw them go now: a line in the log, and all is well
        await wait_for(lambda: "Check that its file system is mounted" in caplog.text)
        assert run.source.progress().problem == ""


async def test_the_last_files_can_be_deleted(tmp_path: Path, inbox: Path) -> None:
    async with line(tmp_path) as run:
        for name in (*ROWS, "sub/c.txt", "sub/deep/d.txt"):
            drop(inbox / name, name)
        await run.expect({name: name for name in (*ROWS, "sub/c.txt", "sub/deep/d.txt")})
        shutil.rmtree(inbox / "sub")
        for name in ROWS:
            (inbox / name).unlink()
        await run.expect({})
        assert run.source.progress().problem == ""


async def test_files_that_moved_while_it_was_down_take_their_rows_along(tmp_path: Path, inbox: Path) -> None:
    for name, text in ROWS.items():
        drop(inbox / name, text)
    await once(tmp_path)
    (inbox / "2026").mkdir()
    for name in ROWS:
        (inbox / name).rename(inbox / "2026" / name)
    moved = {f"2026/{name}": text for name, text in ROWS.items()}
    assert await once(tmp_path) == ([], moved, dict.fromkeys(moved, "done"))


async def test_what_the_ledger_and_the_rows_say_differently_is_processed_again(tmp_path: Path, inbox: Path) -> None:
    for name, text in ROWS.items():
        drop(inbox / name, text)
    async with line(tmp_path, rescan=SETTLE) as run:
        await run.expect(ROWS)
        for damage in (
            "UPDATE documents SET sha256 = 'x' WHERE name = 'a.txt'",
            "DELETE FROM documents WHERE name = 'a.txt'",
        ):
            await run.sink.lake.write(lambda con, sql: con.execute(sql), damage)
            run.processed.clear()
            await wait_for(lambda: run.processed == ["a.txt"])
            await run.expect(ROWS)
    with duckdb.connect(tmp_path / "lake.duckdb") as connection:
        connection.execute("UPDATE documents SET name = CASE name WHEN 'a.txt' THEN 'b.txt' ELSE 'a.txt' END")
    processed, rows, _ = await once(tmp_path)
    assert (sorted(processed), rows) == (sorted(ROWS), ROWS)


async def test_an_action_that_the_ledger_refuses_is_decided_anew(tmp_path: Path, inbox: Path) -> None:
    drop(inbox / "a.txt", "one")
    async with line(tmp_path) as run:
        await run.expect({"a.txt": "one"})
        await run.sink.lake.write(lambda con: con.execute("UPDATE ledger SET sha256 = 'x' WHERE name = 'a.txt'"))
        (inbox / "a.txt").rename(inbox / "b.txt")
        await run.expect({"b.txt": "one"})


async def test_a_failed_file_is_tried_again_under_another_definition(tmp_path: Path, inbox: Path) -> None:
    drop(inbox / "a.txt", "bad")
    drop(inbox / "b.txt", "good")
    assert sorted((await once(tmp_path))[0]) == ["a.txt", "b.txt"]
    assert (await once(tmp_path))[0] == []
    assert (await once(tmp_path, "d2"))[0] == ["a.txt"]
    assert (await once(tmp_path, "d2"))[0] == []


async def test_files_of_one_size_and_time_are_told_apart(tmp_path: Path, inbox: Path) -> None:
    """As unpacked from an archive, or copied by a tool that keeps times."""
    for name, text in ROWS.items():
        drop(inbox / name, text)
        os.utime(inbox / name, (1e9, 1e9))
    await once(tmp_path)
    swap(inbox / "a.txt", inbox / "b.txt")
    assert (await once(tmp_path))[1] == {"a.txt": "two", "b.txt": "one"}
    async with line(tmp_path) as run:
        drop(inbox / "c.txt", "six")
        os.utime(inbox / "c.txt", (1e9, 1e9))
        await run.expect({"a.txt": "two", "b.txt": "one", "c.txt": "six"})
        drop(inbox / "c.txt", "ten")  # in place
        os.utime(inbox / "c.txt", (1e9, 1e9))
        await run.expect({"a.txt": "two", "b.txt": "one", "c.txt": "ten"})
    assert (await once(tmp_path))[0] == []


class Swapping(Line):
    """Has two files swapped after the first was hashed and before it is read; the watch tells it later."""

    swapped = False

    async def process(self, item: Item[File]) -> None:
        if not self.swapped and item.value.name == "b.txt":
            self.swapped = True
            swap(*(item.value.path.with_name(name) for name in ("a.txt", "b.txt")))
        try:
            await super().process(item)
        except FileChanged as error:
            assert item.on_settled is not None
            item.on_settled(Outcome.DEFERRED, error)


@pytest.mark.parametrize(("other", "state"), [("good 2", "done"), ("skip 2", "skipped"), ("bad  2", "failed")])
async def test_what_was_read_from_another_file_than_was_hashed_does_not_count(
    tmp_path: Path, inbox: Path, other: str, state: str
) -> None:
    rows = {"a.txt": "good 1"} | ({"b.txt": other} if state == "done" else {})
    drop(inbox / "a.txt", other)
    drop(inbox / "b.txt", "good 1")
    async with line(tmp_path, make=Swapping) as run:
        await run.expect(rows, {"a.txt": "done", "b.txt": state})


async def test_a_single_run_processes_a_file_again_that_changed_meanwhile(tmp_path: Path, inbox: Path) -> None:
    drop(inbox / "a.txt", "good 2")
    drop(inbox / "b.txt", "good 1")
    async with line(tmp_path, make=Swapping, once=True) as run:
        await wait_for(lambda: run.source.progress().duplicates == 1)  # what became of a is the next run's
    assert (await once(tmp_path))[1] == {"a.txt": "good 1", "b.txt": "good 2"}


def swap(one: Path, two: Path) -> None:
    one.rename(one.with_name(".aside"))
    two.rename(one)
    one.with_name(".aside").rename(two)


def unmount(inbox: Path) -> None:
    """Leave another, empty folder in its place."""
    inbox.rename(inbox.with_name("volume"))
    inbox.mkdir()


def mount(inbox: Path) -> None:
    shutil.rmtree(inbox)
    inbox.with_name("volume").rename(inbox)
