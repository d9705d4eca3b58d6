import zipfile

import pytest

from fastembed.documents.formats import Format, detect
from fastembed.pipeline.errors import Unprocessable, UnsupportedMedia
from tests.integration.compound_files import Storage, save

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
        ("a.avif", b"\0\0\0\x1cftypavif", Format.AVIF),
        ("a.avif", b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", Format.AVIF),
        ("a.heic", b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", Format.HEIC),
        ("a.jpg", b"\0\0\0\x1cftypheic", Format.HEIC),
        ("a.rtf", b"{\\rtf1\\ansi x}", Format.RTF),
        ("letter.doc", b"{\\rtf1\\ansi x}", Format.RTF),
        ("export.xls", b"a\tb\n1\t2\n", Format.CSV),
        ("export.xls", b"<html><table><tr><td>1</td></tr></table></html>", Format.HTML),
        ("page.doc", b"MIME-Version: 1.0\r\nContent-Type: multipart/related\r\n\r\n", Format.MHT),
        ("page.mht", b"From: <Saved by Blink>\r\nSubject: x\r\n", Format.MHT),
        ("a.tex", b"\\documentclass{article}", Format.TEX),
        ("a.asciidoc", b"= Title", Format.ADOC),
        ("a.nxml", b"<?xml version='1.0'?><article/>", Format.XML),
        ("a.fodt", b"<?xml version='1.0'?><office:document xmlns:office='x'/>", Format.ODT),
        ("a.mbox", b"From a@b Thu\n", Format.MBOX),
        ("a.rst", b"Title\n=====\n", Format.TXT),
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
        ("xl/workbook.bin", Format.XLSB),
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
        ("a.pdf", b"{\\rtf1", UnsupportedMedia, "found RTF content, expected PDF", "format_mismatch"),
        ("a.md", b"RIFF\0\0\0\0WEBP", UnsupportedMedia, "found WEBP content, expected MD", "format_mismatch"),
        ("a.bin", b"\x00\x01\x02", UnsupportedMedia, "it starts with 00 01 02", "unknown_format"),
        ("a.doc", OLE, Unprocessable, "found a damaged compound file", "corrupt"),
        ("a.docx", b"PK\x03\x04 cut off", Unprocessable, "damaged or truncated archive", "corrupt"),
    ],
)
def test_what_cannot_be_read_says_what_was_found_and_expected(tmp_path, *, name, content, error, message, code):
    with pytest.raises(error, match=message) as caught:
        detect(write(tmp_path, "file", content), name)
    assert caught.value.code == code
    assert str(caught.value).startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("stream", "name", "expected"),
    [
        ("WordDocument", "a.doc", Format.DOC),
        ("Workbook", "a.xlt", Format.XLS),
        ("PowerPoint Document", "a.pps", Format.PPT),
        ("__properties_version1.0", "a.msg", Format.MSG),
    ],
)
def test_a_compound_file_is_told_by_its_streams(tmp_path, stream, name, expected):
    assert detect(save(Storage(**{stream: b"x"}), tmp_path / "f"), name) is expected


def test_other_compound_files_are_refused(tmp_path):
    with pytest.raises(Unprocessable, match="encrypted Office file") as caught:
        detect(save(Storage(EncryptedPackage=b"x"), tmp_path / "f"), "a.docx")
    assert caught.value.code == "encrypted"
    with pytest.raises(UnsupportedMedia, match="of an unknown program"):
        detect(save(Storage(Other=b"x"), tmp_path / "f"), "a.doc")


@pytest.mark.parametrize(
    ("mime", "name", "expected"),
    [
        ("text", "a.odt", Format.ODT),
        ("text-template", "a.ott", Format.ODT),
        ("text-web", "a.odt", Format.ODT),
        ("spreadsheet", "no suffix", Format.ODS),
        ("presentation", "a.zip", Format.ODP),
        ("graphics", "a.odg", Format.ODG),
    ],
)
def test_an_opendocument_file_is_told_by_its_type(tmp_path, mime, name, expected):
    path = tmp_path / "f"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("mimetype", f"application/vnd.oasis.opendocument.{mime}")
        made.writestr("content.xml", "<x/>")
    assert detect(path, name) is expected


def test_other_archives_are_taken_only_by_their_name(tmp_path):
    path = archive(tmp_path, "f", "a", "b")
    assert detect(path, "f.zip") is Format.ZIP
    with pytest.raises(UnsupportedMedia, match="a ZIP archive of 2 files"):
        detect(path, "f.docx")
