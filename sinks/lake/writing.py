"""Writes a document, its chunks and their terms: plain functions on a connection, inside one transaction.

Crash path. `Lake.write` begins the transaction, calls `replace_document` and commits; everything below relies on that:

1. The old rows of the name go first, then the new ones come, then the ledger row. Readers see the last committed state
   meanwhile, so no reader finds the file without rows.
2. `kill -9` before the commit's record is whole in DuckDB's log leaves all of the old state; after it, all of the new.
   The ledger row is in the same transaction, so a restart either processes the file again or knows that it is done.
3. Any exception, a full disk included, rolls back; staged columns are registered views of arrays and write nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastembed.pipeline.errors import InvalidInput, TooLarge
from fastembed.pipeline.ledger import EntryState, LedgerEntry
from fastembed.pipeline.payload.document import Chunk, Document, File, UnreadPart
from fastembed.sinks.lake.ledger_changes import drop_rows, utf8, write_entry
from fastembed.sinks.lake.schema import CHUNKS_PER_DOCUMENT, Connection, prepare_table
from fastembed.sinks.lake.terms import term_key, words
from fastembed.sinks.lake.vectors import insert_vectors

_NAMES: Final = (
    'id, document_id, "index", text, headings, first_page, last_page, token_count, word_count, model, model_revision, '
    "start_s, end_s"
)
_SELECT: Final = """SELECT ? + s.number, ?, s.number, s.text, h.headings, nullif(s.first_page, -1),
    nullif(s.last_page, -1), s.token_count, s.word_count, nullif(s.model, ''), nullif(s.model_revision, ''),
    nullif(s.start_s, 'nan'::DOUBLE), nullif(s.end_s, 'nan'::DOUBLE)"""
_HEADINGS: Final = """
    JOIN (SELECT unnest(?::VARCHAR[][]) AS headings, unnest(range(?)) AS place) h ON h.place = s.place"""


@dataclass(slots=True)
class Staged:
    """The staged rows of one file, those of the files within it included, waiting for their commit."""

    document: Document | None = None
    chunks: list[Chunk] = field(default_factory=list)


def replace_document(
    con: Connection,
    document: Document,
    chunks: Sequence[Chunk],
    *,
    pipeline: str,
    definition: str,
    table: str,
    at: datetime,
) -> None:
    """Put a document and its parts, their chunks and ledger rows in place of whatever its name held before."""
    own: defaultdict[str, list[Chunk]] = defaultdict(list)
    for chunk in sorted(chunks, key=lambda chunk: chunk.index):
        own[chunk.document.file.name].append(chunk)
    read = [document, *(part for part in document.parts if isinstance(part, Document))]
    if stray := own.keys() - {part.file.name for part in read}:
        raise InvalidInput(f"found chunks of {min(stray)}, expected some of {document.file.name} or its parts")
    # By name, not by content: of a changed file the old content's rows go, of a copy under another name they stay.
    drop_rows(con, pipeline, document.file.name)
    for part in read:
        _insert_document(con, part, own[part.file.name], pipeline=pipeline, definition=definition, table=table, at=at)
    for unread in document.parts:
        if isinstance(unread, UnreadPart):
            write_entry(
                con,
                pipeline,
                entry_of(unread.file, definition, "ignored" if unread.ignored else "failed", unread.reason),
                at,
            )


def entry_of(file: File, definition: str, state: EntryState, detail: str = "") -> LedgerEntry:
    """Return the ledger row of a file."""
    return LedgerEntry(
        file.name, file.sha256, definition, state, file.size_bytes, file.mtime_ns, detail, container=file.container
    )


def _insert_document(
    con: Connection,
    document: Document,
    chunks: Sequence[Chunk],
    *,
    pipeline: str,
    definition: str,
    table: str,
    at: datetime,
) -> None:
    file = document.file
    if len(chunks) > CHUNKS_PER_DOCUMENT:
        msg = f"{file.name}: found {len(chunks)} chunks, expected at most {CHUNKS_PER_DOCUMENT}"
        raise TooLarge(msg)
    # All that can be refused is checked before the first DELETE; the rest fails by rollback only.
    vectors = _vectors(file.name, chunks)
    prepare_table(con, table, None if vectors is None else vectors.shape[1])
    document_id = insert_document(
        con, document, len(chunks), pipeline=pipeline, definition=definition, table=table, at=at
    )
    if chunks:
        counted = [words(chunk.embedding_text) for chunk in chunks]
        _insert_chunks(con, table, document_id, chunks, vectors=vectors, word_counts=[len(found) for found in counted])
        _insert_terms(con, table, [document_id * CHUNKS_PER_DOCUMENT + chunk.index for chunk in chunks], counted)
    write_entry(con, pipeline, entry_of(file, definition, "done"), at)


def insert_document(
    con: Connection, document: Document, count: int, *, pipeline: str, definition: str, table: str, at: datetime
) -> int:
    """Insert a document's own row, and return its id. count: of its rows in `table`."""
    file = document.file
    document_id: int = con.execute("SELECT nextval('document_ids')").fetchone()[0]
    con.execute(
        """INSERT INTO documents VALUES
           (?, ?, ?, ?, ?, ?, ?, ?, nullif(?, ''), ?, ?, ?, ?, ?, ?, ?, ?, ?, map(?::VARCHAR[], ?::VARCHAR[]), ?)""",
        [
            document_id,
            pipeline,
            file.name,
            utf8(str(file.path)),
            file.sha256,
            definition,
            utf8(document.title),
            utf8(document.markdown),
            utf8(document.structure),
            document.page_count,
            document.parser,
            document.ocr_pages,
            document.parse_seconds,
            [utf8(warning) for warning in document.warnings],
            table,
            count,
            at,
            file.container,
            [utf8(name) for name in document.metadata],
            [utf8(text) for text in document.metadata.values()],
            document.duration_s,
        ],
    )
    return document_id


