import asyncio

import pytest

from fastembed.inference.engines.speech.turnstile import Turnstile


async def test_a_free_one_is_lent_at_once_and_the_preferred_if_it_is_free() -> None:
    turnstile: Turnstile[str] = Turnstile()
    turnstile.give("a")
    turnstile.give("b")
    assert turnstile.take("a") == "a"
    assert turnstile.take("a") == "b"
    assert turnstile.take() is None


async def test_those_who_wait_are_served_in_order_and_nobody_overtakes_them() -> None:
    turnstile: Turnstile[str] = Turnstile()
    first = asyncio.ensure_future(turnstile.wait())
    second = asyncio.ensure_future(turnstile.wait())
    await asyncio.sleep(0)
    turnstile.give("a")
    assert turnstile.take() is None
    assert await first == "a"
    assert not second.done()
    turnstile.give("a")
    assert await second == "a"


async def test_one_who_stops_waiting_loses_nothing_for_the_others() -> None:
    turnstile: Turnstile[str] = Turnstile()
    first = asyncio.ensure_future(turnstile.wait())
    await asyncio.sleep(0)
    turnstile.give("a")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert turnstile.take() == "a"


async def test_closing_refuses_everyone() -> None:
    turnstile: Turnstile[str] = Turnstile()
    waiting = asyncio.ensure_future(turnstile.wait())
    await asyncio.sleep(0)
    assert turnstile.close(LookupError("closed")) == []
    with pytest.raises(LookupError, match="closed"):
        await waiting
    with pytest.raises(LookupError, match="closed"):
        await turnstile.wait()


async def test_only_one_of_the_wanted_will_do() -> None:
    turnstile: Turnstile[str] = Turnstile()
    turnstile.give("a")
    turnstile.give("b")
    assert turnstile.take(among=["c"]) is None
    assert turnstile.take(among=["a", "c"]) == "a"
    assert turnstile.take(among=["a"]) is None
