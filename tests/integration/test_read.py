"""Attached files in conversations, read by the real parser process."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from fastembed.operators.read import Read
from fastembed.pipeline.component import Context, OperatorKind, Resources
from fastembed.pipeline.errors import Expired, InvalidInput
from fastembed.pipeline.payload.chat import ChatRequest, DocumentPart, ImagePart, Message, Part, TextPart
from fastembed.pipeline.spec import describe

_spec = importlib.util.spec_from_file_location("documents", Path(__file__).with_name("documents.py"))
assert _spec is not None
assert _spec.loader is not None
documents = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(documents)

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGE = DocumentPart(b"<html><h1>Wind</h1><p>More of it.</p></html>", "wind.html")
CONTEXT = Context("chat", "read", "d", Path(), Resources())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def read() -> AsyncIterator[Read]:
    made = Read()
    await made.open(CONTEXT)
    yield made
    await made.close()


def asked(*parts: Part) -> ChatRequest:
    return ChatRequest((Message("system", (TextPart("be brief"),)), Message("user", parts)))


async def test_the_operator_is_what_the_kernel_takes_it_for() -> None:
    spec = describe(Read, "read")
    assert (spec.kind, spec.in_type, spec.out_type) == (OperatorKind.ASYNC_MAP, ChatRequest, ChatRequest)


async def test_documents_become_markdown_in_their_place(read: Read, tmp_path: Path) -> None:
    picture = ImagePart(np.zeros((2, 2, 3), np.uint8))
    pdf = documents.make_pdf(tmp_path / "a.pdf").read_bytes()
    request = asked(TextPart("what do they say?"), PAGE, picture, DocumentPart(pdf, "annual report.pdf"))
    found = await read(request)
    question, page, seen, report = found.messages[1].parts
    assert (question, seen) == (TextPart("what do they say?"), picture)
    assert page == TextPart('\nFile "wind.html":\n# Wind\n\nMore of it.\nEnd of file "wind.html".\n', "wind.html")
    assert isinstance(report, TextPart)
    assert "Nothing was lost in the second quarter." in report.text
    assert report.file == "annual report.pdf"
    assert found.notes == ("wind.html read as html", "annual report.pdf read as pdf, 2 pages")
    assert found.messages[0] == request.messages[0]


async def test_a_conversation_without_files_is_not_touched(read: Read) -> None:
    request = asked(TextPart("hello"))
    assert await read(request) is request


@pytest.mark.parametrize(
    ("part", "code", "message"),
    [
        (DocumentPart(b"%PDF-1.7 broken", "a.pdf"), "corrupt", "a.pdf: found"),
        (DocumentPart(b"PK\x03\x04 broken", "a.docx"), "corrupt", "expected a complete DOCX file"),
        (DocumentPart(PAGE.data, "a.pdf"), "format_mismatch", "found HTML content, expected PDF as its name says"),
        (DocumentPart(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "a.doc"), "corrupt", "damaged compound file"),
    ],
)
async def test_a_file_that_cannot_be_read_is_named(read: Read, part: DocumentPart, code: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        await read(asked(TextPart("what?"), part))
    error = caught.value
    assert (error.status, error.param, error.code) == (400, "messages[1].content[1]", code)


async def test_a_name_leads_nowhere(read: Read) -> None:
    for name in ("../../x.html", "x" * 300 + ".html", "a." + "b" * 300, "\u0000.html"):
        found = await read(asked(DocumentPart(PAGE.data, name)))
        assert "More of it." in found.messages[1].text


async def test_long_texts_are_cut_where_that_is_asked_for_and_the_model_is_told() -> None:
    read = Read(tokens=10)
    await read.open(CONTEXT)
    found = await read(asked(TextPart("x" * 100), TextPart.of_file("a.txt", "word " * 50)))
    await read.close()
    own, file = found.messages[1].parts
    assert own == TextPart("x" * 100)
    assert isinstance(file, TextPart)
    assert file.text == '\nFile "a.txt":\nword word word word word \n[a.txt cut at 40 of 286 characters]\n'
    assert found.notes == ("a.txt cut at 40 of 286 characters",)


async def test_a_request_that_is_cancelled_ends_the_reading_and_frees_its_place(read: Read) -> None:
    rows = "<tr>" + "<td>a</td>" * 50 + "</tr>"
    endless = DocumentPart(b"<html><table>" + rows.encode() * 20_000 + b"</table></html>", "a.html")
    await read(asked(PAGE))
    (pid,) = read.pids
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await asyncio.gather(*[read(asked(endless)) for _ in range(3)])
    assert pid not in read.pids
    assert "More of it." in (await read(asked(PAGE))).messages[1].text


async def test_a_file_that_takes_too_long_is_given_up() -> None:
    rows = "<tr>" + "<td>a</td>" * 50 + "</tr>"
    read = Read(limit=0.2)
    await read.open(CONTEXT)
    with pytest.raises(Expired, match=r"found no result after 0.2 s"):
        await read(asked(DocumentPart(b"<html><table>" + rows.encode() * 20_000 + b"</table></html>", "a.html")))
    await read.close()
