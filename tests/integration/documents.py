"""Makes the documents that the parsing tests read: real ones, by the libraries that people make theirs with."""

import zipfile
from pathlib import Path

import docx
import openpyxl
import pptx
from docx.oxml import parse_xml
from PIL import Image, ImageDraw, ImageFont
from pptx.util import Inches

ROWS = [
    ["Region", "Q1", "Q2", "Total"],
    ["North", "1,204", "1,310", "2,514"],
    ["South", "998", "1,020", "2,018"],
    ["East | West", "745", "802", "1,547"],
]
TABLE = """| Region | Q1 | Q2 | Total |
| --- | --- | --- | --- |
| North | 1,204 | 1,310 | 2,514 |
| South | 998 | 1,020 | 2,018 |
| East \\| West | 745 | 802 | 1,547 |"""
TEXT = "The scheduler assigns each batch to a worker and records the outcome."
_FORMULA = (
    '<m:oMath xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"><m:r><m:t>E=</m:t></m:r>'
    "<m:f><m:num><m:r><m:t>m</m:t></m:r></m:num><m:den><m:r><m:t>2c</m:t></m:r></m:den></m:f></m:oMath>"
)


def make_docx(path: Path) -> Path:
    made = docx.Document()
    made.add_heading("Quarterly Memo", 0)
    made.add_heading("Background", 1)
    paragraph = made.add_paragraph("The scheduler ")
    paragraph.add_run("assigns").bold = True
    paragraph.add_run(" each batch to a worker and records the outcome.")
    made.add_heading("Points", 2)
    made.add_paragraph("first point", style="List Bullet")
    made.add_paragraph("second point", style="List Bullet")
    table = made.add_table(rows=0, cols=4, style="Table Grid")
    for row in ROWS:
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
    made.add_paragraph("Formula: ")._p.append(parse_xml(_FORMULA))
    made.save(path)
    return path


def make_pptx(path: Path) -> Path:
    made = pptx.Presentation()
    slide = made.slides.add_slide(made.slide_layouts[1])
    slide.shapes.title.text = "Roadmap"
    slide.placeholders[1].text = "Ship it\nMeasure it"
    slide = made.slides.add_slide(made.slide_layouts[5])
    slide.shapes.title.text = "Numbers"
    table = slide.shapes.add_table(4, 4, Inches(1), Inches(2), Inches(8), Inches(2)).table
    for r, row in enumerate(ROWS):
        for c, text in enumerate(row):
            table.cell(r, c).text = text
    made.save(path)
    return path


def make_xlsx(path: Path) -> Path:
    made = openpyxl.Workbook()
    made.active.title = "Sales"
    for row in ROWS:
        made.active.append(row)
    second = made.create_sheet("Rates")
    second.append(["name", "rate"])
    second.append(["a", 2.5])
    made.save(path)
    return path


def make_xlsx_without_its_drawing(path: Path) -> Path:
    """A workbook whose sheet refers to a drawing that the file lacks, as some writers leave it behind."""
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/drawing"
    with zipfile.ZipFile(make_xlsx(path), "a") as archive:
        archive.writestr(
            "xl/worksheets/_rels/sheet1.xml.rels",
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            f'<Relationship Id="rId1" Type="{relation}" Target="../drawings/drawing1.xml"/></Relationships>',
        )
    return path


def make_bomb_docx(path: Path) -> Path:
    """60 MB of one letter in a document of 60 KB."""
    plain = make_docx(path.with_suffix(".plain"))
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name in source.namelist():
            content = source.read(name)
            if name == "word/document.xml":
                content = content.replace(
                    b"<w:body>", b"<w:body><w:p><w:r><w:t>" + b"A" * (60 << 20) + b"</w:t></w:r></w:p>"
                )
            made.writestr(name, content)
    plain.unlink()
    return path


def make_html(path: Path) -> Path:
    head = "".join(f"<th>{cell}</th>" for cell in ROWS[0])
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in ROWS[1:])
    path.write_text(
        "<html><head><title>T</title></head><body><p>Before any heading.</p><h1>Web page</h1>"
        '<p>Some <b>bold</b> text, a <a href="https://example.com/x">link</a>.</p><h2>Data</h2>'
        f"<table><tr>{head}</tr>{body}</table>"
        "<ol><li>one</li><li>two</li></ol><pre><code>x = 1\ny = 2</code></pre></body></html>",
        encoding="utf-8",
    )
    return path


def make_md(path: Path) -> Path:
    path.write_text(
        "# Title\n\nText with **bold** und Grüße.\n\n## Part\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- x\n- y\n\n"
        "```python\nprint(1)\n```\n\n$$a^2$$\n",
        encoding="utf-8",
    )
    return path


def make_csv(path: Path) -> Path:
    path.write_text("\n".join(";".join(f'"{cell}"' for cell in row) for row in ROWS), encoding="utf-8")
    return path


def make_scan(path: Path) -> Path:
    """A printed page, slightly turned, 150 dpi."""
    page = Image.new("L", (1240, 900), 255)
    draw = ImageDraw.Draw(page)
    draw.text((120, 80), "Annual Report", font=ImageFont.load_default(56), fill=0)
    for number, line in enumerate(
        [TEXT, "Every file is read once and only once.", "Invoice number 20418, due in May."]
    ):
        draw.text((120, 220 + number * 44), line, font=ImageFont.load_default(30), fill=0)
    page.rotate(0.4, fillcolor=255, resample=Image.Resampling.BICUBIC).save(path, resolution=150, dpi=(150, 150))
    return path


def make_pdf(path: Path) -> Path:
    """Two pages of text, written by hand."""
    pages = [
        b"BT /F1 24 Tf 72 740 Td (Annual Report) Tj /F2 11 Tf 0 -60 Td (" + TEXT.encode() + b") Tj ET",
        b"BT /F1 16 Tf 72 740 Td (2. Results) Tj /F2 11 Tf 0 -40 Td (Nothing was lost in the second quarter.) Tj ET",
    ]
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [5 0 R 7 0 R] /Count 2 >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, content in enumerate(pages):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>" % (6 + 2 * number)
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
    out = b"%PDF-1.4\n"
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (
        size,
        table,
        size,
        len(out),
    )
    path.write_bytes(out)
    return path
