"""The batcher on a real event loop, with an engine whose batches end when the test says so."""

import asyncio

import pytest

from fastembed.inference.engines.scheduling.batcher import BatchLimits
from fastembed.inference.engines.scheduling.scheduler import Scheduler
from fastembed.pipeline.errors import Expired, Unavailable
from fastembed.pipeline.testing import run_virtual


class HandEngine:
    """Holds every batch until `finish`; its result for a payload is the payload doubled."""

    def __init__(self):
        self.running = []
        self.started = asyncio.Event()

    def start(self, payloads, done):
        if "refused" in payloads:
            raise RuntimeError("the engine refuses this one")
        self.running.append((list(payloads), done))
        self.started.set()

    def finish(self, bad=None):
        payloads, done = self.running.pop(0)
        if bad in payloads:
            done(None, ValueError(f"cannot compute {bad}"))
        else:
            done([payload * 2 for payload in payloads], None)

    async def next_batch(self):
        while not self.running:
            self.started.clear()
            await self.started.wait()
        return self.running[0][0]


async def start(scheduler, *payloads, **options):
    task = asyncio.create_task(scheduler.run(list(payloads), [10] * len(payloads), **options))
    await asyncio.sleep(0)
    return task


async def test_results_come_in_the_order_of_the_payloads():
    engine = HandEngine()
    scheduler = Scheduler(engine, BatchLimits(in_flight=1))
    task = asyncio.create_task(scheduler.run(["a", "b", "c"], [12, 10, 11]))
    await engine.next_batch()
    engine.finish()
    assert await task == ["aa", "bb", "cc"]


async def test_requests_of_one_turn_of_the_loop_share_a_batch():
    engine = HandEngine()
    scheduler = Scheduler(engine, BatchLimits(in_flight=1))
    tasks = [asyncio.create_task(scheduler.run([name], [10])) for name in "abc"]
    assert await engine.next_batch() == ["a", "b", "c"]
    engine.finish()
    assert await asyncio.gather(*tasks) == [["aa"], ["bb"], ["cc"]]


async def test_a_cancelled_request_frees_its_place_at_once():
    engine = HandEngine()
    scheduler = Scheduler(engine, BatchLimits(in_flight=1))
    running = await start(scheduler, "a")
    await engine.next_batch()
    waiting = await start(scheduler, "b", "c")
    assert scheduler.batcher.waiting_items == 2
    waiting.cancel()
    await asyncio.sleep(0)
    assert scheduler.batcher.waiting_items == 0
    engine.finish()
    assert await running == ["aa"]


async def test_a_bad_input_fails_its_own_request_only():
    engine = HandEngine()
    scheduler = Scheduler(engine, BatchLimits(in_flight=1))
    good = asyncio.create_task(scheduler.run(["a"], [10]))
    bad = asyncio.create_task(scheduler.run(["x"], [10]))
    assert await engine.next_batch() == ["a", "x"]
    for _ in range(3):
        await engine.next_batch()
        engine.finish(bad="x")
    assert await good == ["aa"]
    with pytest.raises(ValueError, match="cannot compute x"):
        await bad


async def test_an_engine_that_raises_on_start_fails_the_request():
    scheduler = Scheduler(HandEngine(), BatchLimits(in_flight=1))
    with pytest.raises(RuntimeError, match="refuses this one"):
        await scheduler.run(["refused"], [10])


async def test_results_from_another_thread_arrive():
    class Threaded:
        def start(self, payloads, done):
            asyncio.get_running_loop().run_in_executor(None, done, payloads, None)

    assert await Scheduler(Threaded(), BatchLimits()).run([1, 2], [1, 1]) == [1, 2]


async def test_a_request_past_its_deadline_expires_in_the_queue():
    engine = HandEngine()
    scheduler = Scheduler(engine, BatchLimits(in_flight=1))
    running = await start(scheduler, "a")
    await engine.next_batch()
    with pytest.raises(Expired, match="in the model's queue"):
        await scheduler.run(["b"], [10], deadline=asyncio.get_running_loop().time())
    engine.finish()
    await running


async def test_close_waits_for_what_was_admitted():
    engine = HandEngine()
    scheduler = Scheduler(engine, BatchLimits(in_flight=1))
    task = await start(scheduler, "a")
    closing = asyncio.create_task(scheduler.close())
    await engine.next_batch()
    assert not closing.done()
    engine.finish()
    await closing
    assert await task == ["aa"]
    with pytest.raises(Unavailable):
        await scheduler.run(["b"], [10])


async def test_close_returns_when_the_last_request_is_cancelled():
    engine = HandEngine()
    scheduler = Scheduler(engine, BatchLimits(in_flight=1))
    running = await start(scheduler, "a")
    await engine.next_batch()
    waiting = await start(scheduler, "b")
    closing = asyncio.create_task(scheduler.close())
    await asyncio.sleep(0)
    waiting.cancel()
    engine.finish()
    await closing
    assert await running == ["aa"]


def test_a_batch_that_hangs_fails_and_what_comes_of_it_later_is_ignored():
    async def hang():
        engine = HandEngine()
        scheduler = Scheduler(engine, BatchLimits(in_flight=2, batch_items=1), stall_s=60)
        hung = await start(scheduler, "never")
        with pytest.raises(Unavailable, match="the device has not answered for 60 s"):
            await hung
        assert asyncio.get_running_loop().time() == pytest.approx(60)
        other = await start(scheduler, "soon")
        engine.finish()
        await asyncio.sleep(1)
        engine.finish()
        assert await other == ["soonsoon"]
        await scheduler.close()

    run_virtual(hang())
