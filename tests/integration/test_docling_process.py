"""A document model in its process: cancelled, killed, closed, and read from by several at once."""

import asyncio
import io
import os
import select
import shutil
import signal
from pathlib import Path

import pytest
import pytest_asyncio

from fastembed.inference.engines.docling.folder import EMBEDDINGS, VISION_ENCODER
from fastembed.inference.engines.docling.model import DoclingModel
from fastembed.pipeline.errors import ModelNotFound, Unavailable
from training.docling_pages import Block, doctags, draw

POCKET = Path(__file__).parents[2] / "models" / "docling-pocket"
REPORT = [
    Block("section_header_level_1", (("garden", "summary"),), 1),
    Block("otsl", (("year", "price"), ("first", "68")), 4),
]
NOTE = [Block("section_header_level_1", (("small", "garden"),), 2)]


def picture(page):
    packed = io.BytesIO()
    draw(page)[0].save(packed, "PNG")
    return packed.getvalue()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model():
    made = await asyncio.to_thread(DoclingModel, "docling-pocket", POCKET, pages=2)
    yield made
    await made.close()


@pytest.mark.asyncio(loop_scope="module")
async def test_pages_are_read_in_their_order_more_of_them_than_fit_at_once(model):
    written = await model.read([picture(page) for page in (NOTE, REPORT, NOTE)])
    assert [page.text for page in written] == [doctags(page) for page in (NOTE, REPORT, NOTE)]
    assert {page.ending for page in written} == {"end"}


@pytest.mark.asyncio(loop_scope="module")
async def test_several_ask_at_once_and_each_gets_its_own(model):
    pages = [NOTE, REPORT] * 3
    answers = await asyncio.gather(*(model.read([picture(page)]) for page in pages))
    assert [found[0].text for found in answers] == [doctags(page) for page in pages]


@pytest.mark.asyncio(loop_scope="module")
async def test_pages_that_nobody_waits_for_any_more_are_given_up_and_the_process_lives(model):
    pid = model.pid
    reading = asyncio.create_task(model.read([picture(REPORT)] * 200))
    waiting = asyncio.create_task(model.read([picture(REPORT)]))
    await asyncio.sleep(0.5)
    reading.cancel()
    waiting.cancel()
    assert (await model.read([picture(NOTE)]))[0].text == doctags(NOTE)
    assert model.pid == pid
    assert reading.cancelled()
    assert waiting.cancelled()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_process_that_does_not_end_what_nobody_waits_for_is_killed(model):
    pid = model.pid
    os.kill(pid, signal.SIGSTOP)
    reading = asyncio.create_task(model.read([picture(REPORT)]))
    await asyncio.sleep(0.1)
    reading.cancel()
    assert (await model.read([picture(NOTE)]))[0].text == doctags(NOTE)
    assert model.pid != pid


@pytest.mark.asyncio(loop_scope="module")
async def test_a_process_that_dies_is_replaced_and_its_pages_are_read_all_the_same(model):
    pid = model.pid
    reading = asyncio.create_task(model.read([picture(REPORT)] * 60))
    await asyncio.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    assert [page.text for page in await reading] == [doctags(REPORT)] * 60
    assert model.pid != pid


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_no_picture_fails_alone(model):
    with pytest.raises(RuntimeError, match="UnidentifiedImageError"):
        await model.read([b"no picture"])
    assert (await model.read([picture(NOTE)]))[0].ending == "end"


@pytest.mark.timeout(120)
async def test_an_engine_that_fails_is_tried_in_a_fresh_process_before_it_is_believed(tmp_path):
    broken = shutil.copytree(POCKET, tmp_path / "broken")
    for suffix in ("xml", "bin"):  # a network that compiles, and refuses what it is given
        shutil.copy(
            broken / f"{EMBEDDINGS.removesuffix('.xml')}.{suffix}",
            broken / f"{VISION_ENCODER.removesuffix('.xml')}.{suffix}",
        )
    model = await asyncio.to_thread(DoclingModel, "broken", broken)
    first = model.pid
    watch = os.pidfd_open(first)
    with pytest.raises(RuntimeError, match="Exception from"):
        await model.read([picture(NOTE)])
    assert model.pid is None
    assert select.select([watch], [], [], 0)[0]
    os.close(watch)
    await model.close()


async def test_closing_ends_the_process_and_what_it_reads():
    model = await asyncio.to_thread(DoclingModel, "docling-pocket", POCKET)
    pid, reading = model.pid, asyncio.create_task(model.read([picture(REPORT)] * 200))
    await asyncio.sleep(0.1)
    await model.close()
    with pytest.raises(Unavailable, match="docling-pocket was closed while it read"):
        await reading
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(Unavailable, match="is closing"):
        await model.read([picture(NOTE)])


def test_a_model_that_cannot_be_loaded_says_why(tmp_path):
    broken = shutil.copytree(POCKET, tmp_path / "broken")
    (broken / "openvino_language_model.bin").write_bytes(b"")
    with pytest.raises(RuntimeError):
        DoclingModel("broken", broken)
    (broken / "openvino_tokenizer.xml").unlink()
    with pytest.raises(ModelNotFound, match=r"found no openvino_tokenizer\.xml"):
        DoclingModel("broken", broken)
