"""Files inside a chat: each becomes what its bytes are, or is refused with its place."""

from __future__ import annotations

import io
from base64 import b64encode
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fastembed.pipeline.errors import InvalidInput, ItemError, NotFound
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.chat import AudioPart, ChatRequest, DocumentPart, ImagePart, Part, TextPart, VideoPart
from fastembed.server.endpoints.chat import decode
from fastembed.server.endpoints.chat import messages as chat_messages
from fastembed.server.fetching.references import NOTHING, References
from fastembed.server.files.store import FileStore
from tests.integration.test_frames import video
from tests.unit.server.chatting import chatting
from tests.unit.server.strict import strict

AUDIO = Path(__file__).parents[4] / "assets" / "audio"
ME = "a" * 32


def picture(form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 2), (255, 0, 0)).save(file, form)
    return file.getvalue()


def sent(data: bytes, name: str | None = None, media: str = "") -> dict[str, Any]:
    encoded = b64encode(data).decode()
    return {"file_data": f"data:{media};base64,{encoded}" if media else encoded, **({"filename": name} if name else {})}


async def parts(*files: dict[str, Any], references: References = NOTHING) -> tuple[Part, ...]:
    content = [{"type": "file", "file": file} for file in files]
    return await read(*content, references=references)


async def read(*content: dict[str, Any], references: References = NOTHING) -> tuple[Part, ...]:
    body = {"model": "m", "messages": [{"role": "user", "content": list(content)}]}
    found, _ = await decode(strict(body), references)
    return found.messages[0].parts


async def part(data: bytes, name: str | None = None, media: str = "") -> Part:
    (found,) = await parts(sent(data, name, media))
    return found


@pytest.fixture
def references(tmp_path: Path) -> References:
    return References(files=FileStore(tmp_path), owner=ME)


def stored(references: References, data: bytes, name: str, owner: str = ME) -> str:
    assert references.files is not None
    with closing(references.files.receive(owner)) as incoming:
        incoming.write(data)
        return incoming.keep(name=name, purpose="user_data").id


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF"])
async def test_a_picture_is_seen_whatever_its_name(form: str) -> None:
    found = await part(picture(form), "scan.pdf", "application/pdf")
    assert isinstance(found, ImagePart)
    assert found.pixels.shape == (2, 4, 3)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"%PDF-1.7 ...", "a.pdf"),
        (b"\n%PDF-1.4", "a"),
        (b"PK\x03\x04...", "a.docx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1...", "old.doc"),
        (b"<!doctype html><p>a</p>", "a"),
        (b"<p>a</p>", "a.htm"),
        ("<html>".encode("utf-16"), "a.txt"),
    ],
)
async def test_a_document_is_left_to_the_step_that_reads_it(data: bytes, name: str) -> None:
    found = await part(data, name)
    assert isinstance(found, DocumentPart)
    assert (found.data, found.name) == (data, name)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Grüße\n".encode(), "Grüße"),
        (b"\xef\xbb\xbf# Title", "# Title"),
        ("Grüße".encode("utf-16"), "Grüße"),
        ("Grüße – ja".encode("cp1252"), "Grüße – ja"),
        (b'{"a": [1, 2]}', '{"a": [1, 2]}'),
        (b"a;b\n1;2\n", "a;b\n1;2"),
    ],
)
async def test_text_is_given_as_text_with_the_files_name(data: bytes, text: str) -> None:
    assert await part(data, "../notes.md") == TextPart(
        f'\nFile "notes.md":\n{text}\nEnd of file "notes.md".\n', file="notes.md"
    )


async def test_sound_is_heard_and_a_video_shown() -> None:
    assert isinstance(await part((AUDIO / "red-light.wav").read_bytes(), "a.wav"), AudioPart)
    assert isinstance(await part((AUDIO / "two-sentences.webm").read_bytes(), "a.webm"), AudioPart)
    film = await part(video("mp4", "libx264", seconds=2), "a.mp4")
    assert isinstance(film, VideoPart)
    assert len(film.frames) > 1


async def test_a_stored_file_is_named_by_its_id(references: References) -> None:
    text, seen = stored(references, b"a note", "note.txt"), stored(references, picture(), "red.png")
    first, second = await parts({"file_id": text}, {"file_id": seen}, references=references)
    assert first == TextPart.of_file("note.txt", "a note")
    assert isinstance(second, ImagePart)


