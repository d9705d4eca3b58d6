import asyncio
import json

from fastembed.pipeline.errors import Overloaded
from fastembed.pipeline.item import Outcome
from fastembed.pipeline.payload.audio import SpeechStarted
from fastembed.pipeline.testing import run_virtual
from fastembed.server.realtime.outbox import Outbox
from fastembed.server.realtime.protocol import Protocol

CREATED = {"type": "session.created"}


def outbox(**bounds: int) -> Outbox:
    return Outbox(Protocol("sess_1"), **bounds)


async def drained(box: Outbox) -> list[dict]:
    box.finish()
    found = []
    while (text := await box.next()) is not None:
        found.append(json.loads(text))
    return found


async def test_what_is_heard_is_sent_in_order_until_it_is_finished() -> None:
    box = outbox()
    for at in range(3):
        await box.send(SpeechStarted("u", at))
    assert [event["audio_start_ms"] for event in await drained(box)] == [0, 1, 2]


async def test_a_session_is_created_before_anything_is_said_of_its_mistakes() -> None:
    box = outbox()
    box.put([{"type": "error"}])
    first = asyncio.create_task(box.next())
    await asyncio.sleep(0)
    assert not first.done()
    box.put([CREATED])
    assert json.loads(await first or "")["type"] == "session.created"
    assert [event["type"] for event in await drained(box)] == ["error"]


async def test_mistakes_of_a_session_that_never_comes_to_be_are_told() -> None:
    box = outbox()
    box.put([{"type": "error"}])
    assert [event["type"] for event in await drained(box)] == ["error"]


async def test_a_client_that_falls_behind_by_events_or_bytes_gets_no_more() -> None:
    for box in (outbox(max_events=3), outbox(max_bytes=400)):
        for at in range(10):
            await box.send(SpeechStarted("u", at))
        assert box.overflowed.is_set()
        assert box._waiting == box._waiting.__class__()
        assert await drained(box) == []


async def test_a_client_that_keeps_up_never_falls_behind() -> None:
    box = outbox(max_events=2)
    box.put([CREATED])
    assert await box.next() is not None
    for at in range(100):
        await box.send(SpeechStarted("u", at))
        assert await box.next() is not None
    assert not box.overflowed.is_set()


def test_dropped_audio_is_complained_of_once_a_second() -> None:
    async def main() -> int:
        box = outbox()
        for _ in range(50):
            box.close(Outcome.REJECTED, Overloaded("full"))
            await asyncio.sleep(0.05)
        return len(await drained(box))

    assert run_virtual(main()) == 3


async def test_items_that_end_well_are_not_complained_of() -> None:
    box = outbox()
    for outcome in (Outcome.DELIVERED, Outcome.FILTERED, Outcome.CANCELLED):
        box.close(outcome, None)
    assert await drained(box) == []
