"""Messages between processes: whole, bounded, or the end of the other side."""

from __future__ import annotations

import asyncio
import pickle
import socket
import threading

import pytest

from fastembed.pipeline.errors import TooLarge
from fastembed.pipeline.processes.awaiting import sock_read_body
from fastembed.pipeline.processes.framing import (
    HEADER,
    BadFrame,
    EngineError,
    ask,
    frame,
    pickled,
    portable,
    receive,
    receive_body,
)


@pytest.fixture
def pipes():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("parts", [(), (b"",), (b"a", bytearray(b"bc")), (b"x" * 3_000_000,)])
async def test_a_body_arrives_whole_on_either_way(pipes, parts):
    ours, theirs = pipes
    whole = b"".join(parts)
    threading.Thread(target=lambda: theirs.sendall(frame(*parts) * 2), daemon=True).start()
    assert await asyncio.to_thread(receive_body, ours) == whole
    ours.setblocking(False)
    assert await sock_read_body(ours) == whole


async def test_a_body_longer_than_it_may_be_is_not_read(pipes):
    ours, theirs = pipes
    theirs.sendall(HEADER.pack(1 << 40) * 2)
    with pytest.raises(BadFrame, match="found a message of 1,099,511,627,776 bytes, expected at most 100"):
        receive_body(ours, 100)
    ours.setblocking(False)
    with pytest.raises(BadFrame, match="expected at most 1,073,741,824"):
        await sock_read_body(ours)


@pytest.mark.parametrize("sent", [b"", b"\x01", HEADER.pack(3) + b"ab"])
async def test_the_end_of_the_other_side_is_no_message(pipes, sent):
    ours, theirs = pipes
    theirs.sendall(sent)
    theirs.close()
    with pytest.raises(EOFError, match="found the end of the pipe"):
        receive_body(ours)


def test_a_question_has_its_answer(pipes):
    ours, theirs = pipes

    def answer() -> None:
        theirs.sendall(pickled({"got": receive(theirs)}))

    thread = threading.Thread(target=answer)
    thread.start()
    assert ask(ours, (1, "two")) == {"got": (1, "two")}
    thread.join()


def test_our_errors_travel_as_they_are_and_others_say_where_they_were():
    ours = TooLarge("big", code="x")
    assert portable(ours, "chat") is ours
    told = portable(KeyError("w"), "chat")
    assert (type(told), str(told)) == (RuntimeError, "KeyError: 'w'")
    assert "In the chat process:" in told.__notes__[0]
    engine = portable(RuntimeError("Exception from src/core.cpp"), "chat")
    assert (type(engine), str(engine)) == (EngineError, "Exception from src/core.cpp")
    assert (type(portable(MemoryError(), "chat")), isinstance(engine, RuntimeError)) == (EngineError, True)
    assert type(pickle.loads(pickle.dumps(engine))) is EngineError  # noqa: S301 - our own
