"""Writes documents, their chunks and their terms: plain functions on a connection, inside one transaction.

A statement costs DuckDB a millisecond or more of planning, whatever it writes; so what is written at the same time goes
through the same statements (`group_commit.py` says what that is).

Crash path. `Lake.write` begins the transaction, calls `replace_documents` and commits; everything below relies on that:

1. The old rows of the names go first, then the new ones come, then the ledger rows. Readers see the last committed
   state meanwhile, so no reader finds a file without rows.
2. `kill -9` before the commit's record is whole in DuckDB's log leaves all of the old state; after it, all of the new.
   The ledger rows are in the same transaction, so a restart either processes a file again or knows that it is done.
3. Any exception, a full disk included, rolls back; staged columns are registered views of arrays and write nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastembed.pipeline.errors import InvalidInput, TooLarge
from fastembed.pipeline.ledger import EntryState, LedgerEntry
from fastembed.pipeline.payload.document import Chunk, Document, File, UnreadPart
from fastembed.sinks.lake.ledger_changes import drop_rows, utf8, write_entries
from fastembed.sinks.lake.schema import CHUNKS_PER_DOCUMENT, Connection, prepare_table
from fastembed.sinks.lake.terms import term_key, words
from fastembed.sinks.lake.vectors import insert_vectors

_NAMES: Final = (
    'id, document_id, "index", text, headings, first_page, last_page, token_count, word_count, model, model_revision, '
    "start_s, end_s"
)
_SELECT: Final = """SELECT s.id, s.document_id, s.number, s.text, h.headings, nullif(s.first_page, -1),
    nullif(s.last_page, -1), s.token_count, s.word_count, nullif(s.model, ''), nullif(s.model_revision, ''),
    nullif(s.start_s, 'nan'::DOUBLE), nullif(s.end_s, 'nan'::DOUBLE)"""
_HEADINGS: Final = """
    JOIN (SELECT unnest(?::VARCHAR[][]) AS headings, unnest(range(?)) AS place) h ON h.place = s.place"""
_DOCUMENTS: Final = """
    INSERT INTO documents
    SELECT id, $pipeline, name, path, sha256, $definition, title, markdown, nullif(structure, ''), page_count, parser,
        ocr_pages, parse_seconds, warnings, $table, chunk_count, $at, container, map(keys, stated), duration_s
    FROM (SELECT unnest($id::BIGINT[]) AS id, unnest($name::VARCHAR[]) AS name, unnest($path::VARCHAR[]) AS path,
        unnest($sha256::VARCHAR[]) AS sha256, unnest($title::VARCHAR[]) AS title,
        unnest($markdown::VARCHAR[]) AS markdown, unnest($structure::VARCHAR[]) AS structure,
        unnest($page_count::INTEGER[]) AS page_count, unnest($parser::VARCHAR[]) AS parser,
        unnest($ocr_pages::INTEGER[]) AS ocr_pages, unnest($parse_seconds::DOUBLE[]) AS parse_seconds,
        unnest($warnings::VARCHAR[][]) AS warnings, unnest($chunk_count::INTEGER[]) AS chunk_count,
        unnest($container::VARCHAR[]) AS container, unnest($keys::VARCHAR[][]) AS keys,
        unnest($stated::VARCHAR[][]) AS stated, unnest($duration_s::DOUBLE[]) AS duration_s)"""


@dataclass(slots=True)
class Staged:
    """The staged rows of one file, those of the files within it included, waiting for their commit."""

    document: Document | None = None
    chunks: list[Chunk] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file's document, with its parts, and the chunks of all of them."""

    document: Document
    chunks: Sequence[Chunk]

    @property
    def name(self) -> str:
        """The file's name in its folder."""
        return self.document.file.name


@dataclass(frozen=True, slots=True)
class _Rows:
    """A document (the file itself, or one within it), its chunks in their order, and their vectors, if there are."""

    document: Document
    chunks: Sequence[Chunk]
    vectors: NDArray[np.float32] | None

    @property
    def vector_length(self) -> int | None:
        return None if self.vectors is None else self.vectors.shape[1]


