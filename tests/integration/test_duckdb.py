"""The DuckDB sink on a real database file."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from fastembed.pipeline.component import Context, Resources
from fastembed.pipeline.errors import InvalidInput, Unavailable
from fastembed.pipeline.item import Ack, Item
from fastembed.pipeline.ledger import LedgerEntry
from fastembed.pipeline.payload.document import Chunk, Document, File
from fastembed.pipeline.spec import describe
from fastembed.sinks.duckdb import Duckdb
from fastembed.sinks.lake.database import Lake, Lakes
from fastembed.sinks.lake.opening import LakeFull, LakeLocked


def file_called(name: str, sha256: str = "aa") -> File:
    return File(Path("/in") / name, name, sha256, 7, 1)


def document_of(file: File, text: str = "# Title") -> Document:
    return Document(file, "Title", text, '{"name": "x"}', (), 3, "pdf", 1, 0.5, ("odd",))


def chunks_of(document: Document, texts: Sequence[str], length: int = 4, seed: int = 0) -> list[Chunk]:
    vectors = np.random.default_rng(seed).standard_normal((len(texts), length)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        Chunk(document, i, len(texts), text, ("Title", f"Part {i}"), (i + 1, i + 2), 5, vectors[i], "mini")
        for i, text in enumerate(texts)
    ]


def admitted(file: File) -> Item[Any]:
    item: Item[Any] = Item(file)
    item.ack = Ack(item, lambda _: None)
    return item


async def put(sink: Duckdb, file: File, texts: Sequence[str], length: int = 4, seed: int = 0) -> None:
    origin = admitted(file)
    document = document_of(file)
    await sink.write(origin.derive(document))
    for chunk in reversed(chunks_of(document, texts, length, seed)):  # any order of arrival
        await sink.write(origin.derive(chunk))
    await sink.commit(origin)


def context(tmp_path: Path, resources: Resources | None = None, definition: str = "d1") -> Context:
    return Context("papers", "sink", definition, tmp_path, resources or Resources())


@pytest.fixture
async def sink(tmp_path: Path) -> AsyncIterator[Duckdb]:
    sink = Duckdb(Path("data/lake.duckdb"))
    await sink.open(context(tmp_path))
    yield sink
    await sink.close()


async def rows(sink: Duckdb, sql: str) -> list[tuple[Any, ...]]:
    return await sink.lake.read(lambda con: con.execute(sql).fetchall())


def test_its_signature_is_its_schema() -> None:
    spec = describe(Duckdb, "duckdb")
    assert (spec.primary, list(spec.options), spec.wants_item) == ("path", ["path", "table"], True)
    assert spec.in_type == Document | Chunk


async def test_a_commit_writes_the_document_its_chunks_and_the_ledger(sink: Duckdb) -> None:
    await put(sink, file_called("a.pdf"), ["one", "two", "three"])
    assert await rows(sink, "SELECT name, sha256, page_count, chunk_count, structure->>'name' FROM documents") == [
        ("a.pdf", "aa", 3, 3, "x")
    ]
    found = await rows(sink, 'SELECT "index", text, headings, first_page, last_page, model FROM chunks ORDER BY id')
    assert found[1] == (1, "two", ["Title", "Part 1"], 2, 3, "mini")
    assert list(await sink.entries()) == [LedgerEntry("a.pdf", "aa", "d1", "done", 7, 1)]


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file of this process grow beyond 4 KiB: for whoever writes, the disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_commit_waits_for_room_on_the_disk(sink: Duckdb, caplog: pytest.LogCaptureFixture) -> None:
    with full_disk():
        putting = asyncio.create_task(put(sink, file_called("a.pdf"), ["one"] * 50))
        async with asyncio.timeout(10):
            while "disk or quota full" not in caplog.text:  # noqa: ASYNC110 - only the log says it
                await asyncio.sleep(0)
        assert await rows(sink, "SELECT * FROM ledger") == []
    await putting
    assert await rows(sink, "SELECT count(*) FROM chunks") == [(50,)]


async def test_a_commit_waits_for_room_in_vain_only_so_long(sink: Duckdb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink.lake, "room_s", 0.0)
    with full_disk(), pytest.raises(LakeFull, match="disk or quota full"):
        await put(sink, file_called("a.pdf"), ["one"] * 50)
    await put(sink, file_called("b.pdf"), ["one"])
    assert await rows(sink, "SELECT name FROM ledger") == [("b.pdf",)]


async def test_vectors_come_out_as_they_went_in(sink: Duckdb) -> None:
    file = file_called("a.pdf")
    document = document_of(file)
    chunks = chunks_of(document, [f"text {i}" for i in range(1500)], length=96)
    origin = admitted(file)
    await sink.write(origin.derive(document))
    for chunk in chunks:
        await sink.write(origin.derive(chunk))
    await sink.commit(origin)
    found = await rows(sink, 'SELECT text, embedding FROM chunks ORDER BY "index"')
    assert [text for text, _ in found] == [chunk.text for chunk in chunks]
    assert np.array_equal(np.array([v for _, v in found], np.float32), np.stack([c.embedding for c in chunks]))  # type: ignore[misc]


async def test_nothing_is_visible_before_the_commit_nor_after_an_abort(sink: Duckdb) -> None:
    file = file_called("a.pdf")
    origin = admitted(file)
    await sink.write(origin.derive(document_of(file)))
    assert await rows(sink, "SELECT * FROM documents") == []
    await sink.abort(origin)
    await sink.commit(origin)
    assert await rows(sink, "SELECT * FROM documents") == []


async def test_a_second_commit_of_a_name_replaces_its_rows(sink: Duckdb) -> None:
    await put(sink, file_called("a.pdf"), ["one", "two", "three"])
    await put(sink, file_called("b.pdf", "bb"), ["other"])
    await put(sink, file_called("a.pdf", "a2"), ["new"])
    assert sorted(await rows(sink, "SELECT text FROM chunks")) == [("new",), ("other",)]
    assert len(await rows(sink, "SELECT DISTINCT chunk_id FROM chunks_terms")) == 2
    assert {(e.name, e.sha256) for e in await sink.entries()} == {("a.pdf", "a2"), ("b.pdf", "bb")}


async def test_files_committed_together_have_the_rows_that_they_have_one_by_one(sink: Duckdb) -> None:
    files = [file_called(f"{n}.pdf", f"sha{n}") for n in range(20)]
    texts = [[f"wind {n} snow {i}" for i in range(n % 4)] for n in range(20)]
    shown = """SELECT d.name, d.sha256, d.warnings, d.chunk_count, c."index", c.text, c.headings, c.first_page,
        c.embedding, (SELECT list(row(term, occurrences, length) ORDER BY term)
        FROM chunks_terms t WHERE t.chunk_id = c.id)
        FROM documents d LEFT JOIN chunks c ON c.document_id = d.id ORDER BY ALL"""
    for n, file in enumerate(files):
        await put(sink, file, texts[n], seed=n)
    one_by_one = await rows(sink, shown)
    for _ in range(2):  # in place of the rows that are there
        await asyncio.gather(*(put(sink, file, texts[n], seed=n) for n, file in enumerate(files)))
        assert await rows(sink, shown) == one_by_one
    assert await rows(sink, "SELECT count(*), count(DISTINCT id) FROM chunks") == [(30, 30)]
    assert {entry.name for entry in await sink.entries("done")} == {file.name for file in files}


async def test_a_stop_with_hundreds_of_files_ready_waits_for_few_transactions(sink: Duckdb) -> None:
    # A stop lets commits end that were asked for. One transaction a file (0.35 s each on a busy machine) made that
    # minutes.
    await put(sink, file_called("first.pdf"), ["one"])
    (before,) = (await rows(sink, "SELECT txid_current()"))[0]
    await asyncio.gather(*(put(sink, file_called(f"{n}.pdf", f"sha{n}"), ["one"]) for n in range(200)))
    (after,) = (await rows(sink, "SELECT txid_current()"))[0]
    assert after - before < 50
    assert await rows(sink, "SELECT count(*) FROM ledger WHERE state = 'done'") == [(201,)]


async def test_of_files_committed_together_only_the_one_that_cannot_be_written_fails(sink: Duckdb) -> None:
    lengths = [4, 4, 8, 4, 4]
    commits = (put(sink, file_called(f"{n}.pdf"), ["one"], length) for n, length in enumerate(lengths))
    ended = await asyncio.gather(*commits, return_exceptions=True)
    assert [type(error) for error in ended if error is not None] == [Unavailable]
    assert sorted(await rows(sink, "SELECT name FROM documents")) == [(f"{n}.pdf",) for n in (0, 1, 3, 4)]
    assert sorted(await rows(sink, "SELECT name FROM ledger")) == [(f"{n}.pdf",) for n in (0, 1, 3, 4)]


async def test_a_document_with_no_chunks_is_written(sink: Duckdb) -> None:
    await put(sink, file_called("empty.md"), [])
    assert await rows(sink, "SELECT name, chunk_count FROM documents") == [("empty.md", 0)]


async def test_text_that_utf8_cannot_hold_is_written_with_replacements(sink: Duckdb) -> None:
    await put(sink, file_called("a.pdf"), ["lone \ud800 and nul \0."])
    assert await rows(sink, "SELECT text FROM chunks") == [("lone ? and nul \ufffd.",)]


async def test_vectors_of_another_length_are_refused_and_change_nothing(sink: Duckdb) -> None:
    await put(sink, file_called("a.pdf"), ["one"])
    with pytest.raises(Unavailable, match="found vectors of 8 values, expected 4 as in the table chunks"):
        await put(sink, file_called("a.pdf", "a2"), ["two"], length=8)
    assert await rows(sink, "SELECT text FROM chunks") == [("one",)]


async def test_a_table_gets_its_vectors_with_the_first_embedded_document(sink: Duckdb) -> None:
    file = file_called("plain.md")
    document = document_of(file)
    origin = admitted(file)
    await sink.write(origin.derive(document))
    await sink.write(origin.derive(Chunk(document, 0, 1, "no vector")))
    await sink.commit(origin)
    await put(sink, file_called("a.pdf", "bb"), ["one"])
    assert await rows(sink, "SELECT embedding IS NULL, first_page IS NULL FROM chunks ORDER BY id") == [
        (True, True),
        (False, False),
    ]


async def test_a_value_of_another_type_says_what_is_expected(sink: Duckdb) -> None:
    with pytest.raises(InvalidInput, match="found str, expected Document or Chunk"):
        await sink.write(admitted(file_called("a")).derive("text"))


async def test_rename_moves_rows_ledger_and_duplicates(sink: Duckdb) -> None:
    await put(sink, file_called("old/a.pdf"), ["one"])
    await put(sink, file_called("b.pdf", "bb"), ["replaced by the rename"])
    await sink.record(LedgerEntry("copy.pdf", "aa", "d1", "duplicate", 7, 1, "old/a.pdf"))
    for _ in range(2):  # a second time changes nothing
        await sink.rename("old/a.pdf", "b.pdf")
    assert await rows(sink, "SELECT name, path FROM documents") == [("b.pdf", "/in/b.pdf")]
    assert await rows(sink, "SELECT text FROM chunks") == [("one",)]
    assert {(e.name, e.state, e.detail) for e in await sink.entries()} == {
        ("b.pdf", "done", ""),
        ("copy.pdf", "duplicate", "b.pdf"),
    }


async def test_forget_removes_everything_of_a_name(sink: Duckdb) -> None:
    await put(sink, file_called("a.pdf"), ["one"])
    await sink.forget("a.pdf")
    for table in ("documents", "chunks", "chunks_terms", "ledger"):
        assert await rows(sink, f"FROM {table}") == []


async def test_what_the_pipeline_moved_away_is_not_forgotten(sink: Duckdb) -> None:
    await put(sink, file_called("a.pdf"), ["one"])
    await sink.record(LedgerEntry("a.pdf", "aa", "d1", "done", 7, 1, location="/done/a.pdf"))
    await sink.forget("a.pdf")
    assert await rows(sink, "SELECT path FROM documents") == [("/done/a.pdf",)]
    assert await rows(sink, "SELECT text FROM chunks") == [("one",)]


@pytest.mark.parametrize("state", ["failed", "duplicate", "skipped"])
async def test_a_name_that_fails_or_doubles_loses_its_rows(sink: Duckdb, state: Any) -> None:
    await put(sink, file_called("a.pdf"), ["one"])
    await sink.record(LedgerEntry("a.pdf", "a2", "d1", state, 8, 2, "why"))
    assert await rows(sink, "SELECT * FROM chunks") == []
    assert [e.state for e in await sink.entries()] == [state]


async def test_two_pipelines_share_one_database(tmp_path: Path) -> None:
    resources = Resources()
    first, second = Duckdb(Path("lake.duckdb")), Duckdb(Path("lake.duckdb"), table="notes")
    await first.open(context(tmp_path, resources))
    await second.open(Context("notes", "sink", "d", tmp_path, resources))
    assert first.lake is second.lake
    await put(first, file_called("a.pdf"), ["one"])
    await put(second, file_called("a.pdf"), ["two"], length=6)
    assert await rows(first, "SELECT pipeline, name, chunk_table FROM documents ORDER BY ALL") == [
        ("notes", "a.pdf", "notes"),
        ("papers", "a.pdf", "chunks"),
    ]
    await first.close()
    assert await rows(second, "SELECT text FROM notes") == [("two",)]
    await second.close()
    assert resources.get(Lakes).opened() == []


async def test_rows_survive_closing_and_opening(tmp_path: Path) -> None:
    for name in ("a.pdf", "b.pdf"):
        sink = Duckdb(tmp_path / "lake.duckdb")
        await sink.open(context(tmp_path))
        await put(sink, file_called(name), ["one"])
        await sink.close()
    with duckdb.connect(str(tmp_path / "lake.duckdb"), read_only=True) as con:
        assert con.execute("SELECT count(*), count(DISTINCT id) FROM documents").fetchone() == (2, 2)


async def test_a_file_that_another_process_holds_names_its_pid(tmp_path: Path) -> None:
    path = tmp_path / "lake.duckdb"
    hold = f"import duckdb; c = duckdb.connect({str(path)!r}); print('open', flush=True); input()"
    with subprocess.Popen(  # noqa: ASYNC220 - nothing else runs meanwhile
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(LakeLocked, match=f"is open in process {holder.pid} ") as caught:
            await Duckdb(path).open(context(tmp_path))
        assert caught.value.pid == holder.pid
        holder.kill()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lake.duckdb"
    path.write_bytes(b"something else " * 1000)
    with pytest.raises(Unavailable, match="expected a DuckDB database or no file"):
        await Duckdb(path).open(context(tmp_path))


async def test_a_database_of_a_newer_version_is_refused(tmp_path: Path, sink: Duckdb) -> None:
    await sink.lake.write(lambda con: con.execute("INSERT INTO schema_version VALUES (99)"))
    await sink.close()
    with pytest.raises(Unavailable, match="found schema version 99"):
        await Duckdb(Path("data/lake.duckdb")).open(context(tmp_path))


@pytest.mark.parametrize("table", ["documents", "Chunks", "1st", "x_terms", 'a"b', ""])
def test_a_table_name_that_cannot_be_is_refused(table: str) -> None:
    with pytest.raises(InvalidInput, match="found the table name"):
        Duckdb(Path("x"), table=table)


CRASHING = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = [{root!r}, {here!r}]
from test_duckdb import context, file_called, put
from fastembed.sinks.duckdb import Duckdb

async def main():
    sink = Duckdb(Path({path!r}))
    await sink.open(context(Path("/")))
    for turn in range({start}, 10**6):
        name = f"file{{turn % 7}}.pdf"
        await put(sink, file_called(name, f"sha{{turn}}"), [f"turn {{turn}} chunk {{i}}" for i in range(turn % 23)], 16)
        print(turn, flush=True)

asyncio.run(main())
"""


