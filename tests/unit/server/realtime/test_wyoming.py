"""Wyoming's events as bytes, and what is no event."""

import asyncio

import pytest

from fastembed.pipeline.errors import ConfigError, InvalidInput, TooLarge
from fastembed.server.realtime.wyoming import MAX_LINE_BYTES, WyomingEvent, read_event, write_event
from fastembed.server.settings import ServerSettings


async def read(data: bytes) -> WyomingEvent | None:
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    reader.feed_data(data)
    reader.feed_eof()
    return await read_event(reader)


async def test_an_event_is_read_as_it_was_written() -> None:
    event = WyomingEvent("audio-chunk", {"rate": 16_000}, b"\x00\n\x01")
    assert await read(write_event(event)) == event
    assert await read(b'{"type": "describe", "data": {"a": 1}}\n') == WyomingEvent("describe", {"a": 1})
    assert await read(b"") is None


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"hello\n", InvalidInput),
        (b"[1]\n", InvalidInput),
        (b'{"type": "x", "data_length": "a"}\n', InvalidInput),
        (b'{"type": "x", "data_length": 2}\n[]', InvalidInput),
        (b'{"type": "x", "payload_length": 99999999}\n', TooLarge),
        (b'{"type": "x", "payload_length": -1}\n', TooLarge),
        (b"x" * (MAX_LINE_BYTES + 1), TooLarge),
        (b'{"type": "x", "payload_length": 9}\nshort', asyncio.IncompleteReadError),
    ],
)
async def test_what_is_no_event_is_refused_before_it_is_read(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        await read(data)


def test_other_machines_are_served_without_a_key_only_on_purpose() -> None:
    with pytest.raises(ConfigError, match="Wyoming knows no keys"):
        ServerSettings(host="0.0.0.0", api_keys=("k",), wyoming_port=10_300)  # noqa: S104 - nothing listens
    assert ServerSettings(host="0.0.0.0", api_keys=("k",), wyoming_port=10_300, insecure=True)  # noqa: S104
