import zipfile

import pytest

from fastembed.documents.formats import Format, detect
from fastembed.pipeline.errors import Unprocessable, UnsupportedMedia

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


def archive(folder, name, *members):
    path = folder / name
    with zipfile.ZipFile(path, "w") as made:
        for member in members:
            made.writestr(member, "x")
    return path


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.pdf", b"%PDF-1.7\n", Format.PDF),
        ("scan", b"junk\n%PDF-1.4\n", Format.PDF),
        ("a.png", PNG, Format.PNG),
        ("a.jpg", PNG, Format.PNG),
        ("a.JPEG", b"\xff\xd8\xff\xe0", Format.JPG),
        ("a.html", b"<p>hi", Format.HTML),
        ("page", b"\xef\xbb\xbf<!-- c --><!DOCTYPE html><html>", Format.HTML),
        ("a.htm", "<html>ü".encode("utf-16"), Format.HTML),
        ("a.md", "# Grüße".encode("latin-1"), Format.MD),
        ("a.markdown", b"# Hi <b>you</b>", Format.MD),
        ("a.csv", b"a;b\n1;2\n", Format.CSV),
        ("a.tsv", b"a\tb\n", Format.CSV),
        ("notes.txt", b"hello", Format.TXT),
        ("app.log", "Müller".encode("utf-16-le"), Format.TXT),
        ("a.json", b"{}", Format.JSON),
        ("a.ndjson", b"{}\n", Format.JSONL),
        ("a.vtt", b"WEBVTT\n", Format.VTT),
        ("a.srt", b"1\n", Format.SRT),
        ("a.eml", b"From: a@b\n\nHi", Format.EML),
        ("a.gif", b"GIF89a\x01\x00", Format.GIF),
        ("a.png", b"RIFF\0\0\0\0WEBPVP8 ", Format.WEBP),
        ("a.tif", b"MM\x00*\x00", Format.TIFF),
        ("a.bmp", b"BM\x01\x02\x03\x04\x00\x00\x00\x00", Format.BMP),
    ],
)
def test_content_and_name_tell_the_format(tmp_path, name, content, expected):
    assert detect(write(tmp_path, "file", content), name) is expected


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("word/document.xml", Format.DOCX),
        ("ppt/presentation.xml", Format.PPTX),
        ("xl/workbook.xml", Format.XLSX),
        ("META-INF/container.xml", Format.EPUB),
    ],
)
def test_an_archive_is_told_by_its_parts(tmp_path, part, expected):
    assert detect(archive(tmp_path, "f", "[Content_Types].xml", part), "without suffix") is expected


@pytest.mark.parametrize(
    ("name", "content", "error", "message", "code"),
    [
        ("a.pdf", b"", Unprocessable, "found an empty file", "empty_file"),
        (
            "a.docx",
            b"%PDF-1.7",
            UnsupportedMedia,
            "found PDF content, expected DOCX as its name says",
            "format_mismatch",
        ),
        ("a.md", b"<!doctype html><p>", UnsupportedMedia, "found HTML content, expected MD", "format_mismatch"),
        ("a.pdf", b"hello", UnsupportedMedia, "found plain text, expected PDF as its name says", "unknown_format"),
        ("a.html", b"no tags < here", UnsupportedMedia, "found plain text, expected HTML", "unknown_format"),
        ("notes", b"hello", UnsupportedMedia, "found plain text, expected PDF, DOCX", "unknown_format"),
        ("a.rtf", b"{\\rtf1\x00", UnsupportedMedia, "found an RTF document", "unknown_format"),
        ("a.md", b"RIFF\0\0\0\0WEBP", UnsupportedMedia, "found WEBP content, expected MD", "format_mismatch"),
        ("a.bin", b"\x00\x01\x02", UnsupportedMedia, "it starts with 00 01 02", "unknown_format"),
        ("a.doc", OLE, UnsupportedMedia, "format before 2007", "unknown_format"),
        ("a.docx", OLE + "EncryptedPackage".encode("utf-16-le"), Unprocessable, "encrypted Office file", "encrypted"),
        ("a.docx", b"PK\x03\x04 cut off", Unprocessable, "damaged or truncated archive", "corrupt"),
    ],
)
def test_what_cannot_be_read_says_what_was_found_and_expected(tmp_path, *, name, content, error, message, code):
    with pytest.raises(error, match=message) as caught:
        detect(write(tmp_path, "file", content), name)
    assert caught.value.code == code
    assert str(caught.value).startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        (["content.xml", "META-INF/manifest.xml"], "an OpenDocument file"),
        (["xl/workbook.bin"], "a binary workbook"),
        (["a", "b"], "a ZIP archive of 2 files"),
    ],
)
def test_other_archives_are_named(tmp_path, parts, kind):
    with pytest.raises(UnsupportedMedia, match=kind):
        detect(archive(tmp_path, "f", *parts), "f.zip")
