import asyncio
from contextlib import suppress

import pytest

from fastembed.documents.lanes import Lanes


class Work:
    """Work that ends when it is told to; counts how often it was begun."""

    def __init__(self, value="done"):
        self.value = value
        self.begun = 0
        self.running = False
        self.end = asyncio.Event()

    async def __call__(self):
        self.begun += 1
        self.running = True
        try:
            await self.end.wait()
        finally:
            self.running = False
        return self.value


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def start(lanes, *works):
    return [asyncio.create_task(lanes.run(work)) for work in works]


async def test_what_takes_long_leaves_the_fast_lane_and_goes_on():
    lanes = Lanes(fast=2, slow=2, patience_s=0.01)
    long = [Work(), Work()]
    quick = Work("quick")
    tasks = start(lanes, *long, quick)
    await until(lambda: quick.running)
    assert [work.begun for work in long] == [1, 1]
    quick.end.set()
    assert await tasks[2] == "quick"
    for work in long:
        work.end.set()
    assert await asyncio.gather(*tasks[:2]) == ["done", "done"]
    assert [work.begun for work in long] == [1, 1]


async def test_what_is_done_in_time_stays_where_it_is():
    lanes = Lanes(fast=1, slow=1, patience_s=60)
    first, second = Work("first"), Work("second")
    tasks = start(lanes, first, second)
    await settle()
    assert (first.running, second.running) == (True, False)
    first.end.set()
    await until(lambda: second.running)
    second.end.set()
    assert await asyncio.gather(*tasks) == ["first", "second"]


async def test_while_the_slow_lane_is_full_long_work_makes_way_only_for_others_and_begins_anew():
    lanes = Lanes(fast=1, slow=1, patience_s=0.01, hold_s=0.01)
    slow, longer, quick = Work("slow"), Work("longer"), Work("quick")
    tasks = start(lanes, slow, longer)
    await until(lambda: longer.running)
    await asyncio.sleep(0.05)
    assert longer.running, "nobody waits"
    tasks += start(lanes, quick)
    await until(lambda: quick.running)
    assert (longer.running, longer.begun) == (False, 1)
    quick.end.set()
    slow.end.set()
    await until(lambda: longer.running)
    longer.end.set()
    assert await asyncio.gather(*tasks) == ["slow", "longer", "quick"]
    assert longer.begun == 2


async def test_errors_and_cancellation_free_the_lanes():
    lanes = Lanes(fast=1, slow=1, patience_s=0.01)

    async def fails():
        await asyncio.sleep(0)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await lanes.run(fails)
    slow, waiting = Work(), Work()
    tasks = start(lanes, slow, waiting)
    await until(lambda: waiting.running)
    await asyncio.sleep(0.02)
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
    assert not slow.running
    assert not waiting.running
    after = [Work("one"), Work("two")]
    tasks = start(lanes, *after)
    await until(lambda: after[0].running and after[1].running)
    for work in after:
        work.end.set()
    assert await asyncio.gather(*tasks) == ["one", "two"]
