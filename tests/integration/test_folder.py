"""A real folder, a real watch and a real database: what is dropped is there once, whatever happens to it."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fastembed.pipeline.component import Context, Resources
from fastembed.pipeline.filing import NO_INPUT
from fastembed.pipeline.item import Ack, Item, Outcome
from fastembed.pipeline.payload.document import Chunk, Document, File
from fastembed.pipeline.spec import describe
from fastembed.sinks.duckdb import Duckdb
from fastembed.sources.folder import Folder

SETTLE = 0.1


class Line:
    """A pipeline of one source and one sink, as short as it can be: text files become a document with one chunk."""

    def __init__(self, base: Path, options: dict[str, Any], definition: str, *, once: bool = False) -> None:
        self.sink = Duckdb(Path("lake.duckdb"))
        self.source = Folder(Path("inbox"), **({"settle": SETTLE, "rescan": 30.0} | options))
        self.contexts = [
            Context("papers", step, definition, base, Resources(), once, self.sink if step == "source" else None)
            for step in ("sink", "source")
        ]
        self.processed: list[str] = []
        self.hold = asyncio.Event()
        self.hold.set()

    async def run(self) -> None:
        async with contextlib.aclosing(self.source.items()) as items:
            async for item in items:
                item.ack = Ack(item, lambda _: None)
                await self.hold.wait()
                await self.process(item)

    async def process(self, item: Item[File]) -> None:
        file = item.value
        self.processed.append(file.name)
        assert item.on_settled is not None
        if item.ack.cancelled:
            item.on_settled(Outcome.CANCELLED, None)
            return
        text = file.path.read_text()
        if text.startswith("bad"):
            item.on_settled(Outcome.FAILED, ValueError("found bad, expected good"))
            return
        if text.startswith("skip"):
            item.on_settled(Outcome.FILTERED, None)
            return
        document = Document(file, file.name, text, "{}", (), 0, "txt")
        await self.sink.write(item.derive(document))
        await self.sink.write(item.derive(Chunk(document, 0, 1, text)))
        await self.sink.commit(item)
        item.on_settled(Outcome.DELIVERED, None)

    async def rows(self) -> dict[str, str]:
        return dict(
            await self.sink.lake.read(
                lambda con: con.execute(
                    "SELECT name, text FROM documents d JOIN chunks c ON c.document_id = d.id"
                ).fetchall()
            )
            if "chunks" in await self.sink.lake.tables()
            else []
        )

    async def states(self) -> dict[str, str]:
        return {entry.name: entry.state for entry in await self.sink.entries()}

    async def expect(self, rows: dict[str, str], states: dict[str, str] | None = None) -> None:
        """Wait until rows and ledger are as given (states: all of them done)."""
        wanted = (rows, dict.fromkeys(rows, "done") if states is None else states)
        found: Any = None
        try:
            async with asyncio.timeout(15):
                while found != wanted:
                    await asyncio.sleep(0.01)
                    found = (await self.rows(), await self.states())
        except TimeoutError:
            assert found == wanted


@asynccontextmanager
async def line(
    base: Path, definition: str = "d1", *, make: type[Line] = Line, once: bool = False, **options: Any
) -> AsyncIterator[Line]:
    made = make(base, options, definition, once=once)
    await made.sink.open(made.contexts[0])
    await made.source.open(made.contexts[1])
    running = asyncio.create_task(made.run())
    yield made
    made.source.stop()
    await asyncio.wait_for(running, 10)
    await made.source.close()
    await made.sink.close()


async def once(base: Path, definition: str = "d1", **options: Any) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """Run until nothing is left; return what was processed, the rows and the states."""
    made = Line(base, options, definition, once=True)
    await made.sink.open(made.contexts[0])
    await made.source.open(made.contexts[1])
    await asyncio.wait_for(made.run(), 20)
    await made.source.close()
    found = made.processed, await made.rows(), await made.states()
    await made.sink.close()
    return found


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


def drop(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_its_signature_is_its_schema() -> None:
    spec = describe(Folder, "folder")
    assert (spec.primary, spec.out_type) == ("path", File)
    assert list(spec.options) == ["path", "match", "ignore", "settle", "rescan", "done", "deleted"]


async def test_a_dropped_file_is_queryable(tmp_path: Path) -> None:
    async with line(tmp_path) as run:  # makes the inbox
        drop(tmp_path / "inbox/sub/a.txt", "one")
        await run.expect({"sub/a.txt": "one"})


async def test_changes_renames_and_deletions_are_followed_without_parsing_again(tmp_path: Path, inbox: Path) -> None:
    async with line(tmp_path) as run:
        drop(inbox / "a.txt", "one")
        drop(inbox / "b.txt", "two")
        await run.expect({"a.txt": "one", "b.txt": "two"})
        (inbox / "a.txt").rename(inbox / "c.txt")
        await run.expect({"c.txt": "one", "b.txt": "two"})
        (inbox / "b.txt").unlink()
        await run.expect({"c.txt": "one"})
        assert sorted(run.processed) == ["a.txt", "b.txt"]
        drop(inbox / "c.txt", "three")
        await run.expect({"c.txt": "three"})


async def test_a_folder_that_is_moved_in_renamed_and_moved_out(tmp_path: Path, inbox: Path) -> None:
    for i in range(5):
        drop(tmp_path / f"elsewhere/deep/{i}.txt", f"text {i}")
    async with line(tmp_path) as run:
        (tmp_path / "elsewhere").rename(inbox / "in")
        await run.expect({f"in/deep/{i}.txt": f"text {i}" for i in range(5)})
        (inbox / "in").rename(inbox / "out")
        await run.expect({f"out/deep/{i}.txt": f"text {i}" for i in range(5)})
        assert len(run.processed) == 5
        (inbox / "out").rename(tmp_path / "away")
        await run.expect({})


async def test_same_bytes_are_a_duplicate_that_takes_over_when_the_first_goes(tmp_path: Path, inbox: Path) -> None:
    async with line(tmp_path) as run:
        drop(inbox / "a.txt", "one")
        await run.expect({"a.txt": "one"})
        shutil.copy(inbox / "a.txt", inbox / "copy.txt")
        await run.expect({"a.txt": "one"}, {"a.txt": "done", "copy.txt": "duplicate"})
        (inbox / "a.txt").unlink()
        await run.expect({"copy.txt": "one"})
        assert run.processed == ["a.txt"]


async def test_a_removed_and_recreated_inbox_is_watched_again(tmp_path: Path, inbox: Path) -> None:
    async with line(tmp_path) as run:
        drop(inbox / "a.txt", "one")
        await run.expect({"a.txt": "one"})
        shutil.rmtree(inbox)
        drop(inbox / "b.txt", "two")
        await run.expect({"b.txt": "two"})
        drop(inbox / "c.txt", "three")
        await run.expect({"b.txt": "two", "c.txt": "three"})


async def test_a_missing_inbox_is_no_deletion(tmp_path: Path, inbox: Path) -> None:
    async with line(tmp_path, rescan=SETTLE) as run:
        drop(inbox / "a.txt", "one")
        await run.expect({"a.txt": "one"})
        shutil.move(inbox, tmp_path / "unmounted")
        await asyncio.sleep(5 * SETTLE)  # many scans see no inbox
        assert await run.rows() == {"a.txt": "one"}
        (tmp_path / "unmounted").rename(inbox)
        drop(inbox / "b.txt", "two")
        await run.expect({"a.txt": "one", "b.txt": "two"})
        assert run.processed == ["a.txt", "b.txt"]


async def test_a_name_that_is_no_utf8_does_not_end_the_watch(
    tmp_path: Path, inbox: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with line(tmp_path, rescan=3600.0) as made:
        drop(inbox / "a.txt", "one")
        await made.expect({"a.txt": "one"})
        os.close(os.open(os.fsencode(inbox) + b"/\xff\xfe.txt", os.O_CREAT))
        drop(inbox / "b.txt", "two")
        await made.expect({"a.txt": "one", "b.txt": "two"})
        drop(inbox / "c.txt", "three")
        await made.expect({"a.txt": "one", "b.txt": "two", "c.txt": "three"})
    assert "its name is not valid UTF-8: rename it" in caplog.text


async def test_a_file_is_not_read_while_it_grows(tmp_path: Path, inbox: Path) -> None:
    async with line(tmp_path, settle=0.4) as run:
        with (inbox / "a.txt").open("w") as file:
            for part in range(8):
                file.write(f"{part} ")
                file.flush()
                await asyncio.sleep(0.1)
        await run.expect({"a.txt": "0 1 2 3 4 5 6 7 "})
        assert run.processed == ["a.txt"]


async def test_unfinished_hidden_ignored_and_unmatched_files_stay_out(tmp_path: Path, inbox: Path) -> None:
    for name in ("a.tmp", "b.part", "c.txt~", ".d.txt", ".git/e.txt", "failed/f.txt", "g.exe", "~$h.txt"):
        drop(inbox / name, name)
    drop(inbox / "kept out" / NO_INPUT, "")
    drop(inbox / "kept out" / "i.txt", "i")
    drop(tmp_path / "outside.txt", "secret")
    (inbox / "link.txt").symlink_to(tmp_path / "outside.txt")
    (inbox / "loop").symlink_to(inbox)
    drop(inbox / "UPPER.TXT", "yes")
    processed, rows, states = await once(tmp_path, match="**/*.{txt,md}")
    assert (processed, rows, states) == (["UPPER.TXT"], {"UPPER.TXT": "yes"}, {"UPPER.TXT": "done"})


async def test_a_link_within_the_inbox_is_a_duplicate(tmp_path: Path, inbox: Path) -> None:
    drop(inbox / "a.txt", "one")
    (inbox / "b.txt").symlink_to(inbox / "a.txt")
    processed, _, states = await once(tmp_path)
    assert len(processed) == 1
    assert sorted(states.values()) == ["done", "duplicate"]


async def test_once_ends_and_a_second_run_has_nothing_to_do(tmp_path: Path, inbox: Path) -> None:
    texts = {f"{i}.txt": f"text {i}" for i in range(20)} | {"z.txt": "text 0", "y.txt": "bad", "x.txt": "skip"}
    for name, text in texts.items():
        drop(inbox / name, text)
    processed, rows, states = await once(tmp_path)
    assert len(processed) == 22
    assert sorted(rows.values()) == sorted(f"text {i}" for i in range(20))
    assert (states["y.txt"], states["x.txt"]) == ("failed", "skipped")
    assert await once(tmp_path) == ([], rows, states)


async def test_what_happened_while_it_was_down_is_caught_up(tmp_path: Path, inbox: Path) -> None:
    for name in "abcd":
        drop(inbox / f"{name}.txt", f"text {name}")
    await once(tmp_path)
    (inbox / "a.txt").rename(inbox / "moved.txt")
    (inbox / "b.txt").unlink()
    drop(inbox / "c.txt", "changed")
    drop(inbox / "e.txt", "new")
    processed, rows, states = await once(tmp_path)
    assert sorted(processed) == ["c.txt", "e.txt"]
    assert rows == {"moved.txt": "text a", "c.txt": "changed", "d.txt": "text d", "e.txt": "new"}
    assert states == dict.fromkeys(rows, "done")


async def test_done_files_are_moved_and_their_rows_stay(tmp_path: Path, inbox: Path) -> None:
    drop(inbox / "sub/a.txt", "one")
    drop(inbox / "b.txt", "one")
    assert len((await once(tmp_path, done=Path("inbox/done")))[0]) == 1
    assert (inbox / "done/sub/a.txt").read_text() == (inbox / "done/b.txt").read_text() == "one"
    drop(inbox / "b.txt", "two")
    processed, rows, _ = await once(tmp_path, done=Path("inbox/done"))
    assert (processed, rows["b.txt"]) == (["b.txt"], "two")
    kept = sorted((path.name, path.read_text()) for path in (inbox / "done").glob("b*"))
    assert kept == [("b.3fc4ccfe.txt", "two"), ("b.txt", "one")]


async def test_a_crash_after_moving_a_done_file_is_healed(tmp_path: Path, inbox: Path) -> None:
    drop(inbox / "a.txt", "one")
    await once(tmp_path)
    (inbox / "done").mkdir()
    (inbox / "a.txt").rename(inbox / "done/a.txt")  # killed here: the ledger knows nothing of it
    made = Line(tmp_path, {"done": Path("inbox/done")}, "d1", once=True)
    await made.sink.open(made.contexts[0])
    await made.source.open(made.contexts[1])
    await asyncio.wait_for(made.run(), 10)
    assert [(row.state, row.path) for row in await made.sink.lake.documents()] == [("done", str(inbox / "done/a.txt"))]
    await made.source.close()
    await made.sink.close()


async def test_deleted_files_can_keep_their_rows(tmp_path: Path, inbox: Path) -> None:
    drop(inbox / "a.txt", "one")
    await once(tmp_path, deleted="keep")
    (inbox / "a.txt").unlink()
    drop(inbox / "b.txt", "one")
    assert await once(tmp_path, deleted="keep") == ([], {"a.txt": "one"}, {"a.txt": "done", "b.txt": "duplicate"})


async def test_another_definition_processes_again_only_when_asked(
    tmp_path: Path, inbox: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    drop(inbox / "a.txt", "one")
    await once(tmp_path)
    assert (await once(tmp_path, definition="d2"))[0] == []
    assert "1 files were processed by another definition" in caplog.text
    async with line(tmp_path, definition="d2", rescan=SETTLE) as run:
        assert await run.sink.lake.reprocess("papers", "d2") == 1
        await wait_for(lambda: run.source.progress().in_flight == 0 and run.processed == ["a.txt"])
        assert [entry.definition for entry in await run.sink.entries()] == ["d2"]
        assert await run.sink.lake.reprocess("papers", "d2") == 0


async def test_a_failed_file_in_place_is_tried_again_when_asked(tmp_path: Path, inbox: Path) -> None:
    drop(inbox / "a.txt", "bad")
    async with line(tmp_path, rescan=SETTLE) as run:
        await run.expect({}, {"a.txt": "failed"})
        assert (await run.sink.lake.failures())[0].reason == "ValueError: found bad, expected good"
        assert await run.sink.lake.retry() == ["a.txt"]
        await wait_for(lambda: len(run.processed) == 2)
        drop(inbox / "a.txt", "good")
        await run.expect({"a.txt": "good"})


async def test_a_file_that_changes_or_goes_while_in_flight_is_cancelled(tmp_path: Path, inbox: Path) -> None:
    async with line(tmp_path) as run:
        run.hold.clear()
        drop(inbox / "a.txt", "one")
        item = await in_flight(run.source)
        drop(inbox / "a.txt", "another")
        await wait_for(lambda: item.ack.cancelled)
        run.hold.set()
        await run.expect({"a.txt": "another"})
        run.hold.clear()
        drop(inbox / "b.txt", "two")
        item = await in_flight(run.source)
        (inbox / "b.txt").unlink()
        await wait_for(lambda: item.ack.cancelled)
        run.hold.set()
        await run.expect({"a.txt": "another"})


async def test_an_unreadable_file_is_told_once_and_taken_when_it_can_be_read(
    mortal_base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = mortal_base / "inbox"
    drop(inbox / "a.txt", "one")
    (inbox / "a.txt").chmod(0)
    async with line(mortal_base, rescan=SETTLE) as run:
        await wait_for(lambda: run.source.progress().unreadable == 1)
        (inbox / "a.txt").chmod(0o644)
        await run.expect({"a.txt": "one"})
    assert caplog.text.count("cannot be read") == 1


async def test_files_in_a_folder_that_cannot_be_listed_are_not_deleted(mortal_base: Path) -> None:
    inbox = mortal_base / "inbox"
    drop(inbox / "sub/a.txt", "one")
    drop(inbox / "locked/deep/b.txt", "two")
    await once(mortal_base)
    (inbox / "locked").chmod(0)
    (inbox / "sub").chmod(0o400)  # can be listed, its files cannot be looked at
    processed, rows, _ = await once(mortal_base)
    for name in ("locked", "sub"):
        (inbox / name).chmod(0o755)
    assert (processed, rows) == ([], {"sub/a.txt": "one", "locked/deep/b.txt": "two"})


async def in_flight(source: Folder) -> Item[File]:
    await wait_for(lambda: bool(source._in_flight))
    return next(iter(source._in_flight.values()))


async def wait_for(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not check():  # noqa: ASYNC110 - what happens, happens on disk: nobody can set an event
            await asyncio.sleep(0.01)
