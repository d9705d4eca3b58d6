"""Forms as clients send them, and as nobody should."""

from __future__ import annotations

import httpx2
import pytest

from fastembed.pipeline.errors import InvalidInput, TooLarge, UnsupportedMedia
from fastembed.server.http import multipart as form
from fastembed.server.http.multipart import MultipartForm, UploadedFile, read_form, spool_form
from tests.unit.server.asgi import scope_of

TWICE = (
    b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n'
    b'--x\r\ncontent-disposition: form-data; name="a[]"\r\n\r\n1\r\n--x--\r\n'
)


def encoded(**options) -> tuple[bytes, str]:
    request = httpx2.Request("POST", "http://server/", **options)
    return request.read(), request.headers["content-type"]


async def read(body: bytes, media: str, *, most: int = 10_000, size: int = 0) -> MultipartForm:
    pieces = [body[at : at + (size or len(body) or 1)] for at in range(0, max(len(body), 1), size or len(body) or 1)]

    async def receive():
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    return await read_form(scope_of("POST", "/", {"content-type": media}), receive, max_bytes=most)


async def test_fields_and_files_come_out_as_they_went_in():
    body, media = encoded(
        data={"a": "1", "b[]": ["x", "y"], "c[type]": "server_vad", "c[threshold]": "0.5", "ü": "ß"},
        files={"file": ('mo"rning.wav', b"\r\n--\x00\xff\r\n", "audio/wav")},
    )
    for size in (0, 7):
        found = await read(body, media, size=size)
        assert found.fields == {"a": "1", "b": ["x", "y"], "c": {"type": "server_vad", "threshold": "0.5"}, "ü": "ß"}
        assert found.files["file"].data == b"\r\n--\x00\xff\r\n"
        assert found.files["file"].media == "audio/wav"


async def test_a_large_file_is_read_in_a_thread():
    data = bytes(range(256)) * 1_000
    body, media = encoded(files={"file": ("a", data)})
    assert (await read(body, media, most=10**6)).files == {"file": UploadedFile(data, "a", "application/octet-stream")}


@pytest.mark.parametrize("media", ["application/json", "multipart/form-data", "multipart/mixed; boundary=x", ""])
async def test_what_is_declared_as_something_else_is_refused(media):
    with pytest.raises(UnsupportedMedia, match="expected multipart/form-data with a boundary"):
        await read(b"", media)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "ends before its closing boundary"),
        (b"hello", "not valid multipart/form-data"),
        (b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n1', "ends before its closing boundary"),
        (b"--x\r\ncontent-disposition: form-data\r\n\r\n1\r\n--x--\r\n", "a part without a name in the form"),
        (TWICE, r"found a\[\] beside a"),
    ],
)
async def test_a_broken_form_is_refused(body, message):
    with pytest.raises(InvalidInput, match=message):
        await read(body, "multipart/form-data; boundary=x")


async def test_two_files_in_one_field_are_refused_not_one_of_them_dropped():
    body, media = encoded(files=[("file", ("a.wav", b"a")), ("file", ("b.wav", b"b"))])
    with pytest.raises(InvalidInput, match="found two files in the field 'file', expected one"):
        await read(body, media)


async def test_too_many_parts_too_large_fields_and_bodies_are_refused(monkeypatch):
    monkeypatch.setattr(form, "MAX_FIELDS", 3)
    monkeypatch.setattr(form, "MAX_FIELD_BYTES", 10)
    with pytest.raises(InvalidInput, match="found more than 3 parts"):
        await read(*encoded(data={str(n): "" for n in range(4)}, files={"f": b""}))
    with pytest.raises(InvalidInput, match="found 11 bytes or more, expected at most 10 in a field"):
        await read(*encoded(data={"a": "x" * 11}, files={"f": b""}))
    with pytest.raises(TooLarge):
        await read(*encoded(files={"f": b"x" * 2_000}), most=1_000)


async def spool(body: bytes, media: str, *, most: int = 10**7, size: int = 2**16) -> tuple[MultipartForm, list[bytes]]:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    written: list[bytes] = []

    async def receive():
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    scope = scope_of("POST", "/", {"content-type": media})
    return await spool_form(scope, receive, max_bytes=most, write=written.append), written


async def test_a_large_file_is_passed_on_while_it_comes_and_fields_may_stand_behind_it():
    data = bytes(range(256)) * 12_000
    body, media = encoded(files={"file": ("a.bin", data, "x/y"), "purpose": (None, "batch"), "e[seconds]": (None, "9")})
    found, written = await spool(body, media)
    assert found.fields == {"purpose": "batch", "e": {"seconds": "9"}}
    assert found.files == {"file": UploadedFile(b"", "a.bin", "x/y")}
    assert b"".join(written) == data
    assert max(map(len, written)) < 2**20 + 2**16 + 1


async def test_a_second_file_and_a_huge_field_are_refused_while_they_come():
    with pytest.raises(InvalidInput, match="found two files, expected one"):
        await spool(*encoded(files=[("file", ("a", b"1")), ("file", ("b", b"2"))]))
    with pytest.raises(InvalidInput, match="expected at most 4194304 in a field") as caught:
        await spool(*encoded(data={"purpose": "x" * 5_000_000}, files={"file": b"1"}))
    assert caught.value.param == "purpose"
