import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import orjson
import pytest
import pytest_asyncio
from PIL import Image, ImageDraw, ImageFont, ImageOps

from fastembed.operators.chunk import chunk
from fastembed.operators.parse import Parse
from fastembed.pipeline.component import Context
from fastembed.pipeline.errors import ItemError, NotFound, TooLarge, Unprocessable, UnsupportedMedia
from fastembed.pipeline.payload.document import Chunk, DocumentRequest, File
from tests.integration import documents

pytestmark = pytest.mark.asyncio(loop_scope="module")
TABLE, TEXT = documents.TABLE, documents.TEXT


def as_file(path, name=None):
    content = path.read_bytes() if path.is_file() else b""
    return File(path, name or path.name, hashlib.sha256(content).hexdigest(), len(content), 0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parse():
    made = Parse()
    await made.open(Context("papers", "parse", "d", Path()))
    yield made
    await made.close()


@pytest.fixture
def context():
    return Context("papers", "parse", "d", Path())


def kinds(document):
    return [block.kind for block in document.blocks]


def texts(document, kind):
    return [block.text for block in document.blocks if block.kind == kind]


def loads(document):
    """Whether the structure is a docling document, read back by docling itself."""
    code = (
        "import sys; from docling_core.types.doc.document import DoclingDocument as D; "
        "print(len(D.model_validate_json(sys.stdin.read()).tables))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], input=document.structure, text=True, capture_output=True, check=True
    )
    return int(run.stdout)


async def test_docx(parse, tmp_path):
    document = await parse(as_file(documents.make_docx(tmp_path / "memo.docx"), "sub/memo.docx"))
    assert document.title == "Quarterly Memo"
    assert document.parser == "docx"
    assert [(b.kind, b.level) for b in document.blocks[:2]] == [("title", 0), ("heading", 1)]
    assert texts(document, "paragraph") == [TEXT, r"Formula: $E=\frac{m}{2c}$"]
    assert texts(document, "list_item") == ["- first point", "- second point"]
    assert texts(document, "table") == [TABLE]
    assert "The scheduler **assigns** each batch" in document.markdown
    assert document.page_count == 0
    assert loads(document) == 1
    assert orjson.loads(document.structure)["name"] == "memo"


async def test_pptx(parse, tmp_path):
    document = await parse(as_file(documents.make_pptx(tmp_path / "deck.pptx")))
    assert [(b.kind, b.text, b.page) for b in document.blocks] == [
        ("title", "Roadmap", 1),
        ("list_item", "- Ship it", 1),
        ("list_item", "- Measure it", 1),
        ("heading", "Numbers", 2),
        ("table", TABLE, 2),
    ]
    assert document.page_count == 2


async def test_xlsx(parse, tmp_path):
    document = await parse(as_file(documents.make_xlsx(tmp_path / "book.xlsx")))
    assert document.title == "book"
    assert [(b.kind, b.text) for b in document.blocks] == [
        ("heading", "Sales"),
        ("table", TABLE),
        ("heading", "Rates"),
        ("table", "| name | rate |\n| --- | --- |\n| a | 2.5 |"),
    ]


async def test_a_workbook_may_lack_a_drawing_that_it_refers_to(parse, tmp_path):
    document = await parse(as_file(documents.make_xlsx_without_its_drawing(tmp_path / "book.xlsx")))
    assert texts(document, "table") == [TABLE, "| name | rate |\n| --- | --- |\n| a | 2.5 |"]


async def test_a_broken_workbook_says_what_breaks_it(parse, tmp_path):
    path = tmp_path / "book.xlsx"
    with zipfile.ZipFile(documents.make_xlsx(tmp_path / "whole.xlsx")) as whole, zipfile.ZipFile(path, "w") as cut:
        for name in whole.namelist():
            cut.writestr(name, b"<worksheet>" if name == "xl/worksheets/sheet2.xml" else whole.read(name))
    with pytest.raises(Unprocessable, match=r"book.xlsx: found \w+Error: .+, expected a well-formed XLSX file"):
        await parse(as_file(path))


async def test_html(parse, tmp_path):
    document = await parse(as_file(documents.make_html(tmp_path / "page.html")))
    assert document.title == "Web page"
    assert texts(document, "table") == [TABLE]
    assert texts(document, "list_item") == ["1. one", "2. two"]
    assert texts(document, "code") == ["```\nx = 1\ny = 2\n```"]
    assert texts(document, "paragraph") == ["Before any heading.", "Some bold text, a link."]
    assert "[link](https://example.com/x)" in document.markdown


async def test_markdown(parse, tmp_path):
    document = await parse(as_file(documents.make_md(tmp_path / "note.md")))
    assert kinds(document) == [
        "title",
        "paragraph",
        "heading",
        "table",
        "list_item",
        "list_item",
        "code",
        "formula",
    ]
    assert texts(document, "paragraph") == ["Text with bold und Grüße."]


async def test_csv_with_semicolons(parse, tmp_path):
    document = await parse(as_file(documents.make_csv(tmp_path / "data.csv")))
    assert document.title == "data"
    assert [(b.kind, b.text) for b in document.blocks] == [("table", TABLE)]


async def test_a_guessed_encoding_is_a_warning(parse, tmp_path):
    path = tmp_path / "latin.md"
    path.write_bytes("# Übersicht".encode("latin-1"))
    document = await parse(as_file(path))
    assert document.title == "Übersicht"
    assert "cp1252" in document.warnings[0]


async def test_rows_of_different_lengths_are_a_warning_and_lose_nothing(parse, tmp_path):
    path = tmp_path / "ragged.csv"
    path.write_text("a,b\n1,2,3\n4\n")
    document = await parse(as_file(path))
    assert document.warnings == ("the rows have different numbers of columns, from 1 to 3",)
    assert set("ab1234") <= set(document.markdown)


async def test_a_deck_without_slides_is_empty_but_no_error(parse, tmp_path):
    path = tmp_path / "empty.pptx"
    documents.pptx.Presentation().save(path)
    document = await parse(as_file(path))
    assert document.warnings == ("found no text",)


async def test_pdf(parse, tmp_path):
    document = await parse(as_file(documents.make_pdf(tmp_path / "report.pdf")))
    assert document.title == "Annual Report"
    assert document.page_count == 2
    assert TEXT in texts(document, "paragraph")
    assert [b.page for b in document.blocks if "second quarter" in b.text] == [2]
    assert (document.parser, document.ocr_pages) == ("pdf", 0)


@pytest.mark.parametrize("name", ["scan.png", "scan.jpg", "scan.pdf"])
async def test_scans_are_read_by_ocr(parse, tmp_path, name):
    document = await parse(as_file(documents.make_scan(tmp_path / name)))
    assert document.parser == f"{name[-3:]}+ocr"
    assert (document.page_count, document.ocr_pages) == (1, 1)
    words = document.markdown.replace("\n", " ")
    assert "Annual Report" in words
    assert TEXT in words
    assert "20418" in words


def _turned(image):
    """Lying on its side, as a camera stores it, with the note that says so (EXIF orientation 6)."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return image.rotate(90, expand=True), {"exif": exif}


def _transparent(image):
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    layer.putalpha(image.point(lambda value: 255 - value))
    return layer, {}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("turned.jpg", _turned),
        ("transparent.png", _transparent),
        ("print.jpg", lambda image: (image.convert("CMYK"), {})),
        ("two.png", lambda image: (image.convert("1"), {})),
    ],
)
async def test_images_of_every_kind_are_read(parse, tmp_path, name, change):
    image = Image.new("L", (900, 300), 255)
    ImageDraw.Draw(image).text((40, 100), "Hello invoice 20418", font=ImageFont.load_default(48), fill=0)
    changed, options = change(image)
    changed.save(tmp_path / name, **options)
    document = await parse(as_file(tmp_path / name))
    assert texts(document, "paragraph") == ["Hello invoice 20418"]


@pytest.mark.parametrize("size", [(1, 1), (30_000, 20), (400, 300)])
async def test_images_without_words_are_empty_documents(parse, tmp_path, size):
    Image.new("L", size, 255).save(tmp_path / "white.png")
    document = await parse(as_file(tmp_path / "white.png"))
    assert document.warnings == ("found no text",)


async def test_ocr_can_be_off_or_forced_and_pages_limited(tmp_path, context):
    pdf, scan = documents.make_pdf(tmp_path / "a.pdf"), documents.make_scan(tmp_path / "a.png")
    never, always = Parse(ocr="never"), Parse(ocr="always", max_pages=1)
    await never.open(context)
    await always.open(context)
    unread = await never(as_file(scan))
    assert unread.blocks == ()
    assert "OCR is off" in unread.warnings[0]
    forced = await always(as_file(pdf))
    assert forced.ocr_pages == forced.page_count == 1
    assert "Annual Report" in forced.markdown
    assert forced.warnings == ("read the first 1 of 2 pages (`max_pages`)",)
    await never.close()
    await always.close()


async def test_a_document_without_text_says_so(parse, tmp_path):
    path = tmp_path / "blank.md"
    path.write_text("\n\n")
    document = await parse(as_file(path))
    assert document.warnings == ("found no text",)
    assert document.title == "blank"
    assert list(chunk(document)) == [document]


def _truncated_pdf(path):
    documents.make_pdf(path)
    path.write_bytes(b"%PDF-1.4\n" + bytes(range(256)) * 4)
    return path


def _truncated_docx(path):
    documents.make_docx(path)
    path.write_bytes(path.read_bytes()[:9000])
    return path


def _wrong_inside(path):
    documents.make_bomb_docx.__globals__["zipfile"].ZipFile(path, "w").writestr("word/document.xml", "<not xml")
    return path


def _text(path):
    path.write_bytes(b"not an archive")
    return path


@pytest.mark.parametrize(
    ("name", "make", "error", "code"),
    [
        ("bomb.docx", documents.make_bomb_docx, TooLarge, "archive_bomb"),
        ("cut.pdf", _truncated_pdf, Unprocessable, "corrupt"),
        ("cut.docx", _truncated_docx, Unprocessable, "corrupt"),
        ("wrong.docx", _wrong_inside, Unprocessable, "corrupt"),
        ("text.docx", _text, UnsupportedMedia, "unknown_format"),
        ("liar.docx", documents.make_pdf, UnsupportedMedia, "format_mismatch"),
        ("gone.pdf", lambda path: path, NotFound, "missing_file"),
        ("folder.pdf", lambda path: path.mkdir() or path, Unprocessable, "unreadable"),
    ],
)
async def test_bad_files_are_refused_with_a_reason_and_the_process_stays(parse, tmp_path, *, name, make, error, code):
    file = as_file(make(tmp_path / name), f"sub/{name}")
    (pid, *_) = parse.pids
    with pytest.raises(error, match=rf"sub/{name}|word/document|well-formed") as caught:
        await parse(file)
    assert isinstance(caught.value, ItemError)
    assert caught.value.code == code
    assert "found" in caught.value.message or code == "missing_file"
    assert "expected" in caught.value.message or code == "missing_file"
    assert pid in parse.pids


async def test_a_parsed_document_is_chunked_with_its_headings(parse, tmp_path):
    document = await parse(as_file(documents.make_docx(tmp_path / "memo.docx")))
    first, *rest = chunk(document, tokens=64, overlap=0)
    assert first is document
    assert all(isinstance(c, Chunk) and c.document is document for c in rest)
    assert {c.headings for c in rest} <= {("Quarterly Memo", "Background"), ("Quarterly Memo", "Background", "Points")}
    assert all("| Region |" in c.text for c in rest if "North" in c.text or "South" in c.text)


async def test_a_name_that_is_not_utf_8_is_no_obstacle(parse, tmp_path):
    path = tmp_path / os.fsdecode(b"gr\xfc\xdfe.md")
    path.write_text("# Hello\n")
    document = await parse(as_file(path))
    assert document.title == "Hello"
    with pytest.raises(NotFound, match="nowhere"):
        await parse(as_file(tmp_path / os.fsdecode(b"nowhere\xff.md")))


@pytest.mark.parametrize(("name", "turn"), [("turned.png", 90), ("turned.png", 180), ("turned.pdf", 270)])
async def test_scans_that_lie_on_their_side_are_turned_and_read(parse, tmp_path, name, turn):
    upright = documents.make_scan(tmp_path / "upright.png")
    with Image.open(upright) as page:
        page.rotate(turn, expand=True).convert("L").save(tmp_path / name, dpi=(150, 150), resolution=150)
    document = await parse(as_file(tmp_path / name))
    assert document.title == "Annual Report"
    assert TEXT in document.markdown.replace("\n", " ")
    assert document.warnings == (f"page 1: turned by {360 - turn} degrees to the left, as its text runs",)
    assert document.ocr_pages == 1


async def test_little_confidence_is_a_warning(parse, tmp_path):
    page = Image.new("L", (1000, 500), 255)
    for number in range(4):
        place = (60, 60 + number * 100)
        ImageDraw.Draw(page).text(place, "The report is due in May", font=ImageFont.load_default(40), fill=0)
    ImageOps.mirror(page).save(tmp_path / "mirrored.png")  # letters that nobody writes
    document = await parse(as_file(tmp_path / "mirrored.png"))
    assert any("read by OCR with a confidence of 0." in warning for warning in document.warnings)


async def test_front_matter_ticks_and_other_encodings(parse, tmp_path):
    path = tmp_path / "todo.md"
    path.write_bytes("---\ntitle: Список\n---\n\n# Дела\n\n- [x] оплатить счёт\n- [ ] позвонить\n".encode("cp1251"))
    document = await parse(as_file(path))
    assert (document.title, document.metadata) == ("Список", {"title": "Список"})
    assert texts(document, "list_item") == ["- [x] оплатить счёт", "- [ ] позвонить"]
    assert "Список" not in document.markdown
    assert "cp1251" in document.warnings[0]


async def test_a_csv_file_in_shift_jis_with_a_preamble(parse, tmp_path):
    path = tmp_path / "list.csv"
    path.write_bytes("住所録\n\n名前,住所\n山田,東京\n佐藤,大阪\n".encode("shift_jis"))
    document = await parse(as_file(path))
    assert [block.text for block in document.blocks] == [
        "住所録",
        "| 名前 | 住所 |\n| --- | --- |\n| 山田 | 東京 |\n| 佐藤 | 大阪 |",
    ]


@pytest.mark.parametrize("span", ['rowspan="9"', 'colspan="9"', 'rowspan="0"', 'rowspan="9" colspan="3"'])
async def test_spans_beyond_a_tables_end_are_clipped(parse, tmp_path, span):
    path = tmp_path / "page.html"
    path.write_text(f"<table><tr><td {span}>a</td><td>b</td></tr><tr><td>c</td></tr></table>")
    document = await parse(DocumentRequest(as_file(path), html=True))
    assert set("abc") <= set(document.markdown)
    assert "<table>" in document.html


async def test_a_table_within_a_table_loses_nothing(parse, tmp_path):
    path = tmp_path / "page.html"
    inner = "<table><tr><td>x</td><td>y</td></tr><tr><td rowspan='5'>z</td></tr></table>"
    path.write_text(f"<table><tr><th>k</th><th>v</th></tr><tr><td>outer</td><td>before {inner} after</td></tr></table>")
    document = await parse(DocumentRequest(as_file(path), html=True))
    (table,) = texts(document, "table")
    assert all(word in table for word in ("outer", "before", "x, y; z", "after"))