def test_rows_and_ledger_agree_after_being_killed_at_any_moment(tmp_path: Path) -> None:
    path = tmp_path / "lake.duckdb"
    random = np.random.default_rng(7)
    acknowledged = -1
    for _ in range(6):
        code = CRASHING.format(
            root=str(Path(__file__).parents[2]), here=str(Path(__file__).parent), path=str(path), start=acknowledged + 1
        )
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(int(random.integers(1, 12))):
                acknowledged = int(process.stdout.readline())
            # Somewhere within the next commits: a wait shorter than one of them, not for anything to happen.
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(float(random.uniform(0, 0.02)))
            os.kill(process.pid, signal.SIGKILL)
            acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
        last = check_consistent(path)
        assert acknowledged <= last <= acknowledged + 1
        acknowledged = last


def check_consistent(path: Path) -> int:
    """Compare every table with the ledger; return the last turn that is in it."""
    with duckdb.connect(str(path)) as con:
        ledger = dict(con.execute("SELECT name, sha256 FROM ledger WHERE state = 'done'").fetchall())
        documents = con.execute("SELECT name, sha256, chunk_count, id FROM documents").fetchall()
        assert {name: sha for name, sha, _, _ in documents} == ledger
        assert len(documents) == len(ledger)
        for _, sha, count, document_id in documents:
            turn = int(sha.removeprefix("sha"))
            texts = con.execute('SELECT text FROM chunks WHERE document_id = ? ORDER BY "index"', [document_id])
            assert [text for (text,) in texts.fetchall()] == [f"turn {turn} chunk {i}" for i in range(count)]
            assert count == turn % 23
        orphans = con.execute("SELECT count(*) FROM chunks WHERE document_id NOT IN (SELECT id FROM documents)")
        assert orphans.fetchone() == (0,)
        indexed = con.execute("SELECT count(DISTINCT chunk_id) FROM chunks_terms").fetchone()
        assert indexed == con.execute("SELECT count(*) FROM chunks").fetchone()
        return max(int(sha.removeprefix("sha")) for sha in ledger.values())


async def test_a_full_disk_at_the_first_start_leaves_no_broken_database(tmp_path: Path) -> None:
    with full_disk(), pytest.raises(LakeFull, match="disk or quota full"):
        await Lake.open(tmp_path / "data" / "lake.duckdb")
    assert list((tmp_path / "data").iterdir()) == []
    lake = await Lake.open(tmp_path / "data" / "lake.duckdb")
    assert await lake.tables() == []
    await lake.close()


async def test_a_database_and_its_folder_are_this_users_alone(tmp_path: Path) -> None:
    lake = await Lake.open(tmp_path / "data" / "lake.duckdb")
    await lake.close()
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "data", tmp_path / "data" / "lake.duckdb")}
    assert modes == {"data": 0o700, "lake.duckdb": 0o600}


async def test_what_a_crash_left_of_a_new_database_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / f".lake.duckdb.{os.getpid() + 1}.new").write_bytes(b"half a page")
    lake = await Lake.open(tmp_path / "lake.duckdb")
    await lake.close()
