import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fastembed.pipeline.component import Context, Resources
from fastembed.pipeline.errors import Overloaded, Unavailable
from fastembed.pipeline.item import END_OF_KEY, Item, Outcome
from fastembed.pipeline.payload.audio import AudioBytes, Clear, Commit
from fastembed.pipeline.policy import QueuePolicy
from fastembed.sources.websocket import Websocket, WebsocketRoutes


class Ended:
    """A caller that remembers how its messages ended."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[Outcome, BaseException | None]] = []

    def send_nowait(self, value: Any) -> bool:
        raise AssertionError(value)

    async def send(self, value: Any) -> None:
        raise AssertionError(value)

    def close(self, outcome: Outcome, error: BaseException | None) -> None:
        self.outcomes.append((outcome, error))


def context(routes: WebsocketRoutes, policy: QueuePolicy | None = None, pipeline: str = "p") -> Context:
    return Context(pipeline, "", "", Path(), resources=Resources(routes), queue=policy or QueuePolicy())


@asynccontextmanager
async def opened(policy: QueuePolicy | None = None, **options: Any) -> AsyncIterator[tuple[Websocket, Any]]:
    source = Websocket("/v1/realtime", **options)
    await source.open(context(WebsocketRoutes(), policy))
    items = source.items()
    try:
        yield source, items
    finally:
        await source.close()
        await items.aclose()


def end(item: Item[Any], outcome: Outcome = Outcome.DELIVERED) -> None:
    """End an item as a pipeline does: its source learns of it."""
    item.settle(outcome)
    if item.on_settled is not None:
        item.on_settled(outcome, None)


async def test_messages_come_in_order_with_their_session_as_key() -> None:
    async with opened() as (source, items):
        session = source.connect("s1", Ended(), trace="req_1")
        await session.send(AudioBytes(b"a"))
        await session.send(Commit())
        first, second = await anext(items), await anext(items)
        assert (first.value.data, first.key, first.trace) == (b"a", "s1", "req_1")
        assert second.value == Commit()


async def test_a_session_that_ends_says_so_behind_its_messages_and_is_over_when_they_are() -> None:
    async with opened() as (source, items):
        session = source.connect("s1", Ended())
        await session.send(Commit())
        session.end()
        message, last = await anext(items), await anext(items)
        assert last.value is END_OF_KEY
        end(last)
        assert not session.ended.is_set(), "a step that keeps no order is still at work"
        end(message)
        assert session.ended.is_set()
        assert source.count == 0


async def test_a_client_that_leaves_cancels_what_it_sent() -> None:
    async with opened() as (source, items):
        session = source.connect("s1", Ended())
        await session.send(Commit())
        await session.send(AudioBytes(b"a"))
        running = await anext(items)
        session.leave()
        session.leave()
        assert running.ack.cancelled
        assert (await anext(items)).value is END_OF_KEY
        assert source.count == 0


async def test_a_client_is_read_no_faster_than_its_audio_is_processed() -> None:
    async with opened(pending=100) as (source, items):
        session = source.connect("s1", Ended())
        await session.send(AudioBytes(bytes(60)))
        await session.send(AudioBytes(bytes(40)))
        third = asyncio.ensure_future(session.send(AudioBytes(bytes(40))))
        await asyncio.sleep(0)
        assert not third.done()
        end(await anext(items))
        await third


async def test_one_message_above_the_bound_does_not_wait_for_ever() -> None:
    async with opened(pending=100) as (source, items):
        session = source.connect("s1", Ended())
        for _ in range(2):
            await session.send(AudioBytes(bytes(500)))
        assert len((await anext(items)).value) == 500


async def test_a_control_message_that_the_queue_drops_is_put_in_again() -> None:
    async with opened(QueuePolicy(max_items=2, overflow="drop_oldest")) as (source, items):
        session = source.connect("s1", Ended())
        await session.send(Clear("c"))
        dropped = source._channel._queue[0]
        for data in (b"a", b"b"):
            await session.send(AudioBytes(data))
        assert not dropped.live
        dropped.on_settled(Outcome.REJECTED, Overloaded("full"))
        await asyncio.sleep(0)
        values = [(await anext(items)).value for _ in range(2)]
        assert values[-1] == Clear("c")


async def test_one_session_too_many_is_refused_and_gets_in_when_another_has_left() -> None:
    async with opened(sessions=1) as (source, _):
        session = source.connect("s1", Ended())
        with pytest.raises(Overloaded, match="1 sessions are open, the limit is 1") as refused:
            source.connect("s2", Ended())
        assert refused.value.code == "session_limit_exceeded"
        assert refused.value.retry_after_s
        session.leave()
        assert source.connect("s2", Ended()).key == "s2"


async def test_a_source_that_stops_takes_nobody_new_and_ends_with_its_last_session() -> None:
    async with opened() as (source, items):
        session = source.connect("s1", Ended())
        source.stop()
        with pytest.raises(Unavailable, match="is stopping"):
            source.connect("s2", Ended())
        await session.send(Commit())
        session.end()
        end(await anext(items))
        end(await anext(items))
        with pytest.raises(StopAsyncIteration):
            await anext(items)
        with pytest.raises(Unavailable, match="the session is ending"):
            await session.send(Commit())


async def test_a_reloaded_pipeline_takes_the_path_over_in_the_moment_that_the_old_one_stops() -> None:
    routes = WebsocketRoutes()
    old, new, never_run = Websocket("/a"), Websocket("/a"), Websocket("/a")
    await old.open(context(routes))
    assert routes.get("/a") is old
    await new.open(context(routes))
    await never_run.open(context(routes))
    await never_run.close()
    assert routes.get("/a") is old
    old.stop()
    assert routes.get("/a") is new
    assert routes.paths() == ["/a"]
    old.stop()
    new.stop()
    assert routes.get("/a") is None


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="found path 'v1'"):
        Websocket("v1")
    with pytest.raises(ValueError, match="found sessions 0"):
        Websocket(sessions=0)


def test_a_source_that_is_not_open_takes_nobody() -> None:
    with pytest.raises(Unavailable, match="not open yet"):
        Websocket().connect("s", Ended())
