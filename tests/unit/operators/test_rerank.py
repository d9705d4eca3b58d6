"""The rerank operator with the model that ships."""

import pytest

from fastembed.inference.serving.models import Models
from fastembed.operators.rerank import Rerank
from fastembed.pipeline.component import Context, OperatorKind, Resources
from fastembed.pipeline.errors import InvalidInput, ModelNotFound
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.rerank import RerankRequest
from fastembed.pipeline.spec import describe

DOCUMENTS = ["The cat sleeps on the stove.", "Empty the rain gauge at seven.", "Ravens steal what shines."]


@pytest.fixture
async def rerank(tmp_path):
    models = Models(base=tmp_path)
    operator = Rerank()
    await operator.open(Context("rerank", "rerank", "hash", tmp_path, Resources(models)))
    yield operator
    await models.close()


def test_the_operator_is_what_the_kernel_takes_it_for():
    assert describe(Rerank, "rerank").kind is OperatorKind.ASYNC_MAP
    assert describe(Rerank, "rerank").wants_item


async def test_the_document_with_the_querys_words_comes_first(rerank):
    ranking = await rerank(Item(RerankRequest("when is the rain gauge emptied", DOCUMENTS)))
    assert ranking.results[0].index == 1
    assert sorted(found.index for found in ranking.results) == [0, 1, 2]
    assert (ranking.model, ranking.device, ranking.state) == ("rerank-pocket", "CPU", "pocket")
    assert 0 <= ranking.results[-1].score <= ranking.results[0].score <= 1


async def test_a_request_that_names_a_model_gets_it_or_an_error(rerank):
    named = await rerank(Item(RerankRequest("cat", DOCUMENTS, model="rerank-pocket", top_n=1)))
    assert len(named.results) == 1
    with pytest.raises(ModelNotFound, match="found 'chat-pocket', a model for chat, expected one for rerank"):
        await rerank(Item(RerankRequest("cat", DOCUMENTS, model="chat-pocket")))
    with pytest.raises(
        ModelNotFound, match=r"found no files of bge-reranker-base .*: fastembed pull bge-reranker-base"
    ):
        await rerank(Item(RerankRequest("cat", DOCUMENTS, model="bge-reranker-base")))


async def test_a_bad_request_is_refused(rerank):
    with pytest.raises(InvalidInput, match="found an empty list, expected a list of texts"):
        await rerank(Item(RerankRequest("cat", [])))
