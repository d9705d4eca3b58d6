"""The shipped model against float32 reference vectors, and many callers at once (OpenVINO on the CPU).

`tests/assets/embeddings` holds 64 texts of 3 to 256 tokens in seventeen languages, code, tables and noise, and the
vectors that `make_reference.py` computed for them from the published float32 weights with numpy alone.
"""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from fastembed.inference.engines.embedding.engine import EmbeddingEngine
from fastembed.inference.engines.embedding.model import EmbeddingModel
from fastembed.inference.engines.encoder.tokenize import FastTokenizer, GraphTokenizer, load_tokenizer
from fastembed.inference.library.devices import DeviceLimits, Devices
from fastembed.inference.serving.models import Models
from fastembed.pipeline.errors import InvalidInput, Overloaded, Unavailable

ASSETS = Path(__file__).parent.parent / "assets" / "embeddings"
MINILM = Path(__file__).parent.parent.parent / "models" / "minilm"
TEXTS = json.loads((ASSETS / "corpus.json").read_text(encoding="utf-8"))
REFERENCE = np.load(ASSETS / "reference.npz")


@pytest.fixture
async def model(tmp_path):
    models = Models(base=tmp_path)
    async with models.lend("auto", "embedding") as loaded:
        yield loaded
    await models.close()


async def lent(models, name="auto"):
    async with models.lend(name, "embedding") as model:
        return model


def cosines(vectors, places):
    return (vectors * REFERENCE["vectors"][places]).sum(1) / np.linalg.norm(vectors, axis=1)


async def test_each_text_alone_equals_the_float32_reference(model):
    for place, text in enumerate(TEXTS):
        vectors, counts = await model.embed([text])
        assert counts == [REFERENCE["counts"][place]]
        assert cosines(vectors, [place]).min() >= 0.995, text[:60]


LONG = "word " * 500


async def test_what_is_too_long_is_cut_where_the_request_says(model):
    for most, count in ((0, 256), (1000, 256), (10, 10), (3, 3)):
        [tokens] = await model.tokenize([LONG], most_tokens=most)
        assert (len(tokens), tokens.dropped, tokens[-1]) == (count, 502 - count, 102)
    whole, _ = await model.embed(["word " * 8], most_tokens=10)
    cut, counts = await model.embed([LONG], most_tokens=10)
    assert counts == [10]
    assert np.allclose(whole, cut, atol=1e-3)
    for limited in (model.tokenize([LONG], most_tokens=2), model.tokenize([LONG])):
        with pytest.raises(InvalidInput, match=r"expected at least 3: .* puts 2 special ones|found 502 tokens"):
            await limited


async def test_ids_that_may_be_another_tokenizers_are_refused(model):
    framed = [101, 7592, 2088, 102]
    assert await model.tokenize([framed], own_ids=False) == [framed] == await model.tokenize([framed[1:3]])
    for ids in ([15339, 1917], framed[:-1], framed[1:]):
        with pytest.raises(InvalidInput, match="check_embedding_ctx_length=False") as caught:
            await model.tokenize([ids], own_ids=False)
        assert (caught.value.param, caught.value.code) == ("input", "unknown_tokenizer")


@pytest.mark.parametrize("seed", range(3))
async def test_batch_mates_of_other_lengths_change_nothing(model, seed):
    places = np.random.default_rng(seed).permutation(len(TEXTS))
    vectors, counts = await model.embed([TEXTS[place] for place in places])
    assert counts == REFERENCE["counts"][places].tolist()
    assert cosines(vectors, places).min() >= 0.995


async def test_rows_padded_to_the_longest_of_all_equal_the_reference(model):
    """Below the scheduler, which would keep such lengths apart: 3 tokens padded to 256."""
    rows = load_tokenizer(MINILM).encode(TEXTS)
    places = [int(REFERENCE["counts"].argmax()), *range(6)]
    vectors = await asyncio.to_thread(model._engine.infer, [rows[place] for place in places])
    assert cosines(vectors, places).min() >= 0.995


def test_static_shapes_give_what_the_dynamic_one_gives():
    """In float32: int8 and bfloat16, the defaults, round differently for every shape."""
    exact = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
    rows = [row for row in load_tokenizer(MINILM).encode(TEXTS) if len(row) <= 64]
    engines = [EmbeddingEngine(MINILM, Devices(), lengths=lengths, **exact) for lengths in ((), (32, 64))]
    dynamic, static = (np.concatenate([engine.infer([row]) for row in rows[::3]]) for engine in engines)
    assert engines[0].padding == 0
    assert 0 < engines[1].padding < 0.5
    for engine in engines:
        engine.close()
    assert (dynamic * static).sum(1).min() >= 0.9999


