"""Mails, mailboxes, Outlook's messages and archives: what they say themselves, and the files that they hold."""

import io
import mailbox
import struct
import zipfile
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest
import pytest_asyncio

from fastembed.documents.containers.parts import PartFolder, label_of
from fastembed.documents.containers.unwrapping import decompressed, html_of_rtf
from fastembed.documents.convert import open_converter
from fastembed.documents.limits import DocumentLimits
from fastembed.operators.chunk import chunk
from fastembed.operators.parse import Parse
from fastembed.pipeline.component import Context
from fastembed.pipeline.errors import TooLarge, Unprocessable
from fastembed.pipeline.payload.document import Chunk, Document, File, UnreadPart
from tests.integration import compound_files, documents


@pytest.fixture(scope="module")
def converter():
    return open_converter({})


@pytest.fixture
def read(converter, tmp_path):
    def read_(name, content, **limits):
        path = tmp_path / name
        path.write_bytes(content)
        folder = tmp_path / "parts"
        folder.mkdir(exist_ok=True)
        return converter.convert(path, name, parts=PartFolder(folder, DocumentLimits(**limits)))

    return read_


def texts(found):
    return [text for _, text, *_ in found["blocks"]]


def names(found):
    return [part["name"] for part in found["parts"]]


def reasons(found):
    return {part["name"]: part["reason"] for part in found["parts"] if "reason" in part}


def mail(subject, body, html=None):
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "Ann Lee <ann@example.com>", "bob@example.com", subject
    if body is not None:
        made.set_content(body)
    if html is not None:
        made.set_content(html, subtype="html")
    return made


# Mails


def test_a_mail_has_its_head_and_its_body_and_names_its_attachments(read, tmp_path):
    outer = mail("Angebot für März", "Hello Bob,\n\nsee below.\n")
    outer.add_attachment(b"a;b\n1;2\n", maintype="text", subtype="csv", filename="../list.csv")
    outer.add_attachment(b"c", maintype="text", subtype="csv", filename="list.csv")
    outer.add_attachment(mail("Forwarded", None, "<p>Inner <b>words</b></p>"))
    found = read("mail.eml", outer.as_bytes())
    assert found["title"] == "Angebot für März"
    assert texts(found) == [
        "Angebot für März",
        "From: Ann Lee <ann@example.com>",
        "To: bob@example.com",
        "Hello Bob,",
        "see below.",
        "Attachments: .._list.csv, list.csv, Forwarded.eml",
    ]
    assert found["metadata"] == {
        "from": "Ann Lee <ann@example.com>",
        "to": "bob@example.com",
        "subject": found["title"],
    }
    assert (tmp_path / "parts" / found["parts"][0]["file"]).read_bytes() == b"a;b\n1;2\n"
    assert b"Inner <b>words</b>" in (tmp_path / "parts" / found["parts"][2]["file"]).read_bytes()


def test_a_mail_without_a_charset_is_read(read):
    found = read("old.eml", "Subject: Grüße\n\nGrüße aus Köln und München\n".encode("cp1252"))
    assert texts(found) == ["Grüße", "Grüße aus Köln und München"]


def test_the_page_is_read_where_the_plain_text_is_empty_and_its_logos_are_no_attachments(read):
    made = mail("News", " \n")
    made.add_alternative("<p>Line <i>one</i></p><img src='cid:logo'><img src='cid:scan'>", subtype="html")
    page = made.get_payload()[1]
    page.add_related(b"\x89PNG" + bytes(100), "image", "png", cid="<logo>", filename="logo.png", disposition="inline")
    page.add_related(
        b"\x89PNG" + bytes(20_000), "image", "png", cid="<scan>", filename="scan.png", disposition="inline"
    )
    found = read("news.eml", made.as_bytes())
    assert "Line one" in texts(found)
    assert names(found) == ["scan.png"]


def test_flowed_lines_are_joined_and_quotes_are_not(read):
    made = mail("Flow", "This goes \non here.\n> quoted \nnext\n")
    made.set_param("format", "flowed")
    assert texts(read("flow.eml", made.as_bytes()))[3:] == ["This goes on here.\n> quoted next"]


def test_what_only_another_program_opens_is_told(read):
    made = mail("Sealed", "text")
    made.add_attachment(b"x", maintype="application", subtype="ms-tnef", filename="winmail.dat")
    made.add_attachment(b"x", maintype="application", subtype="pkcs7-signature", filename="smime.p7s")
    assert reasons(read("sealed.eml", made.as_bytes())) == {
        "winmail.dat": "found Outlook's own wrapping (winmail.dat), expected plain attachments"
    }


def test_a_mailbox_is_its_mails(read, tmp_path):
    box = mailbox.mbox(tmp_path / "box")
    for subject in ("First", "Zweiter: Grüße/Hi"):
        box.add(mail(subject, "text"))
    box.close()
    found = read("old.mbox", (tmp_path / "box").read_bytes())
    assert names(found) == ["0001 First.eml", "0002 Zweiter: Grüße_Hi.eml"]


