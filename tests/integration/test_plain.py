"""Files that are text, books, and images of several pages."""

import zipfile

import pytest
from PIL import Image, ImageDraw, ImageFont

from fastembed.documents.convert import open_converter


@pytest.fixture(scope="module")
def converter():
    return open_converter({})


@pytest.fixture
def read(converter, tmp_path):
    def read_(name, content):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return converter.convert(path, name)

    return read_


def texts(found):
    return [text for _, text, *_ in found["blocks"]]


def test_plain_text_is_not_taken_for_markup(read):
    found = read("notes.txt", "# 1 of 2\r\nline two\r\n\r\n    indented *stars*\r\n\r\n| no | table |\r\n")
    assert texts(found) == ["# 1 of 2\nline two", "indented *stars*", "| no | table |"]
    assert {kind for kind, *_ in found["blocks"]} == {"paragraph"}


def test_plain_text_in_another_encoding_is_found(read):
    found = read("brief.txt", "Отчёт о продажах за март".encode("koi8-r"))
    assert texts(found) == ["Отчёт о продажах за март"]
    assert "koi8" in found["warnings"][0]


def test_subtitles_keep_their_times_and_speakers(read):
    vtt = "WEBVTT - Weekly\n\nNOTE hidden\n\nintro\n00:01.000 --> 00:02.500 align:start\n"
    vtt += "<v Ann>Good <i>morning</i>\nall\n\n"
    vtt += "01:00:03.000 --> 01:00:04.000\n- 5 < 6\n"
    assert texts(read("talk.vtt", vtt)) == ["[00:01] Ann: Good morning all", "[01:00:03] - 5 < 6"]
    srt = "1\n00:00:01,000 --> 00:00:02,000\nHello\n\n2\n00:00:03,000 --> 00:00:04,000\n<b>again</b>\n"
    found = read("talk.srt", srt)
    assert texts(found) == ["[00:00:01] Hello", "[00:00:03] again"]
    assert [seconds for *_, seconds in found["blocks"]] == [(1.0, 2.0), (3.0, 4.0)]


def test_records_are_a_table_and_other_json_is_laid_out(read):
    table = "| name | sum |\n| --- | --- |\n| Müller | 5 |\n| Smith |  |"
    assert texts(read("a.json", '[{"name": "Müller", "sum": 5}, {"name": "Smith"}]')) == [table]
    assert texts(read("a.jsonl", '{"name": "Müller", "sum": 5}\n\n{"name": "Smith", "sum": null}\n')) == [table]
    assert texts(read("b.json", '{"a": {"b": "ü"}}')) == ['```json\n{\n "a": {\n  "b": "ü"\n }\n}\n```']
    assert texts(read("b.jsonl", '{"a": [1]}\n{"a": [2]}\n')) == ['{"a": [1]}', '{"a": [2]}']
    assert texts(read("broken.json", '{"a": ')) == ['{"a":']


def test_a_book_is_read_chapter_by_chapter(read, tmp_path):
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
        '<rootfile full-path="b.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><manifest>'
        '<item id="one" href="one.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="two" href="two.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="two"/><itemref idref="one"/></spine></package>'
    )
    chapter = '<html xmlns="http://www.w3.org/1999/xhtml"><body><h1>{0}</h1><p>Words of {0}.</p></body></html>'
    with zipfile.ZipFile(tmp_path / "made.epub", "w") as made:
        made.writestr("mimetype", "application/epub+zip")
        made.writestr("META-INF/container.xml", container)
        made.writestr("b.opf", package)
        made.writestr("one.xhtml", chapter.format("One"))
        made.writestr("two.xhtml", chapter.format("Two"))
    found = texts(read("book.epub", (tmp_path / "made.epub").read_bytes()))
    assert [text for text in found if text.startswith("Words")] == ["Words of Two.", "Words of One."]


def drawn(text):
    image = Image.new("RGB", (900, 300), "white")
    ImageDraw.Draw(image).text((40, 100), text, font=ImageFont.load_default(48), fill="black")
    return image


def test_all_pages_of_a_tiff_are_read(converter, tmp_path):
    drawn("First page 11").save(
        tmp_path / "fax.tif", save_all=True, append_images=[drawn("Second page 22").convert("1")]
    )
    found = converter.convert(tmp_path / "fax.tif", "fax.tif")
    assert [(text, page) for _, text, page, *_ in found["blocks"]] == [("First page 11", 1), ("Second page 22", 2)]
    assert (found["parser"], found["page_count"], found["ocr_pages"]) == ("tiff+ocr", 2, 2)


@pytest.mark.parametrize("suffix", ["gif", "webp", "bmp"])
def test_other_images_are_read(converter, tmp_path, suffix):
    drawn("Invoice 20418").save(tmp_path / f"a.{suffix}")
    assert texts(converter.convert(tmp_path / f"a.{suffix}", f"a.{suffix}")) == ["Invoice 20418"]
