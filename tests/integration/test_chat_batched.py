"""The engine of the chat process: requests that break a step, pipelines that wedge, more answers than there is room."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from fastembed.inference.engines.chat.batched import BatchedEngine
from fastembed.inference.engines.chat.folder import open_batched
from fastembed.inference.engines.chat.generation import Generation, Mailbox
from fastembed.pipeline.errors import Overloaded, Unavailable

FOLDER = Path(__file__).parent.parent.parent / "models" / "chat-pocket"
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
MANY = '{"type": "array", "items": {"type": "integer"}, "minItems": 200}'


def load():
    return open_batched(FOLDER, "CPU", EXACT, 512)


@pytest.fixture
async def engine():
    loaded = BatchedEngine(load, device="CPU", room=1024, most=16)
    yield loaded
    await loaded.close()


def generation(engine, mailbox, index, *, tokens=20, schema=None):
    import openvino_genai

    config = engine.config()
    config.max_new_tokens, config.ignore_eos = tokens, True
    if schema:
        config.structured_output_config = openvino_genai.StructuredOutputConfig(json_schema=schema)
    return Generation([1, 270, 201, 376, 2], config, mailbox, index)


async def outcomes(mailbox, count):
    """Return (tokens, how it ended) of each answer."""
    tokens, ends = [0] * count, {}
    async with aclosing(mailbox.pieces()) as pieces:
        async for piece in pieces:
            tokens[piece.index] += len(piece.tokens)
            if piece.ended or piece.error:
                ends[piece.index] = piece.error or piece.ended
            if len(ends) == count:
                return [(tokens[index], ends[index]) for index in range(count)]
    raise AssertionError


async def test_a_request_that_breaks_a_step_fails_alone(engine):
    mailbox = Mailbox()
    fine = [generation(engine, mailbox, index) for index in range(4)]
    engine.submit([*fine[:2], generation(engine, mailbox, 4, schema='{"type": "nope"}'), *fine[2:]])
    *others, broken = await outcomes(mailbox, 5)
    assert others == [(20, "length")] * 4
    assert broken[0] == 0
    assert isinstance(broken[1], Unavailable)
    assert 'Unsupported type "nope"' in str(broken[1])


async def broken_while_read(engine, **options):
    """Return how an answer ends that was being read when another request broke a step, and its token ids."""
    mailbox = Mailbox()
    ids = []
    engine.submit([generation(engine, mailbox, 0, **options)])
    async with aclosing(mailbox.pieces()) as pieces:
        async for piece in pieces:
            if not ids:
                engine.submit([generation(engine, Mailbox(), 1, schema='{"type": "nope"}')])
            ids += [token.id for token in piece.tokens]
            if piece.ended or piece.error:
                return piece.error or piece.ended, ids
    raise AssertionError


async def test_an_answer_goes_on_after_a_broken_step_as_if_nothing_had_been(engine):
    whole, mailbox = [], Mailbox()
    engine.submit([generation(engine, mailbox, 0, tokens=900)])
    async with aclosing(mailbox.pieces()) as pieces:
        async for piece in pieces:
            whole += [token.id for token in piece.tokens]
            if piece.ended:
                break
    end, ids = await broken_while_read(engine, tokens=900)
    assert end == "length"
    assert ids == whole


async def test_an_answer_under_a_grammar_fails_clearly_and_the_engine_goes_on(engine):
    end, ids = await broken_while_read(engine, tokens=900, schema=MANY)
    assert ids
    assert isinstance(end, Unavailable)
    assert 'the chat engine failed in this answer: Unsupported type "nope"' in str(end)
    after = Mailbox()
    engine.submit([generation(engine, after, 0)])
    assert await outcomes(after, 1) == [(20, "length")]


async def test_a_request_that_cannot_be_put_in_fails_alone_whatever_is_wrong_with_it(engine):
    mailbox = Mailbox()
    impossible = generation(engine, mailbox, 1)
    impossible.prompt = [2**70]
    engine.submit([generation(engine, mailbox, 0), impossible, generation(engine, mailbox, 2)])
    fine, broken, other = await outcomes(mailbox, 3)
    assert fine == other == (20, "length")
    assert isinstance(broken[1], Unavailable)
    assert engine.restarts == 0


class Stuck:
    """The real pipeline, whose steps do nothing once it is warm."""

    def __init__(self, real):
        self._real = real

    def __getattr__(self, name):
        return getattr(self._real, name)

    def step(self):
        pass


async def test_an_engine_that_brings_nothing_is_loaded_again():
    pipelines = iter([Stuck(load()), load()])
    engine = BatchedEngine(lambda: next(pipelines), device="CPU", room=1024, stall_s=0.2)
    mailbox = Mailbox()
    engine.submit([generation(engine, mailbox, 0)])
    ((count, end),) = await outcomes(mailbox, 1)
    assert count == 0
    assert "no token for 0.2 s" in str(end)
    engine.submit([generation(engine, mailbox, 0)])
    assert await outcomes(mailbox, 1) == [(20, "length")]
    assert engine.restarts == 1
    await engine.close()


async def test_an_engine_that_cannot_be_loaded_again_says_so_and_is_tried_by_the_next_request():
    pipelines = iter([Stuck(load()), None, None, load()])
    engine = BatchedEngine(lambda: next(pipelines), device="CPU", room=1024, stall_s=0.1)
    for found in ("no token for 0.1 s", "the model cannot be loaded"):
        mailbox = Mailbox()
        engine.submit([generation(engine, mailbox, 0)])
        ((_, end),) = await outcomes(mailbox, 1)
        assert found in str(end)
    engine.submit([generation(engine, mailbox, 0)])
    assert await outcomes(mailbox, 1) == [(20, "length")]
    await engine.close()


async def test_more_answers_than_there_is_room_for_are_refused_with_a_time(engine):
    mailbox = Mailbox()
    running = [generation(engine, mailbox, index, tokens=1000) for index in range(16)]
    engine.submit(running)
    with pytest.raises(Overloaded, match="expected at most 16") as refused:
        engine.submit([generation(engine, mailbox, 16)])
    assert refused.value.retry_after_s >= 1
    engine.release(running)


async def test_what_came_during_a_step_is_done_before_the_next_one(engine):
    steps = 0

    def step():
        nonlocal steps
        steps += 1

    engine.before_step = step
    leaving = generation(engine, Mailbox(), 0, tokens=900)
    engine.submit([leaving])
    while not leaving.produced:  # noqa: ASYNC110 - the loop's rounds are what is tested
        await asyncio.sleep(0)
    engine.give_way()
    before = steps
    for _ in range(3):
        await asyncio.sleep(0)
    assert steps == before
    engine.release([leaving])
    while engine.busy:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert steps <= before + 1