# Outlook


HTML_IN_RTF = (
    rb"{\rtf1\ansi\ansicpg1251\fromhtml1 \deff0{\fonttbl{\f0\fcharset204 Arial;}{\f1\fcharset0 Times;}}"
    rb"{\*\htmltag64 <p>}\htmlrtf {\htmlrtf0 \f0 \'cf\'f0\'e8\'e2\'e5\'f2 {\*\htmltag84 <b>}\htmlrtf\b\htmlrtf0 W"
    rb"\u246\'f6rter{\*\htmltag92 </b>}\htmlrtf\b0\htmlrtf0\htmlrtf }\htmlrtf0 {\*\htmltag72 </p>}}"
)


def packed(rtf):
    return struct.pack("<IIII", len(rtf) + 12, len(rtf), 0x414C454D, 0) + rtf


def outlook(tmp_path, properties, *attachments, **more):
    made = compound_files.message(properties, *attachments, **more)
    return compound_files.save(made, tmp_path / "source.msg").read_bytes()


def test_a_message_of_outlook_has_people_time_text_and_attachments(read, tmp_path):
    inner = compound_files.message({"0037": "Forwarded", "1000": "Inner words", "0C1A": "Cid"}, inner=True)
    content = outlook(
        tmp_path,
        {
            "0037": "Änderung",
            "0C1A": "Ann Lee",
            "5D01": "ann@example.com",
            "0E04": "Bob; Cid",
            "1000": "Hello\r\n\r\nBob",
        },
        compound_files.attachment("Zahlen März.csv", b"a;b\n1;2\n"),
        compound_files.attachment("Forwarded", inner),
        sent=datetime(2026, 3, 5, 9, 30, tzinfo=UTC),
    )
    found = read("mail.msg", content)
    assert texts(found) == [
        "Änderung",
        "From: Ann Lee <ann@example.com>",
        "To: Bob, Cid",
        "Date: Thu, 05 Mar 2026 09:30:00 +0000",
        "Hello",
        "Bob",
        "Attachments: Zahlen März.csv, Forwarded.eml",
    ]
    assert b"Inner words" in (tmp_path / "parts" / found["parts"][1]["file"]).read_bytes()


def test_a_body_that_is_only_rtf_is_unwrapped(read, tmp_path):
    found = read("mail.msg", outlook(tmp_path, {"0037": "S", "10090102": packed(HTML_IN_RTF)}, codepage=1251))
    assert texts(found) == ["S", "Привет Wörter"]
    plain = rb"{\rtf1\ansi\ansicpg1252 First\par Second \'e4\par}"
    found = read("mail.msg", outlook(tmp_path, {"0037": "S", "10090102": packed(plain)}))
    assert texts(found) == ["S", "First", "Second ä"]
    eight_bit = outlook(tmp_path, {"0037001E": "Тема".encode("cp1251"), "1000001E": b"\xcf\xf0"}, codepage=1251)
    assert texts(read("mail.msg", eight_bit)) == ["Тема", "Пр"]


def test_compressed_rtf_is_unpacked() -> None:
    # The examples of MS-OXRTFCP, section 3: one of plain text, one whose copies read what they write.
    simple = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
    )
    assert decompressed(simple) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    crossing = bytes.fromhex("1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0")
    assert decompressed(crossing) == b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"
    with pytest.raises(Unprocessable, match="cut off"):
        decompressed(b"short")
    assert html_of_rtf(rb"{\rtf1 no page}") == ""


def test_a_damaged_message_is_told(read, tmp_path):
    content = outlook(tmp_path, {"0037": "S"})
    with pytest.raises(Unprocessable, match="damaged"):
        read("mail.msg", content[:1000])


# Archives


def zipped(*members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, content in members:
            made.writestr(name, content)
    return out.getvalue()


def test_an_archive_lists_its_files_without_what_systems_leave_behind(read):
    found = read("a.zip", zipped(("in/a.txt", "x"), ("__MACOSX/._a.txt", "x"), ("in/.DS_Store", "x"), ("b.csv", "y")))
    assert names(found) == ["in/a.txt", "b.csv"]
    assert texts(found) == ["- in/a.txt", "- b.csv"]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("../../etc/passwd", "etc/passwd"),
        ("/abs/a.txt", "abs/a.txt"),
        ("C:\\Users\\a.txt", "Users/a.txt"),
        ("a/./b//c.txt", "a/b/c.txt"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("x" * 300 + ".pdf", "x" * 176 + ".pdf"),
        ("..", ""),
    ],
)
def test_names_stay_below_their_container(name, label):
    assert label_of(name) == label


def test_tricks_with_paths_write_nothing_outside(read, tmp_path):
    found = read("a.zip", zipped(("../outside.txt", "x"), ("/root.txt", "y")))
    assert names(found) == ["outside.txt", "root.txt"]
    assert sorted(path.name for path in tmp_path.rglob("*.txt")) == ["00000.txt", "00001.txt"]


