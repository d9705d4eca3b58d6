"""Hybrid search over a real database."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import orjson
import pytest

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.ledger import LedgerEntry
from fastembed.pipeline.payload.document import Chunk, Document, File
from fastembed.pipeline.payload.embedding import VectorOrigin
from fastembed.sinks.lake.database import Lake
from fastembed.sinks.lake.search import K1, B
from fastembed.sinks.lake.writing import Staged

AXES = np.eye(4, dtype=np.float32)


@pytest.fixture
async def lake(tmp_path: Path) -> AsyncIterator[Lake]:
    lake = await Lake.open(tmp_path / "lake.duckdb")
    yield lake
    await lake.close()


async def put(
    lake: Lake,
    name: str,
    texts: Sequence[str],
    vectors: Sequence[np.ndarray] | None = None,
    *,
    table: str = "chunks",
    model: str = "mini",
    revision: str = "",
) -> None:
    document = Document(File(Path("/in") / name, name, name, 1, 1), f"About {name}", "", "{}", (), 9, "pdf")
    chunks = [
        Chunk(
            document,
            i,
            len(texts),
            text,
            ("Top", f"Part {i}"),
            (i + 1, i + 1),
            1,
            vectors and vectors[i],
            model,
            None,
            revision,
        )
        for i, text in enumerate(texts)
    ]
    await lake.commit(Staged(document, chunks), pipeline="papers", definition="d", table=table)


async def found(lake: Lake, query: str, vector: np.ndarray | None = None) -> list[tuple[str, int]]:
    return [(hit.document, hit.index) for hit in await lake.search(query, vector)]


async def test_an_empty_database_has_no_hits(lake: Lake) -> None:
    assert await lake.search("anything", AXES[0]) == []
    await put(lake, "empty.md", [])
    assert await lake.search("anything", AXES[0]) == []
    assert await lake.models() == []


async def test_words_find_chunks_without_vectors(lake: Lake) -> None:
    await put(lake, "a.md", ["the quick brown fox", "a lazy dog sleeps"])
    assert await found(lake, "Dogs and a DOG") == [("a.md", 1)]
    assert await found(lake, "cat") == []
    assert await found(lake, "?!") == []


async def test_a_vector_finds_the_nearest_chunks(lake: Lake) -> None:
    await put(lake, "a.md", ["one", "two", "three"], [AXES[0], AXES[1], (AXES[0] + AXES[1]) / np.sqrt(2)])
    hits = await lake.search("", AXES[0], 2)
    assert [(hit.index, round(hit.similarity or 0, 4)) for hit in hits] == [(0, 1.0), (2, 0.7071)]
    assert await lake.models() == [("mini", 4)]


async def test_chunks_whose_vectors_say_nothing_are_not_near(lake: Lake) -> None:
    nothing = np.zeros(4, np.float32)
    await put(lake, "a.md", ["blank"] * 80 + ["one"], [nothing] * 40 + [nothing + np.nan] * 40 + [AXES[0]])
    await put(lake, "b.md", ["not embedded"])
    assert await found(lake, "", AXES[0]) == [("a.md", 80)]


async def test_what_both_rankings_like_comes_first(lake: Lake) -> None:
    await put(lake, "a.md", ["only near", "apple but far", "apple and near"], [AXES[0], AXES[3], AXES[0]])
    hits = await lake.search("apple", AXES[0])
    assert hits[0].index == 2
    assert hits[0].score == pytest.approx(2 / 61)
    assert hits[0].words_score is not None
    assert hits[0].similarity is not None


async def test_bm25_is_the_formula(lake: Lake) -> None:
    texts = ["apple pie apple", "apple tart", "plum cake with plums and cream", "nothing"]
    await put(lake, "a.md", texts)
    hits = {hit.index: hit.words_score for hit in await lake.search("apple")}
    # Two words of the path (Top > Part i: three) are indexed with each text.
    lengths = [len(text.split()) + 3 for text in texts]
    weight = np.log(1 + (4 - 2 + 0.5) / (2 + 0.5))
    for index, occurrences in ((0, 2), (1, 1)):
        norm = K1 * (1 - B + B * lengths[index] / np.mean(lengths))
        assert hits[index] == pytest.approx(weight * occurrences * (K1 + 1) / (occurrences + norm))
    assert set(hits) == {0, 1}


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Die STRASSE ist gesperrt", "straße"),
        ("son résumé détaillé", "Resume"),
        ("東京都の天気は晴れです", "天気"),
        ("서울의 날씨가 맑다", "날씨"),
        ("สวัสดีครับ ยินดีต้อนรับ", "สวัสดี"),
        ("हिन्दी में लिखा हुआ", "हिन्दी"),
        ("Ёлка стоит в углу", "ёлка"),
        ("version 2.14 of libtasn1", "libtasn1"),
        ("the ﬁrst oﬃce", "first office"),
    ],
)
async def test_words_of_many_languages_are_found(lake: Lake, text: str, query: str) -> None:
    await put(lake, "other.md", ["something else entirely", "noch etwas anderes"])
    await put(lake, "a.md", [text])
    assert await found(lake, query) == [("a.md", 0)]


async def test_headings_are_found_too(lake: Lake) -> None:
    await put(lake, "a.md", ["text", "text"])
    assert await found(lake, "1") == [("a.md", 1)]


async def test_changed_and_forgotten_documents_are_found_no_more(lake: Lake) -> None:
    ledger = lake.ledger("papers")
    await put(lake, "a.md", ["old words"], [AXES[0]])
    await put(lake, "a.md", ["new words"], [AXES[1]])
    assert await found(lake, "old") == []
    assert await found(lake, "new") == [("a.md", 0)]
    await ledger.rename("a.md", "b.md")
    assert await found(lake, "new", AXES[1]) == [("b.md", 0)]
    await ledger.forget("b.md")
    assert await found(lake, "new", AXES[1]) == []


async def test_a_hit_says_where_it_is_and_is_json(lake: Lake) -> None:
    await put(lake, "a.pdf", ["intro", "the answer is here"])
    (hit,) = await lake.search("answer")
    as_json = orjson.loads(orjson.dumps(asdict(hit)))
    expected = {"document": "a.pdf", "title": "About a.pdf", "pages": [2, 2], "headings": ["Top", "Part 1"], "index": 1}
    assert {key: as_json[key] for key in expected} == expected
    assert hit.snippet == "the answer is here"


async def test_a_vector_of_another_length_says_what_is_expected(lake: Lake) -> None:
    await put(lake, "a.md", ["one"], [AXES[0]])
    with pytest.raises(InvalidInput, match=r"found a query vector of shape \(3,\), expected 4 values"):
        await lake.search("one", np.ones(3, np.float32))
    with pytest.raises(InvalidInput, match="NaN or infinite"):
        await lake.search("one", np.array([np.nan, 0, 0, 0], np.float32))


async def test_limits_and_tables_are_checked(lake: Lake) -> None:
    with pytest.raises(InvalidInput, match="found limit 0"):
        await lake.search("one", limit=0)
    with pytest.raises(InvalidInput, match="found the table name"):
        await lake.search("one", table='x"; DROP TABLE documents')
    await put(lake, "a.md", [f"word number {i}" for i in range(120)])
    assert len(await lake.search("word", limit=100)) == 100


async def test_each_table_is_searched_by_itself(lake: Lake) -> None:
    await put(lake, "a.md", ["apple"])
    await put(lake, "b.md", ["apple"], [np.ones(6, np.float32)], table="notes")
    assert [hit.document for hit in await lake.search("apple", table="notes")] == ["b.md"]
    assert await lake.tables() == ["chunks", "notes"]


async def test_a_search_sees_one_state_while_documents_are_replaced(lake: Lake) -> None:
    await put(lake, "a.md", ["apple 0"] * 20, [AXES[0]] * 20)

    async def replace() -> None:
        for turn in range(1, 15):
            await put(lake, "a.md", [f"apple {turn}"] * 20, [AXES[0]] * 20)

    replacing = asyncio.create_task(replace())
    while not replacing.done():
        hits = await lake.search("apple", AXES[0], 20)
        assert len({hit.text for hit in hits}) == 1
        assert len(hits) == 20
    await replacing


async def test_the_listing_has_every_file_and_what_became_of_it(lake: Lake) -> None:
    await put(lake, "a.pdf", ["one", "two"])
    ledger = lake.ledger("papers")
    await ledger.record(LedgerEntry("b.pdf", "a.pdf", "d", "duplicate", 1, 1, "a.pdf"))
    await ledger.record(LedgerEntry("c.pdf", "cc", "d", "failed", 1, 1, "found nothing", "/failed/c.pdf"))
    rows = await lake.documents()
    assert [(row.name, row.state, row.pages, row.chunks, row.path) for row in rows] == [
        ("a.pdf", "done", 9, 2, "/in/a.pdf"),
        ("b.pdf", "duplicate", 0, 0, ""),
        ("c.pdf", "failed", 0, 0, "/failed/c.pdf"),
    ]
    assert await lake.documents("other") == []
    assert [(row.name, row.reason) for row in await lake.failures("papers")] == [("c.pdf", "found nothing")]
    assert orjson.dumps([asdict(row) for row in rows])


async def test_vectors_of_another_model_of_the_same_length_are_not_compared(lake: Lake) -> None:
    await put(lake, "a.pdf", ["red apple", "green pear"], [AXES[0], AXES[1]])
    await put(lake, "b.pdf", ["blue plum"], [AXES[2]], model="other")
    other, mini = VectorOrigin("other", ""), VectorOrigin("mini", "")
    assert [hit.document for hit in await lake.search("", AXES[2], 5, origin=other)] == ["b.pdf"]
    mine = await lake.search("plum", AXES[2], 5, origin=mini)
    assert [(hit.document, hit.similarity is None) for hit in mine if hit.document == "b.pdf"] == [("b.pdf", True)]
    assert await lake.incomparable("chunks", mini) == 1
    assert await lake.incomparable("chunks", other) == 2
    assert await lake.incomparable("nothing", mini) == 0


async def test_vectors_of_other_files_under_the_same_name_are_not_compared(lake: Lake) -> None:
    await put(lake, "a.pdf", ["red apple"], [AXES[0]], revision="one")
    await put(lake, "b.pdf", ["blue plum"], [AXES[0]], revision="two")
    await put(lake, "c.pdf", ["old pear"], [AXES[0]])  # of before revisions were kept: of the present files
    one = VectorOrigin("mini", "one")
    assert [hit.document for hit in await lake.search("", AXES[0], 5, origin=one)] == ["a.pdf", "c.pdf"]
    assert await lake.incomparable("chunks", one) == 1