async def test_an_npu_embeds_in_static_shapes():
    """The NPU's own code path (NPUW), which here computes on the CPU."""
    limits = DeviceLimits(properties={"NPU_USE_NPUW": "YES", "NPUW_DEVICES": "CPU", "NPUW_ONLINE_PIPELINE": "NONE"})
    model = await asyncio.to_thread(EmbeddingModel, "minilm", MINILM, Devices({"npu": limits}), "NPU")
    assert model._engine.lengths == (32, 64, 128, 256)
    places = [0, 5, 30, int(REFERENCE["counts"].argmax()), 7]
    vectors, counts = await model.embed([TEXTS[place] for place in places])
    assert counts == REFERENCE["counts"][places].tolist()
    assert cosines(vectors, places).min() >= 0.995
    assert 0 < model.padding < 0.5
    await model.close()


async def test_many_callers_share_batches_and_get_their_own_vectors(model):
    async def caller(seed):
        places = np.random.default_rng(seed).integers(0, len(TEXTS), 1 + seed % 3)
        vectors, _ = await model.embed([TEXTS[place] for place in places], priority=seed % 2)
        assert cosines(vectors, places).min() >= 0.995

    await asyncio.gather(*(caller(seed) for seed in range(40)))
    assert model.waiting == (0, 0)


async def test_callers_that_leave_free_their_places_at_once(model):
    tokens = await model.tokenize(["word " * 200] * 8)
    stay = asyncio.create_task(model.embed(tokens))
    leave = [asyncio.create_task(model.embed(tokens * 2)) for _ in range(5)]
    await asyncio.sleep(0)
    assert model.waiting[0] == 88
    for task in leave:
        task.cancel()
    await asyncio.gather(*leave, return_exceptions=True)
    assert model.waiting[0] <= 8
    vectors, _ = await stay
    assert vectors.shape == (8, 384)


async def test_a_full_queue_refuses_with_a_time_to_come_back(model):
    tokens = await model.tokenize(["word " * 250] * 1000)
    full = asyncio.create_task(model.embed(tokens))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as refused:
        await model.embed(tokens[:100])
    assert refused.value.retry_after_s >= 1
    full.cancel()
    await asyncio.gather(full, return_exceptions=True)
    assert model.waiting == (0, 0)


async def test_the_event_loop_stays_free_while_the_model_works(model):
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(model.embed(["a longer sentence about nothing in particular " * 20] * 64))
    turns = 0
    started = loop.time()
    while not work.done():
        await asyncio.sleep(0.002)
        turns += 1
    assert turns / (loop.time() - started) > 50  # a loop that waits for OpenVINO turns a few times a second
    await work


async def test_a_closed_model_serves_what_it_admitted_and_nothing_more(tmp_path):
    models = Models(base=tmp_path)
    model = await lent(models)
    admitted = asyncio.create_task(model.embed(["hello"] * 20))
    await asyncio.sleep(0)
    await models.close()
    vectors, _ = await admitted
    assert vectors.shape == (20, 384)
    with pytest.raises(Unavailable):
        await lent(models)


async def test_one_load_serves_all_who_ask_at_once(tmp_path):
    models = Models(base=tmp_path)
    first, second = await asyncio.gather(lent(models), lent(models, "all-MiniLM-L6-v2"))
    assert first is second
    (card,) = (card for card in models.cards() if card.state == "ready")
    assert (card.window, card.dimensions) == (256, 384)
    await models.close()


def test_the_tokenizer_neither_cuts_nor_pads():
    tokenizer = FastTokenizer(MINILM / "tokenizer.json")
    assert [len(ids) for ids in tokenizer.encode(["a", "word " * 300])] == [3, 302]
    assert tokenizer.complete([7592]) == tokenizer.complete([101, 7592, 102]) == [101, 7592, 102]
    assert tokenizer.cut([101, 1, 2, 3, 102], 4) == [101, 1, 2, 102]


def test_a_graph_tokenizer_gives_the_same_ids():
    folder = MINILM.parent / "whisper-pocket"
    fast, graph = FastTokenizer(folder / "tokenizer.json"), GraphTokenizer(folder / "openvino_tokenizer.xml")
    texts = ["hello world", "a", "yes no one two three"]
    assert graph.encode(texts) == fast.encode(texts)
    assert (graph.prefix, graph.suffix) == (fast.prefix, fast.suffix)
    assert graph.vocabulary == 704
