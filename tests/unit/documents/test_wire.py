import os
import struct
from pathlib import Path

import pytest

from fastembed.documents.wire import (
    decode,
    encode,
    error_message,
    from_path,
    printable,
    to_error,
    to_path,
)
from fastembed.pipeline.errors import Conflict, ItemError, NotFound, TooLarge, Unprocessable
from fastembed.pipeline.processes.framing import HEADER, BadFrame, body_length

HEAD = struct.Struct(">I")


def carried(message):
    frame = encode(message)
    length = body_length(frame[: HEADER.size])
    assert length == len(frame) - HEADER.size
    return decode(frame[HEADER.size :])


@pytest.mark.parametrize(
    "message",
    [
        {"ready": True, "memory": 5},
        {"value": {"a": "short", "b": [1, None, "ü"]}, "memory": 1},
        {"value": {"markdown": "ü" * 100_000, "title": "t", "structure": "😀" * 70_000}, "memory": 1},
    ],
)
def test_a_message_arrives_as_it_was_sent(message):
    assert carried(message) == message


@pytest.mark.parametrize("body", [b"", b"abc"])
def test_a_message_too_short_is_refused(body):
    with pytest.raises(BadFrame, match=f"found a message of {len(body)} bytes"):
        decode(body)


@pytest.mark.parametrize("head", [b"no json", b"[1]"])
def test_a_frame_that_holds_no_object_is_refused(head):
    with pytest.raises(BadFrame, match="expected"):
        decode(HEAD.pack(len(head)) + head)


def test_bytes_too_many_are_refused():
    with pytest.raises(BadFrame, match="found 9 bytes, expected 6"):
        decode(HEAD.pack(2) + b"{}" + b"...")


@pytest.mark.parametrize("error", [TooLarge("big", code="x"), NotFound("gone"), Unprocessable("odd", code="corrupt")])
def test_an_error_keeps_its_class_message_and_code(error):
    back = to_error(error_message(error))
    assert (type(back), back.message, back.code) == (type(error), error.message, error.code)


@pytest.mark.parametrize("error", [Conflict("no"), ItemError("no")])
def test_other_errors_count_as_unprocessable(error):
    assert type(to_error(error_message(error))) is Unprocessable


def test_paths_keep_their_bytes_and_names_can_be_printed():
    name = os.fsdecode(b"gr\xfc\xdf-\xe2\x82\xac.md")
    assert to_path(from_path(Path("/inbox") / name)) == Path("/inbox") / name
    assert printable(name) == "gr\ufffd\ufffd-€.md"
