"""Searches all open databases by words and by meaning: for the search, and for answers from documents."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from fastembed.inference.engines.embedding.origin import vector_origin
from fastembed.inference.serving.models import Models
from fastembed.pipeline.errors import NotFound
from fastembed.pipeline.payload.asking import Passage, SearchScope
from fastembed.pipeline.payload.embedding import VectorOrigin
from fastembed.pipeline.payload.grounding import Grounding
from fastembed.pipeline.retrieval import FoundPassages, Retriever
from fastembed.sinks.lake.database import Lake, Lakes
from fastembed.sinks.lake.lineage import store
from fastembed.sinks.lake.schema import Connection
from fastembed.sinks.lake.search import Hit, rarity
from fastembed.sinks.lake.several import merge_hits, select_databases, tables_of
from fastembed.sinks.lake.terms import words

MAX_EMBEDDED: Final = 512


class LakeRetriever(Retriever):
    """The databases that the pipelines of this process write."""

    def __init__(self, lakes: Lakes, models: Models) -> None:
        """Search `lakes` with the models that embedded their chunks."""
        self._lakes = lakes
        self._models = models

    async def find(self, question: str, scope: SearchScope, limit: int) -> FoundPassages:
        """Return passages for a question. NotFound: no database is open; InvalidInput: nothing has such a name."""
        lakes = opened_lakes(self._lakes, scope.database)
        hits = await search_lakes(lakes, self._models, question, limit=limit, scope=scope)
        by_path = {str(lake.path): lake for lake in lakes}
        passages = [passage for lake in lakes for passage in await _passages(lake, hits)]
        places = {(hit.database, hit.table, hit.chunk_id): place for place, hit in enumerate(hits)}
        passages.sort(key=lambda found: places[found.database, found.table, found.chunk_id])
        searched = await tables_of(by_path.values(), *scope.tables)
        model = next((passage.model for passage in passages if passage.model), "")
        vector = (await self.embed([question], model, purpose="query"))[0] if model else None
        return FoundPassages(tuple(passages), await _rarities(searched, question), model, vector)

    async def embed(self, texts: Sequence[str], model: str, *, purpose: str = "document") -> NDArray[np.float32]:
        """Return float32 [texts, dimensions] of L2 length 1, by an embedding model."""
        async with self._models.lend(model, "embedding", priority=1) as found:
            put = [found.prompts.before(text, "query" if purpose == "query" else "document") for text in texts]
            tokens = await found.tokenize(put[:MAX_EMBEDDED], most_tokens=0)
            vectors, _ = await found.embed(tokens, priority=1)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(lengths, 1e-9), dtype=np.float32)

    async def record(self, grounding: Grounding, databases: Sequence[str]) -> None:
        """Remember where an answer is from, in the databases that it cites."""
        details = orjson.dumps(asdict(grounding)).decode()
        for lake in self._lakes.opened():
            if str(lake.path) in databases:
                await lake.write(store, grounding.id, lake.now(), grounding.question, details)


def opened_lakes(lakes: Lakes, database: str | None = None) -> list[Lake]:
    """Return the open databases, or the one of a name. NotFound: none is open; InvalidInput: none has the name."""
    found = {lake.path: lake for lake in lakes.opened()}
    if not found:
        raise NotFound("found no open database, expected a pipeline with the sink duckdb")
    return [found[path] for path in select_databases(list(found), database)]


async def search_lakes(
    lakes: Sequence[Lake],
    models: Models,
    query: str,
    *,
    limit: int,
    scope: SearchScope | None = None,
    floor: float | None = None,
) -> list[Hit]:
    """Search all tables of the databases, or those of the scope's names.

    By words, and by meaning with the model that embedded most of a table's chunks, where there is one.
    """
    vectors: dict[str, NDArray[np.float32]] = {}
    found: list[tuple[str, list[Hit]]] = []
    for lake, name in await tables_of(lakes, *(scope.tables if scope else ())):
        origin = await _origin(lake, name, models)
        model = origin.model if origin else ""
        if model and model not in vectors:
            vectors[model] = await _embedded(models, model, query)
        hits = await lake.search(query, vectors.get(model), limit, table=name, origin=origin, scope=scope, floor=floor)
        found.append((model, [replace(hit, table=name, database=str(lake.path)) for hit in hits]))
    return merge_hits(found, limit)


async def waiting_chunks(lakes: Sequence[Lake], models: Models, *tables: str) -> int:
    """Return how many chunks have a vector of another model than the one that their table is searched with.

    Vectors of two models cannot be compared: those are found by their words only, until they are embedded anew.
    """
    found = await tables_of(lakes, *tables)
    return sum([await lake.incomparable(name, await _origin(lake, name, models)) for lake, name in found])


async def _origin(lake: Lake, table: str, models: Models) -> VectorOrigin | None:
    """Return the model that a table is searched with: that of most of its vectors, as its files are now."""
    embedded_with = await lake.models(table)
    return vector_origin(models.catalog, embedded_with[0][0]) if embedded_with else None


async def _embedded(models: Models, name: str, query: str) -> NDArray[np.float32]:
    async with models.lend(name, "embedding", priority=1) as model:
        tokens = await model.tokenize([model.prompts.before(query, "query")], most_tokens=0)
        vectors, _ = await model.embed(tokens, priority=1)
    vector: NDArray[np.float32] = vectors[0]
    return vector


async def _passages(lake: Lake, hits: Iterable[Hit]) -> list[Passage]:
    """Return the hits of one database with what their documents say."""
    mine = [hit for hit in hits if hit.database == str(lake.path)]
    facts = await lake.read(_facts, [(hit.table, hit.chunk_id) for hit in mine])
    return [_passage(hit, *facts[hit.table, hit.chunk_id]) for hit in mine if (hit.table, hit.chunk_id) in facts]


def _facts(con: Connection, chunks: Sequence[tuple[str, int]]) -> dict[tuple[str, int], tuple[Any, ...]]:
    found: dict[tuple[str, int], tuple[Any, ...]] = {}
    for table in dict.fromkeys(table for table, _ in chunks):
        rows = con.execute(
            f"""SELECT c.id, d.sha256, d.definition, coalesce(d.warnings, []), coalesce(c.model, '')
                FROM "{table}" c JOIN documents d ON d.id = c.document_id
                WHERE c.id IN (SELECT unnest(?::BIGINT[]))""",  # noqa: S608 - an existing table
            [[chunk for name, chunk in chunks if name == table]],
        ).fetchall()
        found |= {(table, chunk): tuple(rest) for chunk, *rest in rows}
    return found


def _passage(hit: Hit, sha256: str, definition: str, warnings: list[str], model: str) -> Passage:
    return Passage(
        chunk_id=hit.chunk_id,
        text=hit.text,
        file=hit.document,
        title=hit.title,
        pages=hit.pages,
        headings=hit.headings,
        seconds=hit.seconds,
        pipeline=hit.pipeline,
        table=hit.table,
        database=hit.database,
        path=hit.path,
        sha256=sha256,
        definition=definition,
        model=model,
        warnings=tuple(warnings),
        similarity=hit.similarity,
        words_score=hit.words_score,
    )


async def _rarities(tables: Sequence[tuple[Lake, str]], question: str) -> dict[str, float]:
    """Return ln((chunks + 1) / (chunks with the word + 0.5)) of each word, over all tables."""
    terms = list(dict.fromkeys(words(question)))
    total, counts = 0, dict.fromkeys(terms, 0)
    for lake, table in tables:
        chunks, found = await lake.read(rarity, table, terms)
        total += chunks
        counts = {term: counts[term] + found[term] for term in terms}
    return {term: math.log((total + 1) / (count + 0.5)) for term, count in counts.items()}