def replace_documents(
    con: Connection, files: Sequence[ReadFile], *, pipeline: str, definition: str, table: str, at: datetime
) -> None:
    """Put documents and their parts, their chunks and ledger rows in place of whatever their names held before.

    No two of the files have the same name.
    """
    # All that can be refused is checked before the first DELETE; the rest fails by rollback only.
    rows = [one for file in files for one in _rows(file)]
    for length in {one.vector_length for one in rows}:
        prepare_table(con, table, length)
    # By name, not by content: of a changed file the old content's rows go, of a copy under another name they stay.
    drop_rows(con, pipeline, *(file.name for file in files))
    sizes = [(one.document, len(one.chunks)) for one in rows]
    ids = insert_documents(con, sizes, pipeline=pipeline, definition=definition, table=table, at=at)
    _insert_chunks_of(con, table, ids, rows)
    entries = [entry_of(one.document.file, definition, "done") for one in rows]
    unread = (part for file in files for part in file.document.parts if isinstance(part, UnreadPart))
    entries += [
        entry_of(part.file, definition, "ignored" if part.ignored else "failed", part.reason) for part in unread
    ]
    write_entries(con, pipeline, entries, at)


def _rows(file: ReadFile) -> list[_Rows]:
    """Return what is to be written of one file. InvalidInput, TooLarge: it cannot be."""
    own: defaultdict[str, list[Chunk]] = defaultdict(list)
    for chunk in sorted(file.chunks, key=lambda chunk: chunk.index):
        own[chunk.document.file.name].append(chunk)
    read = [file.document, *(part for part in file.document.parts if isinstance(part, Document))]
    if stray := own.keys() - {part.file.name for part in read}:
        raise InvalidInput(f"found chunks of {min(stray)}, expected some of {file.name} or its parts")
    for name, chunks in own.items():
        if len(chunks) > CHUNKS_PER_DOCUMENT:
            msg = f"{name}: found {len(chunks)} chunks, expected at most {CHUNKS_PER_DOCUMENT}"
            raise TooLarge(msg)
    return [_Rows(part, own[part.file.name], _vectors(part.file.name, own[part.file.name])) for part in read]


def entry_of(file: File, definition: str, state: EntryState, detail: str = "") -> LedgerEntry:
    """Return the ledger row of a file."""
    return LedgerEntry(
        file.name, file.sha256, definition, state, file.size_bytes, file.mtime_ns, detail, container=file.container
    )


def insert_documents(
    con: Connection,
    documents: Sequence[tuple[Document, int]],
    *,
    pipeline: str,
    definition: str,
    table: str,
    at: datetime,
) -> list[int]:
    """Insert documents' own rows, each with the count of its rows in `table`; return their ids."""
    ids = [row[0] for row in con.execute("SELECT nextval('document_ids') FROM range(?)", [len(documents)]).fetchall()]
    columns = {
        "id": ids,
        "chunk_count": [size for _, size in documents],
        **_document_columns([document for document, _ in documents]),
    }
    con.execute(_DOCUMENTS, {"pipeline": pipeline, "definition": definition, "table": table, "at": at, **columns})
    return ids


def _insert_chunks_of(con: Connection, table: str, ids: Sequence[int], rows: Sequence[_Rows]) -> None:
    """Insert the chunks of documents, by id."""
    # Vectors of one length share a column of numbers. There is one length, but for files within a file of which some
    # have chunks with no vector.
    by_length: defaultdict[int | None, list[tuple[int, _Rows]]] = defaultdict(list)
    for document_id, one in zip(ids, rows, strict=True):
        if one.chunks:
            by_length[one.vector_length].append((document_id, one))
    for alike in by_length.values():
        _insert_rows_alike(con, table, alike)