def _vectors(name: str, chunks: Sequence[Chunk]) -> NDArray[np.float32] | None:
    """Return float32 [chunks, dimensions], or None if nothing embedded them. InvalidInput if they do not agree."""
    embedded = [chunk.embedding for chunk in chunks if chunk.embedding is not None]
    if not embedded:
        return None
    lengths = sorted({vector.shape for vector in embedded})
    if len(embedded) != len(chunks) or len(lengths) != 1 or len(lengths[0]) != 1:
        msg = (
            f"{name}: found {len(embedded)} of {len(chunks)} chunks embedded, with shapes {lengths}, "
            "expected all of them, with vectors of one length"
        )
        raise InvalidInput(msg)
    return np.ascontiguousarray(np.stack(embedded), dtype=np.float32)


def _insert_chunks(
    con: Connection,
    table: str,
    document_id: int,
    chunks: Sequence[Chunk],
    *,
    vectors: NDArray[np.float32] | None,
    word_counts: Sequence[int],
) -> None:
    """Insert the chunks column by column."""
    pages = np.array([chunk.pages or (-1, -1) for chunk in chunks], dtype=np.int32)
    seconds = np.array([chunk.seconds or (np.nan, np.nan) for chunk in chunks], dtype=np.float64)
    columns: dict[str, NDArray[Any]] = {
        "place": np.arange(len(chunks), dtype=np.int64),
        "number": np.array([chunk.index for chunk in chunks], dtype=np.int64),
        "text": _strings(chunk.text for chunk in chunks),
        "first_page": pages[:, 0].copy(),
        "last_page": pages[:, 1].copy(),
        "token_count": np.array([chunk.token_count for chunk in chunks], dtype=np.int32),
        "word_count": np.array(word_counts, dtype=np.int32),
        "model": _strings(chunk.model or "" for chunk in chunks),
        "model_revision": _strings(chunk.model_revision for chunk in chunks),
        "start_s": seconds[:, 0].copy(),
        "end_s": seconds[:, 1].copy(),
    }
    headings = [[utf8(heading) for heading in chunk.headings] for chunk in chunks]
    values = [document_id * CHUNKS_PER_DOCUMENT, document_id, headings, len(chunks)]
    if vectors is not None:
        target, select = f'"{table}" ({_NAMES}, embedding)', f"{_SELECT}, {{vector}}"
        insert_vectors(con, target, select, columns, vectors, values=values, joined=_HEADINGS)
        return
    con.register("staged_rows", columns)
    con.execute(f'INSERT INTO "{table}" ({_NAMES}) {_SELECT} FROM staged_rows s {_HEADINGS} ORDER BY s.place', values)
    con.unregister("staged_rows")


def _insert_terms(con: Connection, table: str, ids: Sequence[int], counted: Sequence[Sequence[str]]) -> None:
    """Add chunks, by id and words, to the inverted index: one row a chunk and different word."""
    numbers: defaultdict[str, int] = defaultdict(count().__next__)
    found = np.fromiter((numbers[word] for words_ in counted for word in words_), np.int64)
    if not found.size:
        return
    lengths = np.fromiter(map(len, counted), np.uint32, len(counted))
    places = np.repeat(np.arange(len(counted)), lengths)
    pairs, occurrences = np.unique(places * len(numbers) + found, return_counts=True)
    place, number = np.divmod(pairs, len(numbers))
    columns = {
        "term": np.fromiter(map(term_key, numbers), np.uint32, len(numbers))[number],
        "chunk_id": np.array(ids, dtype=np.int64)[place],
        "occurrences": np.minimum(occurrences, np.iinfo(np.uint16).max).astype(np.uint16),
        "length": lengths[place],
    }
    con.register("staged_terms", columns)
    con.execute(f'INSERT INTO "{table}_terms" SELECT * FROM staged_terms')  # noqa: S608 - a checked name
    con.unregister("staged_terms")


def _strings(texts: Any) -> NDArray[Any]:
    return np.array([utf8(text) for text in texts], dtype=object)
