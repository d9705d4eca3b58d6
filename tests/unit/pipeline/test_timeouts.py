from __future__ import annotations

import asyncio

import pytest

from fastembed.pipeline.errors import Expired
from fastembed.pipeline.testing import run_virtual
from fastembed.pipeline.timeouts import SharedTimeout


def test_each_wait_has_its_own_time_whatever_the_others_do():
    async def main() -> list[tuple[str, float]]:
        loop = asyncio.get_running_loop()
        timeout, ended = SharedTimeout(10, "too long"), []
        began = loop.time()

        async def wait(name: str, after_s: float, takes_s: float) -> None:
            await asyncio.sleep(after_s)
            try:
                with timeout():
                    await asyncio.sleep(takes_s)
            except Expired as error:
                name += f": {error}"
            ended.append((name, loop.time() - began))

        await asyncio.gather(wait("a", 0, 99), wait("b", 1, 2), wait("c", 4, 99), wait("d", 30, 9), wait("e", 31, 11))
        return ended

    assert run_virtual(main()) == [
        ("b", 3),
        ("a: too long", 10),
        ("c: too long", 14),
        ("d", 39),
        ("e: too long", 41),
    ]


def test_whoever_is_cancelled_from_outside_stays_cancelled_and_an_own_error_passes():
    async def main() -> None:
        timeout = SharedTimeout(10, "too long")

        async def wait() -> None:
            with timeout():
                await asyncio.sleep(99)

        task = asyncio.create_task(wait())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError, match="mine"), timeout():
            raise TimeoutError("mine")

    run_virtual(main())


def test_the_inner_of_two_waits_that_is_due_first_leaves_the_outer_one_alone():
    async def main() -> str:
        outer, inner = SharedTimeout(10, "outer"), SharedTimeout(3, "inner")
        with outer():
            try:
                with inner():
                    await asyncio.sleep(99)
            except Expired as error:
                caught = str(error)
            await asyncio.sleep(5)
        return caught

    assert run_virtual(main()) == "inner"


def test_an_outer_wait_that_is_due_first_is_not_the_inner_ones():
    async def main() -> None:
        outer, inner = SharedTimeout(3, "outer"), SharedTimeout(10, "inner")
        with outer(), inner():
            await asyncio.sleep(99)

    with pytest.raises(Expired, match="outer"):
        run_virtual(main())
