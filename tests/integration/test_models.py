"""Models that are lent: loaded once, on a device, for all who ask."""

import asyncio

import pytest

from fastembed.inference.serving.models import Models
from fastembed.pipeline.errors import ModelNotFound, Unavailable


@pytest.fixture
async def models(tmp_path):
    made = Models(base=tmp_path)
    yield made
    await made.close()


async def test_one_load_serves_all_who_borrow_at_once_under_any_name(models):
    async def borrow(name):
        async with models.lend(name, "embedding") as model:
            return model

    first, second = await asyncio.gather(borrow("auto"), borrow("sentence-transformers/all-MiniLM-L6-v2"))
    assert first is second
    assert (first.name, first.device) == ("all-MiniLM-L6-v2", "CPU")


async def test_a_loaded_model_is_lent_without_giving_way_to_others(models):
    await models.warm()
    borrowing = models.lend("auto", "embedding").__aenter__()
    with pytest.raises(StopIteration):
        borrowing.send(None)


async def test_a_device_that_is_named_is_taken_and_one_that_is_not_there_refused(models):
    async with models.lend("auto", "embedding", device="CPU") as model:
        assert model.device == "CPU"
    with pytest.raises(Unavailable, match="found the devices CPU, expected NPU"):
        async with models.lend("auto", "embedding", device="NPU"):
            pass


async def test_a_task_that_no_loader_knows_is_refused_with_those_that_are(models):
    with pytest.raises(
        ModelNotFound,
        match=r"found the task voice_activity, expected one of embedding, chat, code, rerank, .*document, .*transcript",
    ):
        async with models.lend("auto", "voice_activity"):
            pass


async def test_nothing_is_lent_after_the_close(models):
    await models.close()
    with pytest.raises(Unavailable, match="the models are closing"):
        async with models.lend("auto", "embedding"):
            pass
