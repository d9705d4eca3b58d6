"""The reranker that ships, on OpenVINO, beside openvino-genai's own pipeline."""

import asyncio
from pathlib import Path

import openvino_genai
import pytest

from fastembed.inference.engines.rerank.model import RerankModel
from fastembed.inference.library.devices import DeviceLimits, Devices
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.rerank import RerankRequest

FOLDER = Path(__file__).parent.parent.parent / "models" / "rerank-pocket"
QUERY = "how do I free the cups of the anemometer from ice"
DOCUMENTS = [
    "The larder is stocked for three weeks more.",
    "If the cups of the anemometer are full of ice, tap the shaft with the rubber mallet.",
    "Ice falls from the mast. " * 10,
    "Cups stand in the kitchen.",
]
EXACT = DeviceLimits(properties={"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0})


@pytest.fixture
async def model():
    loaded = await asyncio.to_thread(RerankModel, "rerank-pocket", FOLDER, Devices({"cpu": EXACT}), "CPU")
    yield loaded
    await loaded.close()


def scores(ranking):
    return {found.index: found.score for found in ranking.results}


async def test_the_scores_are_those_of_openvino_genai(model):
    pipeline = openvino_genai.TextRerankPipeline(str(FOLDER), "CPU", INFERENCE_PRECISION_HINT="f32", top_n=4)
    expected = dict(await asyncio.to_thread(pipeline.rerank, QUERY, DOCUMENTS))
    assert scores(await model.rank(RerankRequest(QUERY, DOCUMENTS))) == pytest.approx(expected, abs=0.01)


async def test_batch_mates_change_nothing(model):
    together = await asyncio.gather(
        *(model.rank(RerankRequest(QUERY, DOCUMENTS)), model.rank(RerankRequest("cat", DOCUMENTS[:2])))
    )
    for place, document in enumerate(DOCUMENTS):
        alone = await model.rank(RerankRequest(QUERY, [document]))
        assert alone.results[0].score == pytest.approx(scores(together[0])[place], abs=1e-3)
    assert model.waiting == (0, 0)


async def test_a_long_document_is_read_up_to_the_window_and_the_query_is_kept(model):
    ranking = await model.rank(RerankRequest("anemometer", ["word " * 2000, "short"]))
    assert ranking.truncated == 1
    assert ranking.tokens == model.window + len(model._tokenizer.encode("anemometer", ["short"], "").rows[0])
    cut, whole = model._tokenizer.encode("anemometer", ["word " * 2000, "short"], "").rows
    start = list(whole).index(whole[-1])
    assert list(cut)[: start + 1] == list(whole)[: start + 1]
    assert cut[-1] == whole[-1]


async def test_a_query_of_more_than_half_the_window_is_refused(model):
    with pytest.raises(InvalidInput, match="found 300 tokens in the query, expected at most 256, half of") as refused:
        await model.rank(RerankRequest("the " * 300, ["short"]))
    assert (refused.value.param, refused.value.code) == ("query", "context_length_exceeded")


async def test_an_npu_ranks_in_static_shapes(model):
    limits = DeviceLimits(properties={"NPU_USE_NPUW": "YES", "NPUW_DEVICES": "CPU", "NPUW_ONLINE_PIPELINE": "NONE"})
    on_npu = await asyncio.to_thread(RerankModel, "rerank-pocket", FOLDER, Devices({"npu": limits}), "NPU")
    found = await on_npu.rank(RerankRequest(QUERY, DOCUMENTS))
    assert scores(found) == pytest.approx(scores(await model.rank(RerankRequest(QUERY, DOCUMENTS))), abs=0.1)
    await on_npu.close()