async def test_an_id_may_stand_wherever_a_url_may(references: References) -> None:
    seen, heard = (
        stored(references, picture(), "a.png"),
        stored(references, (AUDIO / "red-light.wav").read_bytes(), "a.wav"),
    )
    shown = stored(references, video("mp4", "libx264", seconds=1), "a.mp4")
    found = await read(
        {"type": "image_url", "image_url": {"url": seen, "detail": "low"}},
        {"type": "image_file", "image_file": {"file_id": seen, "detail": "high"}},
        {"type": "audio", "audio": {"url": heard}},
        {"type": "video_url", "video_url": {"url": shown}},
        references=references,
    )
    assert [type(one) for one in found] == [ImagePart, ImagePart, AudioPart, VideoPart]
    assert [one.detail for one in found if isinstance(one, ImagePart)] == ["low", "high"]


async def test_a_file_of_somebody_else_or_of_nobody_is_not_found(references: References) -> None:
    theirs = stored(references, b"secret", "a.txt", owner="b" * 32)
    for id_ in (theirs, "file-1", "../" + theirs):
        with pytest.raises(NotFound, match="expected the id of one of yours") as caught:
            await parts({"file_id": id_}, references=references)
        assert (caught.value.param, caught.value.code) == ("messages[0].content[0].file.file_id", "file_not_found")
    with pytest.raises(NotFound) as caught:
        await read({"type": "image_url", "image_url": {"url": theirs}}, references=references)
    assert caught.value.param == "messages[0].content[0].image_url.url"
    with pytest.raises(NotFound, match="this server stores no files"):
        await parts({"file_id": theirs})


async def test_what_an_id_means_must_be_what_the_part_says(references: References) -> None:
    text = stored(references, b"a note", "note.txt")
    with pytest.raises(InvalidInput, match="expected a PNG, JPEG, WebP or still GIF"):
        await read({"type": "image_url", "image_url": {"url": text}}, references=references)


@pytest.mark.parametrize(
    ("file", "param", "message"),
    [
        ({}, "file", "found neither file_id nor file_data, expected one of them"),
        ({"file_id": "file-1", "file_data": "YQ=="}, "file", "found file_id and file_data, expected one of them"),
        ({"file_id": 1}, "file.file_id", "found 1, expected the id of an uploaded file"),
        ({"file_data": "a*b"}, "file.file_data", "not valid base64"),
        ({"file_data": "YQ==", "name": "a"}, "file.name", "did you mean filename?"),
        ({"file_data": "YQ==", "filename": 1}, "file.filename", "expected a string"),
        (sent(b"", "a.txt", "text/plain"), "file.file_data", "found the empty file a.txt, expected a picture"),
        (
            sent(b"\x00\x01\x02\x03", "a.pdf"),
            "file.file_data",
            "found a.pdf, whose format is not supported (it begins with",
        ),
        (sent(b"II*\x00" + bytes(20), "a.tif"), "file.file_data", "expected a picture (PNG, JPEG, WebP, GIF), a doc"),
        (sent(picture()[:40], "a.png"), "file.file_data", "found bytes that begin with 89504e47"),
    ],
)
async def test_a_bad_file_is_named(file: dict[str, Any], param: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await parts(file)
    assert caught.value.param == f"messages[0].content[0].{param}"
    assert message in caught.value.message


async def test_files_of_a_request_are_bounded_in_bytes_and_number(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="found more than 32 pictures, videos, sounds and files"):
        await parts(*[sent(b"a", "a.txt")] * 33)
    monkeypatch.setattr(chat_messages, "MAX_DOCUMENT_BYTES", 20)
    fits = sent(b"%PDF-" + bytes(10), "a.pdf")
    assert len(await parts(fits)) == 1
    with pytest.raises(InvalidInput, match="found more than 20 bytes of documents and text, expected fewer"):
        await parts(fits, fits)
    with pytest.raises(InvalidInput, match="found more than 20 bytes of documents and text"):
        await parts(sent(b"x" * 21, "a.txt"))


async def refuse(_: Item[ChatRequest]) -> ItemError:
    raise InvalidInput("found 9000 tokens, expected 1024", param="messages", code="context_length_exceeded")


async def test_a_prompt_that_files_make_too_long_names_them() -> None:
    files = [sent(b"%PDF-", "report.pdf"), sent(b"a", "a.txt")]
    content = [{"type": "file", "file": file} for file in files]
    async with chatting(refuse) as server:
        plain = await server.post()
        asked = await server.post(messages=[{"role": "user", "content": content}])
    assert plain.error["message"] == "found 9000 tokens, expected 1024"
    assert asked.error["message"].startswith(
        "found 9000 tokens, expected 1024; the prompt contains report.pdf, a.txt: "
    )
    assert (asked.status, asked.error["code"]) == (400, "context_length_exceeded")
