"""The lanes on virtual time: each work takes so many seconds."""

import asyncio

import pytest

from fastembed.documents.lanes import Lanes
from fastembed.pipeline.testing import run_virtual


class Work:
    """Work that takes some seconds; notes when it was begun, and how it ended."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.log = []

    async def __call__(self):
        loop = asyncio.get_running_loop()
        self.log.append(("begun", loop.time()))
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.log.append(("cancelled", loop.time()))
            raise
        self.log.append(("done", loop.time()))
        return self.seconds


def run(lanes, *works):
    async def main():
        return await asyncio.gather(*(lanes.run(work) for work in works))

    assert run_virtual(main()) == [work.seconds for work in works]


def test_what_takes_long_leaves_the_fast_lane_and_goes_on():
    long, quick = [Work(100), Work(100)], Work(1)
    run(Lanes(fast=2, slow=2, patience_s=8), *long, quick)
    assert quick.log == [("begun", 8), ("done", 9)]
    assert [work.log for work in long] == [[("begun", 0), ("done", 100)]] * 2


def test_what_is_done_in_time_stays_where_it_is():
    first, second = Work(5), Work(5)
    run(Lanes(fast=1, slow=1, patience_s=8), first, second)
    assert (first.log, second.log) == ([("begun", 0), ("done", 5)], [("begun", 5), ("done", 10)])


def test_while_the_slow_lane_is_full_long_work_makes_way_after_a_while_and_begins_anew():
    slow, longer, quick = Work(500), Work(100), Work(1)
    run(Lanes(fast=1, slow=1, patience_s=8, hold_s=60), slow, longer, quick)
    assert quick.log == [("begun", 76), ("done", 77)]
    assert longer.log == [("begun", 8), ("cancelled", 76), ("begun", 500), ("done", 600)]


def test_long_work_goes_on_in_the_fast_lane_while_nobody_waits():
    slow, longer = Work(500), Work(300)
    run(Lanes(fast=1, slow=1, patience_s=8, hold_s=60), slow, longer)
    assert longer.log == [("begun", 8), ("done", 308)]


def test_errors_and_cancellation_free_the_lanes():
    lanes = Lanes(fast=1, slow=1, patience_s=8)

    async def fails():
        await asyncio.sleep(1)
        raise ValueError("broken")

    async def main():
        with pytest.raises(ValueError, match="broken"):
            await lanes.run(fails)
        works = [Work(100), Work(100), Work(100)]
        tasks = [asyncio.create_task(lanes.run(work)) for work in works]
        await asyncio.sleep(20)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert [work.log[-1][0] for work in works[:2]] == ["cancelled", "cancelled"]
        after = [Work(100), Work(1)]
        await asyncio.gather(*(lanes.run(work) for work in after))
        began = after[0].log[0][1]
        assert after[1].log == [("begun", began + 8), ("done", began + 9)]

    run_virtual(main())