def _document_columns(documents: Sequence[Document]) -> dict[str, list[Any]]:
    return {
        "name": [document.file.name for document in documents],
        "path": [utf8(str(document.file.path)) for document in documents],
        "sha256": [document.file.sha256 for document in documents],
        "title": [utf8(document.title) for document in documents],
        "markdown": [utf8(document.markdown) for document in documents],
        "structure": [utf8(document.structure) for document in documents],
        "page_count": [document.page_count for document in documents],
        "parser": [document.parser for document in documents],
        "ocr_pages": [document.ocr_pages for document in documents],
        "parse_seconds": [document.parse_seconds for document in documents],
        "warnings": [[utf8(warning) for warning in document.warnings] for document in documents],
        "container": [document.file.container for document in documents],
        "keys": [[utf8(name) for name in document.metadata] for document in documents],
        "stated": [[utf8(text) for text in document.metadata.values()] for document in documents],
        "duration_s": [document.duration_s for document in documents],
    }


def _insert_rows_alike(con: Connection, table: str, rows: Sequence[tuple[int, _Rows]]) -> None:
    """Insert the chunks and terms of documents, by id, all of whose vectors have one length (or that have none)."""
    chunks = [chunk for _, one in rows for chunk in one.chunks]
    document_ids = np.repeat([document_id for document_id, _ in rows], [len(one.chunks) for _, one in rows])
    ids = document_ids * CHUNKS_PER_DOCUMENT + [chunk.index for chunk in chunks]
    vectors = [one.vectors for _, one in rows if one.vectors is not None]
    counted = [words(chunk.embedding_text) for chunk in chunks]
    _insert_chunks(
        con,
        table,
        {"id": ids, "document_id": document_ids, "word_count": np.fromiter(map(len, counted), np.int32, len(counted))},
        chunks,
        np.concatenate(vectors) if vectors else None,
    )
    _insert_terms(con, table, ids, counted)


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
    computed: Mapping[str, NDArray[Any]],
    chunks: Sequence[Chunk],
    vectors: NDArray[np.float32] | None,
) -> None:
    """Insert the chunks column by column."""
    pages = np.array([chunk.pages or (-1, -1) for chunk in chunks], dtype=np.int32)
    seconds = np.array([chunk.seconds or (np.nan, np.nan) for chunk in chunks], dtype=np.float64)
    columns: dict[str, NDArray[Any]] = {
        **computed,
        "place": np.arange(len(chunks), dtype=np.int64),
        "number": np.array([chunk.index for chunk in chunks], dtype=np.int64),
        "text": _strings(chunk.text for chunk in chunks),
        "first_page": pages[:, 0].copy(),
        "last_page": pages[:, 1].copy(),
        "token_count": np.array([chunk.token_count for chunk in chunks], dtype=np.int32),
        "model": _strings(chunk.model or "" for chunk in chunks),
        "model_revision": _strings(chunk.model_revision for chunk in chunks),
        "start_s": seconds[:, 0].copy(),
        "end_s": seconds[:, 1].copy(),
    }
    values = [[[utf8(heading) for heading in chunk.headings] for chunk in chunks], len(chunks)]
    if vectors is not None:
        target, select = f'"{table}" ({_NAMES}, embedding)', f"{_SELECT}, {{vector}}"
        insert_vectors(con, target, select, columns, vectors, values=values, joined=_HEADINGS)
        return
    con.register("staged_rows", columns)
    con.execute(f'INSERT INTO "{table}" ({_NAMES}) {_SELECT} FROM staged_rows s {_HEADINGS} ORDER BY s.place', values)
    con.unregister("staged_rows")


def _insert_terms(con: Connection, table: str, ids: NDArray[np.int64], counted: Sequence[Sequence[str]]) -> None:
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
        "chunk_id": ids[place],
        "occurrences": np.minimum(occurrences, np.iinfo(np.uint16).max).astype(np.uint16),
        "length": lengths[place],
    }
    con.register("staged_terms", columns)
    con.execute(f'INSERT INTO "{table}_terms" SELECT * FROM staged_terms')  # noqa: S608 - a checked name
    con.unregister("staged_terms")


def _strings(texts: Any) -> NDArray[Any]:
    return np.array([utf8(text) for text in texts], dtype=object)
