"""Files within files (attachments, archives) have rows and a state of their own and go with their container."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fastembed.pipeline.component import Context, Resources
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.item import Ack, Item
from fastembed.pipeline.ledger import LedgerEntry
from fastembed.pipeline.payload.document import Chunk, Document, File, UnreadPart
from fastembed.sinks.duckdb import Duckdb


@pytest.fixture
async def sink(tmp_path: Path) -> AsyncIterator[Duckdb]:
    """A mail with two attachments, of which one cannot be read."""
    made = Duckdb(Path("lake.duckdb"))
    await made.open(Context("papers", "sink", "d", tmp_path, Resources()))
    await write(made, mail(tmp_path, "mail.eml", ["a.pdf", "b.docx"]))
    yield made
    await made.close()


def mail(folder: Path, name: str, attached: list[str]) -> Document:
    file = File(folder / name, name, f"sha of {name}", 10, 1)
    parts = [
        Document(replace(file, name=f"{name}/{part}", sha256=part, container=name), part, part, "{}", (), 0, "pdf")
        for part in attached
    ]
    broken = UnreadPart(replace(file, name=f"{name}/broken.pdf", sha256="x", container=name), "found damage")
    return Document(file, name, name, "{}", (), 0, "eml", parts=(*parts, broken), metadata={"From": "Ada"})


async def write(sink: Duckdb, document: Document, chunks: list[Chunk] | None = None) -> None:
    origin: Item[Any] = Item(document.file)
    origin.ack = Ack(origin, lambda _: None)
    read = [document, *(part for part in document.parts if isinstance(part, Document))]
    for value in read:
        await sink.write(origin.derive(value))
    for part in read if chunks is None else []:
        await sink.write(origin.derive(Chunk(part, 0, 1, f"text of {part.title}")))
    for chunk in chunks or []:
        await sink.write(origin.derive(chunk))
    await sink.commit(origin)


async def texts(sink: Duckdb) -> dict[str, str]:
    query = "SELECT name, text FROM documents d JOIN chunks c ON c.document_id = d.id"
    return dict(await sink.lake.read(lambda con: con.execute(query).fetchall()))


async def states(sink: Duckdb) -> dict[str, str]:
    return {row.name: row.state for row in await sink.lake.documents()}


async def test_each_part_has_its_rows_and_its_state(sink: Duckdb, tmp_path: Path) -> None:
    assert await texts(sink) == {
        "mail.eml": "text of mail.eml",
        "mail.eml/a.pdf": "text of a.pdf",
        "mail.eml/b.docx": "text of b.docx",
    }
    states_ = await states(sink)
    assert states_ == dict.fromkeys(await texts(sink), "done") | {"mail.eml/broken.pdf": "failed"}
    rows = {row.name: row for row in await sink.lake.documents()}
    assert rows["mail.eml/broken.pdf"].detail == "found damage"
    assert rows["mail.eml/a.pdf"].path == str(tmp_path / "mail.eml")
    assert rows["mail.eml/a.pdf"].container == "mail.eml"
    assert [entry.name for entry in await sink.entries()] == ["mail.eml"], "the folder follows only its own files"
    found = await sink.lake.read(lambda con: con.execute("SELECT metadata FROM documents ORDER BY id").fetchall())
    assert found[0] == ({"From": "Ada"},)
    assert [hit.document for hit in await sink.lake.search("b.docx")][:1] == ["mail.eml/b.docx"]


async def test_parts_that_a_newer_version_lacks_go_in_the_same_transaction(sink: Duckdb, tmp_path: Path) -> None:
    await write(sink, mail(tmp_path, "mail.eml", ["b.docx", "c.txt"]))
    assert set(await texts(sink)) == {"mail.eml", "mail.eml/b.docx", "mail.eml/c.txt"}
    assert "mail.eml/a.pdf" not in await states(sink)


async def test_parts_follow_a_rename_and_go_with_their_container(sink: Duckdb, tmp_path: Path) -> None:
    await write(sink, mail(tmp_path, "mail.eml/odd", ["z"]))  # a folder of that name came later: no part of it
    assert await sink.rename("mail.eml", "old/post.eml", sha256="sha of mail.eml")
    assert set(await texts(sink)) == {
        *("old/post.eml", "old/post.eml/a.pdf", "old/post.eml/b.docx"),
        *("mail.eml/odd", "mail.eml/odd/z"),
    }
    rows = {row.name: row for row in await sink.lake.documents()}
    assert rows["old/post.eml/a.pdf"].path == str(tmp_path / "old/post.eml")
    await sink.forget("old/post.eml", expected="sha of mail.eml")
    assert set(await states(sink)) == {"mail.eml/odd", "mail.eml/odd/z", "mail.eml/odd/broken.pdf"}


async def test_a_container_that_fails_loses_its_parts(sink: Duckdb) -> None:
    await sink.record(LedgerEntry("mail.eml", "new", "d", "failed", 1, 2, "why"))
    assert await states(sink) == {"mail.eml": "failed"}
    assert await texts(sink) == {}


@pytest.mark.parametrize(
    "damage",
    ["DELETE FROM documents WHERE name = 'mail.eml/a.pdf'", "DELETE FROM ledger WHERE name = 'mail.eml/a.pdf'"],
)
async def test_a_part_whose_rows_and_ledger_differ_has_its_container_read_again(sink: Duckdb, damage: str) -> None:
    await sink.lake.write(lambda con: con.execute(damage))
    assert [entry.name for entry in await sink.entries("outdated")] == ["mail.eml"]
    assert [entry.name for entry in await sink.entries("outdated")] == ["mail.eml"]
    assert "mail.eml/a.pdf" not in await states(sink)


async def test_a_failed_part_is_tried_again_with_its_container(sink: Duckdb) -> None:
    assert [failure.name for failure in await sink.lake.failures()] == ["mail.eml/broken.pdf"]
    assert await sink.lake.retry(None, ["mail.eml/broken.pdf"]) == ["mail.eml"]
    assert [entry.name for entry in await sink.entries("outdated")] == ["mail.eml"]


async def test_chunks_without_their_container_are_refused(sink: Duckdb, tmp_path: Path) -> None:
    whole = mail(tmp_path, "other.eml", ["a.pdf"])
    origin: Item[Any] = Item(whole.file)
    origin.ack = Ack(origin, lambda _: None)
    part = whole.parts[0]
    assert isinstance(part, Document)
    await sink.write(origin.derive(Chunk(part, 0, 1, "words")))
    with pytest.raises(InvalidInput, match="neither a document nor a chunk of it"):
        await sink.commit(origin)


async def test_ignored_files_are_listed_and_in_nobodys_way(sink: Duckdb) -> None:
    await sink.ignore({"song.xyz": "no reader", "mail.eml": "never: it is done"})
    assert (await states(sink))["song.xyz"] == "ignored"
    assert (await states(sink))["mail.eml"] == "done"
    assert [entry.name for entry in await sink.entries()] == ["mail.eml"]
    assert await sink.record(LedgerEntry("song.xyz", "s", "d", "failed", 1, 1, "why"), expected=None)
    await sink.ignore({})
    assert (await states(sink))["song.xyz"] == "failed"


async def test_an_older_database_gets_the_new_columns(tmp_path: Path) -> None:
    import duckdb

    from fastembed.sinks.lake import schema

    with duckdb.connect(str(tmp_path / "lake.duckdb")) as con:
        con.execute("CREATE TABLE schema_version (version INTEGER NOT NULL)")
        for statement in schema._MIGRATIONS[0]:
            con.execute(statement)
        con.execute("INSERT INTO schema_version VALUES (1)")
        con.execute(
            """CREATE TABLE chunks (id BIGINT NOT NULL, document_id BIGINT NOT NULL, "index" INTEGER NOT NULL,
               text VARCHAR NOT NULL, headings VARCHAR[] NOT NULL, first_page INTEGER, last_page INTEGER,
               token_count INTEGER NOT NULL, word_count INTEGER NOT NULL, model VARCHAR)"""
        )
        con.execute(
            "CREATE TABLE chunks_terms (term UINTEGER, chunk_id BIGINT, occurrences USMALLINT, length UINTEGER)"
        )
        con.execute(
            """INSERT INTO documents VALUES (1, 'papers', 'old.pdf', '/old.pdf', 's', 'd', 't', 'm', '{}', 1, 'pdf', 0,
               0.1, [], 'chunks', 0, '2026-01-01')"""
        )
        con.execute("INSERT INTO ledger VALUES ('papers', 'old.pdf', 's', 'd', 'done', '', '', 1, 1, '2026-01-01')")
    sink = Duckdb(Path("lake.duckdb"))
    await sink.open(Context("papers", "sink", "d", tmp_path, Resources()))
    file = File(tmp_path / "talk.mp3", "talk.mp3", "t", 1, 1)
    talk = Document(file, "talk", "words", "{}", (), 0, "mp3", duration_s=9.5)
    await write(sink, talk, [Chunk(talk, 0, 2, "first", seconds=(0.5, 4.0)), Chunk(talk, 1, 2, "second")])
    hits = await sink.lake.search("first second")
    assert {hit.snippet: hit.seconds for hit in hits} == {"first": (0.5, 4.0), "second": None}
    assert [(row.name, row.duration_s) for row in await sink.lake.documents()] == [("old.pdf", None), ("talk.mp3", 9.5)]
    assert list(await sink.entries("outdated")) == []
    await sink.close()