def test_names_in_the_makers_encoding_are_found(read):
    raw = "Отчёт о продажах.txt".encode("cp866")
    content = zipped(("x" * len(raw), "words")).replace(b"x" * len(raw), raw)
    assert names(read("a.zip", content)) == ["Отчёт о продажах.txt"]


def test_files_beyond_the_limits_are_told_and_cost_nothing(read):
    found = read("a.zip", zipped(*((f"{n}.txt", "x" * 10) for n in range(5))), parts=3)
    assert names(found) == ["0.txt", "1.txt", "2.txt"]
    assert found["warnings"] == ["found 5 files within this file, and took the first 3"]
    found = read("a.zip", zipped(("a.txt", "x" * 10), ("b.txt", "x" * 50), ("c.txt", "x" * 10)), parts_bytes=30)
    assert list(reasons(found)) == ["b.txt"]
    assert "more than 30 bytes" in reasons(found)["b.txt"]


def test_an_archive_that_unfolds_to_too_much_is_refused(tmp_path):
    converter = open_converter({"unpacked_bytes": 100})
    path = tmp_path / "a.zip"
    path.write_bytes(zipped(("a.txt", "x" * 101)))
    with pytest.raises(TooLarge, match="101 bytes once unpacked"):
        converter.convert(path, "a.zip")


def test_encrypted_and_damaged_members_are_told(read):
    content = bytearray(zipped(("secret.txt", "x"), ("plain.txt", "y")))
    for head, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(head) + flags] |= 1
    assert reasons(read("a.zip", bytes(content))) == {
        "secret.txt": "found an encrypted file, expected one without a password"
    }
    only = content[:]
    for head, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        only[only.rindex(head) + flags] |= 1
    with pytest.raises(Unprocessable, match="encrypted members"):
        read("a.zip", bytes(only))
    broken = zipped(("a.txt", "words of a"), ("b.txt", "fine")).replace(b"words of a", b"w0rds of a")
    assert list(reasons(read("a.zip", broken))) == ["a.txt"]


# Read through the operator


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parse():
    made = Parse()
    await made.open(Context("papers", "parse", "d", Path()))
    yield made
    await made.close()


@pytest.mark.asyncio(loop_scope="module")
async def test_every_file_within_is_a_document_of_its_own(parse, tmp_path):
    inner = mail("Inner", "INNERWORD")
    docx = documents.make_docx(tmp_path / "memo.docx").read_bytes()
    inner.add_attachment(docx, maintype="application", subtype="octet-stream", filename="memo.docx")
    outer = mail("Outer", "OUTERWORD")
    outer.add_attachment(inner)
    outer.add_attachment(b"\x7fELF\x00", maintype="application", subtype="octet-stream", filename="tool.bin")
    outer.add_attachment(b"%PDF-1.7 cut", maintype="application", subtype="pdf", filename="bad.pdf")
    path = tmp_path / "all.zip"
    path.write_bytes(zipped(("post/mail.eml", outer.as_bytes()), ("list.csv", "a;b\n1;2\n")))
    document = await parse(File(path, "all.zip", "s", path.stat().st_size, 7))
    found = {part.file.name: part for part in document.parts}
    assert list(found) == [
        "all.zip/post/mail.eml",
        "all.zip/post/mail.eml/Inner.eml",
        "all.zip/post/mail.eml/Inner.eml/memo.docx",
        "all.zip/post/mail.eml/tool.bin",
        "all.zip/post/mail.eml/bad.pdf",
        "all.zip/list.csv",
    ]
    tool, bad = found["all.zip/post/mail.eml/tool.bin"], found["all.zip/post/mail.eml/bad.pdf"]
    assert isinstance(tool, UnreadPart)
    assert isinstance(bad, UnreadPart)
    assert (tool.ignored, bad.ignored) == (True, False)
    assert "a Linux program" in tool.reason
    assert {part.file.container for part in document.parts} == {"all.zip"}
    assert {part.file.path for part in document.parts} == {path}
    words = {item.document.file.name: item.text for item in chunk(document) if isinstance(item, Chunk)}
    assert "INNERWORD" in words["all.zip/post/mail.eml/Inner.eml"]
    assert "INNERWORD" not in words["all.zip/post/mail.eml"]
    memo = found["all.zip/post/mail.eml/Inner.eml/memo.docx"]
    assert isinstance(memo, Document)
    assert documents.TABLE in memo.markdown


@pytest.mark.asyncio(loop_scope="module")
async def test_files_within_files_end_at_a_depth(parse, tmp_path):
    content = zipped(("deep.txt", "DEEPWORD"))
    for _ in range(6):
        content = zipped(("inner.zip", content))
    path = tmp_path / "nest.zip"
    path.write_bytes(content)
    document = await parse(File(path, "nest.zip", "s", len(content), 7))
    last = document.parts[-1]
    assert isinstance(last, UnreadPart)
    assert "expected at most 5 levels" in last.reason
    assert len(document.parts) == 5
