"""multilingual-e5-small, real 4-bit weights out of packages: German, French, Spanish and Chinese find each other."""

from __future__ import annotations

import asyncio
import time
from queue import Queue

import duckdb
import httpx2
import numpy as np
import pytest

from fastembed import FastEmbedServer
from fastembed.inference.engines.embedding.engine import EmbeddingEngine
from fastembed.inference.engines.encoder.tokenize import load_tokenizer
from fastembed.inference.library.devices import DeviceLimits, Devices
from fastembed.inference.library.sections import read_sections
from fastembed.inference.serving.models import Models
from tests.e2e.test_kill import PLUGIN
from tests.real.models import folder

PASSAGES = (
    "Mix flour, water, salt and yeast, knead the dough and bake it at 230 degrees.",
    "Mehl, Wasser, Salz und Hefe mischen, den Teig kneten und bei 230 Grad backen.",
    "The stock market fell sharply on Monday.",
    "Der Aktienmarkt fiel am Montag stark.",
    "La réunion du comité aura lieu mardi matin dans la bibliothèque.",
    "El gato duerme junto a la estufa.",
    "会议将于星期二上午在图书馆举行。",
)
QUESTIONS = {
    "Wie backe ich Brot?": {0, 1},
    "Comment faire du pain ?": {0, 1},
    "¿Qué pasó en la bolsa?": {2, 3},
    "委员会什么时候开会?": {4, 6},
    "Wann trifft sich der Ausschuss?": {4, 6},
    "Where does the cat sleep?": {5},
    "猫在哪里睡觉?": {5},
    "¿Cuándo es la reunión?": {4, 6},
}


@pytest.fixture
async def models():
    declared, _ = read_sections({"models": {"e5": {"from": str(folder("multilingual-e5-small"))}}})
    found = Models(declared, devices=Devices())
    yield found
    await found.close()


async def embedded(models, texts, purpose):
    async with models.lend("e5", "embedding") as model:
        vectors, _ = await model.embed([model.prompts.before(text, purpose) for text in texts])
    return vectors


async def test_a_question_finds_the_answer_in_any_of_the_languages(models):
    passages = await embedded(models, PASSAGES, "document")
    questions = await embedded(models, list(QUESTIONS), "query")
    nearest = (questions @ passages.T).argmax(axis=1)
    assert {
        question: int(place) in QUESTIONS[question] for question, place in zip(QUESTIONS, nearest, strict=True)
    } == (dict.fromkeys(QUESTIONS, True))


async def test_a_sentence_is_near_to_its_translation(models):
    """The numbers of the original weights, converted with torch: 0.914, 0.73 and 0.914."""
    vectors = await embedded(models, PASSAGES[:4], "document")
    bread, brot, stocks, aktien = vectors
    assert bread @ brot == pytest.approx(0.914, abs=0.02)
    assert bread @ stocks == pytest.approx(0.733, abs=0.03)
    assert stocks @ aktien == pytest.approx(0.914, abs=0.02)


async def test_the_model_says_what_it_wants_before_a_text(models):
    async with models.lend("e5", "embedding") as model:
        assert (model.prompts.query, model.prompts.document) == ("query: ", "passage: ")
        assert (model.dimensions, model.window) == (384, 512)


async def test_together_and_alone_texts_have_the_same_vectors(models):
    """Padding does no harm, in whatever precision this processor computes."""
    together = await embedded(models, PASSAGES, "document")
    alone = np.concatenate(await asyncio.gather(*(embedded(models, [text], "document") for text in PASSAGES)))
    assert np.vecdot(together, alone).min() > 0.999


async def test_too_long_a_text_is_told_with_its_length(models):
    async with models.lend("e5", "embedding") as model:
        [tokens] = await model.tokenize(["Brot " * 2000], most_tokens=0)
    assert (len(tokens), tokens.dropped > 1000) == (512, True)


def test_the_npus_way_gives_the_same_vectors():
    """The NPU's own code path (NPUW), which here computes on the CPU, with fixed lengths and padding."""
    way = {"NPU_USE_NPUW": "YES", "NPUW_DEVICES": "CPU", "NPUW_ONLINE_PIPELINE": "NONE"}
    where = folder("multilingual-e5-small")
    tokenizer = load_tokenizer(where)
    rows = tokenizer.encode([f"passage: {text}" for text in PASSAGES[:3]])
    npu = EmbeddingEngine(where, Devices({"npu": DeviceLimits(properties=way)}), "NPU", lengths=(64,))
    cpu = EmbeddingEngine(where, Devices(), "CPU")
    for row in rows:
        found, expected = computed(npu, row), computed(cpu, row)
        assert np.vecdot(found, expected) > 0.999


def computed(engine, row):
    done: Queue = Queue()
    engine.start([row], lambda vectors, error: done.put(error or np.array(vectors[0])))
    vector = done.get(timeout=60)
    assert not isinstance(vector, Exception), vector
    return vector


PIPELINES = """
version: 1
plugins: [./reading.py]
models: {e5: {from: multilingual-e5-small}}
pipelines:
  papers:
    source: {folder: inbox, match: "*.txt", settle: 50ms}
    operators: [open_text, chunk: {tokens: 256, overlap: 32}, embed: {model: e5}]
    sink: {duckdb: lake.duckdb}
  embeddings:
    source: {http: POST /v1/embeddings}
    operators: [embed: {model: e5}]
    sink: reply
"""


def test_a_folder_in_five_languages_is_searched_in_each_of_them(tmp_path):
    """Over HTTP, from what DuckDB holds; the passages' words help none of the questions of another language."""
    (tmp_path / "pipelines.yaml").write_text(PIPELINES)
    (tmp_path / "reading.py").write_text(PLUGIN)
    (tmp_path / "inbox").mkdir()
    for number, text in enumerate(PASSAGES):
        (tmp_path / "inbox" / f"{number}.txt").write_text(text)
    with (
        FastEmbedServer(config=tmp_path / "pipelines.yaml", port=0) as server,
        httpx2.Client(base_url=server.url) as http,
    ):
        until = time.monotonic() + 60
        while len(stored(http)) < len(PASSAGES) and time.monotonic() < until:
            time.sleep(0.1)
        best = {question: found(http, question) for question in QUESTIONS}
        embedded = http.post(
            "/v1/embeddings", json={"model": "e5", "input": "Wie backe ich Brot?", "input_type": "query"}, timeout=60
        )
    assert {question: best[question] in QUESTIONS[question] for question in QUESTIONS} == dict.fromkeys(QUESTIONS, True)
    query = embedded.json()["data"][0]["embedding"]
    with duckdb.connect(str(tmp_path / "lake.duckdb"), read_only=True) as con:
        rows = con.execute(
            """SELECT text, model, length(model_revision) FROM chunks
               ORDER BY array_cosine_similarity(embedding, ?::FLOAT[384]) DESC LIMIT 2""",
            [query],
        ).fetchall()
    assert {PASSAGES.index(text) for text, _, _ in rows} == {0, 1}
    assert {row[1:] for row in rows} == {("e5", 12)}


def stored(http):
    return [row for row in http.get("/v1/documents").json()["data"] if row["state"] == "done"]


def found(http, question):
    hits = http.get("/v1/search", params={"q": question, "limit": 7}, timeout=60).json()["data"]
    return int(max(hits, key=lambda hit: hit["similarity"])["document"].removesuffix(".txt"))
