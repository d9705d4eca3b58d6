"""The ledger refuses what its caller is wrong about, and finds out where it and the rows differ."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fastembed.pipeline.component import Context, Resources
from fastembed.pipeline.item import Ack, Item
from fastembed.pipeline.ledger import LedgerEntry
from fastembed.pipeline.payload.document import Chunk, Document, File
from fastembed.sinks.duckdb import Duckdb


@pytest.fixture
async def sink(tmp_path: Path) -> AsyncIterator[Duckdb]:
    """Two files that are done and a copy of the first."""
    made = Duckdb(Path("lake.duckdb"))
    await made.open(Context("papers", "sink", "d", tmp_path, Resources()))
    for name, sha256 in (("a", "p"), ("b", "q")):
        file = File(tmp_path / name, name, sha256, 1, 1)
        origin: Item[Any] = Item(file)
        origin.ack = Ack(origin, lambda _: None)
        document = Document(file, name, sha256, "{}", (), 0, "txt")
        await made.write(origin.derive(document))
        await made.write(origin.derive(Chunk(document, 0, 1, f"text {sha256}")))
        await made.commit(origin)
    await made.record(LedgerEntry("copy", "p", "d", "duplicate", 1, 1, "a"))
    yield made
    await made.close()


async def state(sink: Duckdb) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    """Return the texts and (content, state) by name."""
    rows = await sink.lake.read(
        lambda con: con.execute("SELECT name, text FROM documents d JOIN chunks c ON c.document_id = d.id").fetchall()
    )
    return dict(rows), {entry.name: (entry.sha256, entry.state) for entry in await sink.entries()}


async def alter(sink: Duckdb, sql: str) -> None:
    await sink.lake.write(lambda con: con.execute(sql))


async def test_a_rename_needs_the_rows_of_its_content_and_the_name_that_it_believes_in(sink: Duckdb) -> None:
    before = await state(sink)
    assert not await sink.rename("a", "c", sha256="q", replaces=None), "a holds p"
    assert not await sink.rename("a", "b", sha256="p", replaces=None), "b holds q"
    assert not await sink.rename("gone", "c", sha256="p", replaces=None)
    assert not await sink.rename("copy", "c", sha256="p", replaces=None), "a duplicate has no rows to give"
    assert await state(sink) == before
    assert await sink.rename("a", "copy", sha256="p", replaces="p")
    assert await state(sink) == ({"copy": "text p", "b": "text q"}, {"copy": ("p", "done"), "b": ("q", "done")})


async def test_rows_of_another_content_than_the_ledger_says_are_not_handed_on(sink: Duckdb) -> None:
    await alter(sink, "UPDATE documents SET sha256 = 'r' WHERE name = 'a'")
    assert not await sink.rename("a", "c", sha256="p", replaces=None)


async def test_a_record_needs_the_content_that_it_replaces(sink: Duckdb) -> None:
    before = await state(sink)
    assert not await sink.record(LedgerEntry("b", "r", "d", "failed", 1, 2, "why"), expected="p")
    assert not await sink.record(LedgerEntry("b", "r", "d", "failed", 1, 2, "why"), expected=None)
    assert await state(sink) == before
    assert await sink.record(LedgerEntry("b", "r", "d", "failed", 1, 2, "why"), expected="q")
    assert await sink.record(LedgerEntry("b", "r", "d", "failed", 1, 2, "why"), expected="q"), "said already"
    assert (await state(sink))[1]["b"] == ("r", "failed")


async def test_a_duplicate_needs_a_name_that_holds_its_content(sink: Duckdb) -> None:
    assert not await sink.record(LedgerEntry("b", "q", "d", "duplicate", 1, 1, "a"), expected="q"), "a holds p"
    assert (await state(sink))[0]["b"] == "text q"


async def test_what_was_moved_away_without_rows_counts_as_nothing(sink: Duckdb) -> None:
    await sink.record(LedgerEntry("b", "q", "d", "failed", 1, 1, "why", "/failed/b"))
    assert await sink.record(LedgerEntry("b", "p", "d", "duplicate", 1, 1, "a"), expected=None)


async def test_only_the_content_that_was_deleted_is_forgotten(sink: Duckdb) -> None:
    assert not await sink.forget("a", expected="q")
    assert await sink.forget("a", expected="p")
    assert await sink.forget("a", expected="p"), "forgotten already"
    assert (await state(sink))[0] == {"b": "text q"}


@pytest.mark.parametrize(
    ("damage", "name", "expected"),
    [
        ("UPDATE documents SET sha256 = 'q' WHERE name = 'a'", "a", ({"b"}, {"a": "outdated", "copy": "duplicate"})),
        ("DELETE FROM documents WHERE name = 'a'", "a", ({"b"}, {"a": "outdated", "copy": "duplicate"})),
        ("DELETE FROM ledger WHERE name = 'b'", "b", ({"a"}, {"a": "done", "copy": "duplicate"})),
        ("UPDATE ledger SET state = 'failed' WHERE name = 'b'", "b", ({"a"}, {"a": "done", "b": "failed"})),
        ("UPDATE ledger SET detail = 'b' WHERE name = 'copy'", "copy", ({"a", "b"}, {"a": "done", "copy": "outdated"})),
        ("INSERT INTO documents SELECT * FROM documents WHERE name = 'a'", "a", ({"b"}, {"a": "outdated"})),
    ],
)
async def test_what_the_ledger_and_the_rows_say_differently_is_marked(
    sink: Duckdb,
    damage: str,
    name: str,
    expected: tuple[set[str], dict[str, str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    await sink.entries("outdated")
    assert "differ" not in caplog.text
    await alter(sink, damage)
    outdated = [entry.name for entry in await sink.entries("outdated")]
    assert [record.args[0] for record in caplog.records if "differ" in record.message] == [name]
    texts, ledger = await state(sink)
    rows, states = expected
    assert texts.keys() == rows
    assert states.items() <= {name: state for name, (_, state) in ledger.items()}.items()
    assert outdated == [name for name, (_, state) in ledger.items() if state == "outdated"]
    assert caplog.text.count("differ") == 1
