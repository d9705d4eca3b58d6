"""Files through the real process and the official client: uploaded, kept over a restart, talked about, read."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from PIL import Image, ImageDraw

from tests.e2e.serving import Serving, serving

PIPELINES = """
version: 1
pipelines:
  chat:
    source: {http: POST /v1/chat/completions, queue: 64, overflow: reject}
    operators: [read, hear: {model: whisper-pocket}, generate]
    sink: reply
  documents:
    source: {http: POST /v1/documents/process, queue: 16, overflow: reject}
    operators: [{parse: {ahead: false}}]
    sink: reply
"""
AUDIO = Path(__file__).parents[1] / "assets" / "audio"


def pdf(text: str) -> bytes:
    """Return a page with one line."""
    shown = b"BT /F1 24 Tf 72 720 Td (%s) Tj ET" % text.encode()
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<</Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources <</Font <</F1 5 0 R>> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(shown), shown),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer << /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % len(out)
    return out + b"xref\n0 6\n0000000000 65535 f \n" + table + end


def blue_square() -> bytes:
    image = Image.new("RGB", (96, 96), "white")
    ImageDraw.Draw(image).rectangle((24, 24, 72, 72), fill=(0, 0, 255))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("files")
    (found / "pipelines.yaml").write_text(PIPELINES)
    return found


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Serving]:
    with serving(folder, environ={"FASTEMBED_HOME": str(folder / "home")}) as running:
        yield running


def told(client: openai.OpenAI, *parts: dict[str, Any]) -> tuple[str, str]:
    """Return the answer about these parts, and its route."""
    raw = client.chat.completions.with_raw_response.create(
        model="auto", messages=[{"role": "user", "content": list(parts)}], temperature=0, max_tokens=24
    )
    return raw.parse().choices[0].message.content or "", raw.headers["x-fastembed-route"]


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def file(**fields: str) -> dict[str, Any]:
    return {"type": "file", "file": fields}


def test_a_file_goes_through_its_life(client: openai.OpenAI) -> None:
    sent = client.files.create(
        file=("note.txt", b"hello"), purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert (sent.filename, sent.bytes, sent.expires_at) == ("note.txt", 5, sent.created_at + 3600)
    assert client.files.retrieve(sent.id) == sent
    assert sent in list(client.files.list(limit=1))
    assert client.files.content(sent.id).text == "hello"
    assert client.files.delete(sent.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.content(sent.id)


@pytest.mark.parametrize("form", ["file", "image_url", "image_file"])
def test_a_picture_is_talked_about_by_its_id(client: openai.OpenAI, form: str) -> None:
    id_ = client.files.create(file=("drawing.png", blue_square()), purpose="vision").id
    part = {
        "file": file(file_id=id_),
        "image_url": {"type": "image_url", "image_url": {"url": id_}},
        "image_file": {"type": "image_file", "image_file": {"file_id": id_}},
    }[form]
    answer, route = told(client, part, text("What is in this image?"))
    assert answer == "a blue square"
    assert "it sees the picture" in route


def test_a_pdf_is_read_to_the_model(client: openai.OpenAI) -> None:
    page = pdf("repeat: golden bridge")
    id_ = client.files.create(file=("order.pdf", page), purpose="user_data").id
    encoded = base64.b64encode(page).decode()
    for part in (
        file(file_id=id_),
        file(file_data=f"data:application/pdf;base64,{encoded}", filename="order.pdf"),
        file(file_data=encoded, filename="order.pdf"),
    ):
        answer, route = told(client, part)
        assert answer == "golden bridge"
        assert route.startswith("order.pdf read as pdf, 1 page; chat-pocket on CPU")


def test_text_and_sound_are_given_to_the_model_too(client: openai.OpenAI) -> None:
    id_ = client.files.create(file=("order.md", b"repeat: silver tower"), purpose="user_data").id
    assert told(client, file(file_id=id_))[0].startswith("silver tower")
    heard = client.files.create(file=(AUDIO / "red-light.wav"), purpose="user_data").id
    assert told(client, file(file_id=heard))[1].startswith("audio transcribed by whisper-pocket")


def test_a_file_that_is_too_long_for_the_model_is_refused_by_its_name(client: openai.OpenAI) -> None:
    long = client.files.create(file=("saga.txt", b"and then " * 4_000), purpose="user_data").id
    with pytest.raises(openai.BadRequestError, match=r"its context holds .*the prompt contains saga.txt") as caught:
        told(client, file(file_id=long), text("what happened?"))
    assert caught.value.code == "context_length_exceeded"


def test_a_broken_document_is_named(client: openai.OpenAI) -> None:
    broken = base64.b64encode(pdf("x")[:60]).decode()
    with pytest.raises(openai.BadRequestError, match=r"bad\.pdf: found") as caught:
        told(client, text("what?"), file(file_data=broken, filename="bad.pdf"))
    assert (caught.value.param, caught.value.code) == ("messages[0].content[1]", "corrupt")


def test_the_route_sees_what_a_file_is(server: Serving, client: openai.OpenAI) -> None:
    id_ = client.files.create(file=("a.pdf", pdf("hello")), purpose="user_data").id
    body = {"model": "auto", "messages": [{"role": "user", "content": [file(file_id=id_)]}]}
    found = httpx2.post(f"{server.url}/v1/route", json=body).json()
    assert found["profile"]["modalities"] == ["text", "document"]
    assert "documents become text first" in found["decision"]["reasons"]


def test_an_upload_is_processed_as_a_document(server: Serving, client: openai.OpenAI) -> None:
    id_ = client.files.create(file=("wind.md", b"# Wind\n\nMore of it.\n"), purpose="user_data").id
    asked = {"document": {"type": "md", "source": "upload_id", "upload_id": id_}}
    found = httpx2.post(f"{server.url}/v1/documents/process", json=asked, timeout=60).json()
    assert (found["title"], found["content"]) == ("Wind", "# Wind\n\nMore of it.\n")
    asked["document"]["upload_id"] = "file-" + "0" * 32
    refused = httpx2.post(f"{server.url}/v1/documents/process", json=asked)
    assert (refused.status_code, refused.json()["error"]["param"]) == (404, "document.upload_id")


def test_files_outlive_the_server_and_are_their_keys_own(folder: Path) -> None:
    options = ("--api-key", "first", "--api-key", "second", "--files-size", "1KiB")
    environ = {"FASTEMBED_HOME": str(folder / "other")}
    with serving(folder, *options, environ=environ) as server:
        first = openai.OpenAI(base_url=f"{server.url}/v1", api_key="first", max_retries=0)
        sent = first.files.create(file=("a.txt", b"1"), purpose="user_data")
        assert server.terminate() == 0
    with serving(folder, *options, environ=environ) as server:
        first, second = (
            openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0) for key in ("first", "second")
        )
        assert list(first.files.list()) == [sent]
        assert list(second.files.list()) == []
        with pytest.raises(openai.NotFoundError):
            second.files.content(sent.id)
        with pytest.raises(openai.NotFoundError):
            told(second, file(file_id=sent.id))
        with pytest.raises(openai.APIStatusError, match="expected at most 1,024 in all") as caught:
            first.files.create(file=("b.txt", b"x" * 2_000), purpose="user_data")
        assert (caught.value.status_code, caught.value.code) == (413, "storage_limit_exceeded")
        assert first.files.content(sent.id).text == "1"
