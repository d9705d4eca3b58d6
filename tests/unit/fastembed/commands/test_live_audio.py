"""Sound from a pipe, until it ends or somebody ends it."""

import asyncio
import io
import os

from fastembed.commands.live_audio import piped, until


async def test_a_pipe_is_read_to_its_end_whole_and_in_order() -> None:
    data = bytes(range(256)) * 100
    heard = [piece.data async for piece in until(asyncio.Event(), piped(io.BytesIO(data)))]
    assert b"".join(heard) == data
    assert len(heard) > 1


async def test_a_pipe_that_stays_open_is_left_when_somebody_says_so() -> None:
    reading, writing = os.pipe()
    stop, heard = asyncio.Event(), []
    os.write(writing, b"first words")
    with os.fdopen(reading, "rb") as pipe:
        async for piece in until(stop, piped(pipe)):
            heard.append(piece.data)
            stop.set()
        os.close(writing)
        await asyncio.sleep(0.05)  # the reader's thread finds the end before the pipe is closed
    assert heard == [b"first words"]
