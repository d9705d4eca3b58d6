"""Makes the demo's documents and its spoken call: `.venv/bin/python demo/make.py`, from the texts beside this file.

The results lie in `fastembed/demo_assets/` and are committed, so nobody needs to run this. It needs, beside the
project's own packages (python-docx, openpyxl, Pillow, numpy), these Debian 12 packages:
libreoffice-writer-nogui (the PDF is LibreOffice's, not of our making), flite (the voice `rms`) and fonts-liberation2
(the text and the scan's typewriter). All texts were written for this project; Apache-2.0.
"""

from __future__ import annotations

import io
import re
import subprocess
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path

import docx
import numpy as np
import openpyxl
from docx.enum.section import WD_SECTION
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Mm, Pt
from openpyxl.styles import Font
from PIL import Image, ImageDraw, ImageFilter, ImageFont

HERE = Path(__file__).parent
ASSETS = HERE.parent / "fastembed" / "demo_assets"
RATE_HZ = 16000
SCAN_DPI = 150
TYPEWRITER = "/usr/share/fonts/truetype/liberation2/LiberationMono-Regular.ttf"

READINGS = [
    ("Month", "Mean temperature (C)", "Lowest (C)", "Highest gust (m/s)", "Snow depth (cm)", "Days with fog"),
    ("October", 1.8, -6.4, 27.3, 4, 11),
    ("November", -3.1, -12.9, 33.8, 31, 9),
    ("December", -6.7, -18.2, 36.1, 84, 7),
    ("January", -8.9, -23.5, 41.6, 127, 6),
    ("February", -7.4, -21.0, 38.9, 171, 8),
    ("March", -4.2, -15.3, 34.4, 96, 10),
]
INSTRUMENTS = [
    ("Instrument", "Maker", "Serial number", "Last calibration", "Next calibration due"),
    ("Mercury barometer", "Fuess", "FB-2217", "2025-06-12", "2027-06-12"),
    ("Electronic barometer", "Orrin Works", "EB-0093", "2026-05-30", "2027-05-30"),
    ("Cup anemometer, old", "Lambrecht", "CA-1961", "2024-09-02", "2026-09-02"),
    ("Cup anemometer, new", "Lambrecht", "CA-4410", "2026-09-14", "2028-09-14"),
    ("Thermometer, dry bulb", "Goldbach", "TD-770", "2025-10-03", "2027-10-03"),
    ("Rain gauge", "Hellmann", "RG-31", "2025-07-21", "2028-07-21"),
]


def blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """Cut a text at its empty lines; name each block by how it starts."""
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = block.splitlines()
        mark = re.match(r"#+(?= )|- |\||:::", lines[0])
        yield (mark.group() if mark else "", lines)


def add_table(document: docx.document.Document, lines: list[str]) -> None:
    """Add a table with a bold header row from its piped lines."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "---" not in line]
    table = document.add_table(len(rows), len(rows[0]), style="Table Grid")
    for number, row in enumerate(rows):
        for cell, text in zip(table.rows[number].cells, row, strict=True):
            run = cell.paragraphs[0].add_run(text)
            run.bold = number == 0
            run.font.size = Pt(10)
            cell.paragraphs[0].paragraph_format.keep_with_next = number + 1 < len(rows)
    document.add_paragraph()


def set_columns(section: docx.section.Section, count: int) -> None:
    """Lay the section out in columns."""
    columns = OxmlElement("w:cols")
    columns.set(qn("w:num"), str(count))
    columns.set(qn("w:space"), "340")
    for old in section._sectPr.findall(qn("w:cols")):  # noqa: SLF001 (python-docx has no columns of its own)
        section._sectPr.remove(old)  # noqa: SLF001
    section._sectPr.append(columns)  # noqa: SLF001


def add_page_number(paragraph: docx.text.paragraph.Paragraph) -> None:
    """Append the field that shows the page's number."""
    field = OxmlElement("w:fldSimple")
    field.set(qn("w:instr"), "PAGE")
    paragraph._p.append(field)  # noqa: SLF001 (python-docx has no fields of its own)


def word_document(text: str, *, header: str, width_mm: float, height_mm: float) -> docx.document.Document:
    """Set a text with headings, lists, tables and two-column parts."""
    document = docx.Document()
    document.core_properties.title = text.splitlines()[0].lstrip("# ")
    normal = document.styles["Normal"]
    normal.font.name, normal.font.size = "Liberation Serif", Pt(12)
    for level, size in ((1, 16), (2, 12.5)):
        style = document.styles[f"Heading {level}"]
        style.font.name, style.font.size = "Liberation Sans", Pt(size)
        style.element.rPr.rFonts.set(qn("w:asciiTheme"), "")
    section = document.sections[0]
    section.page_width, section.page_height = Mm(width_mm), Mm(height_mm)
    section.left_margin = section.right_margin = Mm(17)
    section.header_distance = section.footer_distance = Mm(9)
    section.top_margin = section.bottom_margin = Mm(22)
    section.header.paragraphs[0].text = header
    add_page_number(section.footer.paragraphs[0])
    for mark, lines in blocks(text):
        joined = " ".join(lines)
        if mark == ":::":
            set_columns(document.add_section(WD_SECTION.CONTINUOUS), 2 if "columns" in joined else 1)
        elif mark == "|":
            add_table(document, lines)
        elif mark == "- ":
            for line in lines:
                document.add_paragraph(line[2:], style="List Bullet")
        elif mark:
            document.add_heading(joined.lstrip("# "), len(mark))
        else:
            document.add_paragraph(joined)
    return document


def make_handbook(work: Path) -> None:
    """Set the handbook as a PDF of about ten small pages, with LibreOffice."""
    document = word_document(
        (HERE / "handbook.md").read_text(), header="Halden Ridge weather station", width_mm=148, height_mm=210
    )
    document.save(str(work / "handbook.docx"))
    command = ["soffice", "--headless", "--convert-to", "pdf", "--outdir", str(work), str(work / "handbook.docx")]
    subprocess.run(command, check=True, capture_output=True)
    (ASSETS / "handbook.pdf").write_bytes((work / "handbook.pdf").read_bytes())


def make_report() -> None:
    """Write the winter report as a Word file."""
    text = (HERE / "winter-report.md").read_text()
    word_document(text, header="Halden Ridge", width_mm=210, height_mm=297).save(str(ASSETS / "winter-report.docx"))


def make_readings() -> None:
    """Write the readings and the instruments as two sheets of a workbook."""
    book = openpyxl.Workbook()
    for number, (title, rows) in enumerate((("Readings", READINGS), ("Instruments", INSTRUMENTS))):
        sheet = book.active if number == 0 else book.create_sheet()
        sheet.title = title
        for row in rows:
            sheet.append(row)
        for cell in sheet[1]:
            cell.font = Font(bold=True)
    book.save(ASSETS / "readings.xlsx")


def make_scan() -> None:
    """Draw the storm log as a scanned page: typed, a little skewed, grey, with uneven ink and dust; no text in it."""
    chance = np.random.default_rng(1987)
    width, height = round(SCAN_DPI * 5.83), round(SCAN_DPI * 8.27)
    page = Image.new("L", (width, height), 255)
    draw, font = ImageDraw.Draw(page), ImageFont.truetype(TYPEWRITER, round(SCAN_DPI * 0.14))
    for number, line in enumerate((HERE / "storm-log.txt").read_text().splitlines()):
        x, y = 75 + float(chance.normal(0, 1.5)), 80 + number * SCAN_DPI * 0.2
        draw.text((x, y), line, fill=int(chance.integers(25, 60)), font=font)
    page = page.rotate(1.1, resample=Image.Resampling.BICUBIC, fillcolor=255).filter(ImageFilter.GaussianBlur(0.6))
    ink = np.asarray(page, dtype=np.float32)
    shade = np.linspace(-14, 6, width)[None, :] + np.linspace(4, -10, height)[:, None]
    grain = chance.normal(0, 4, ink.shape)
    dust = np.where(chance.random(ink.shape) < 0.0003, -90, 0)  # three specks in ten thousand points
    scan = Image.fromarray(np.clip(ink * 0.92 + shade + grain + dust, 0, 255).astype(np.uint8))
    scan.save(ASSETS / "storm-log.pdf", resolution=SCAN_DPI, quality=45, title="Scan 0001")


def spoken(sentence: str) -> np.ndarray:
    """Speak one sentence with flite's voice `rms`: int16, 16 kHz, mono."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(["flite", "-voice", "rms", "-t", sentence, "-o", file.name], check=True)
        with wave.open(io.BytesIO(Path(file.name).read_bytes())) as sound:
            return np.frombuffer(sound.readframes(sound.getnframes()), np.int16)


def make_call() -> None:
    """Speak the morning call as a WAV, with pauses between the sentences and a faint hiss."""
    pause = np.zeros(round(0.9 * RATE_HZ), np.int16)
    pieces = [np.zeros(round(0.4 * RATE_HZ), np.int16)]
    for sentence in (HERE / "morning-call.txt").read_text().splitlines():
        pieces += [spoken(sentence), pause]
    sound = np.concatenate(pieces).astype(np.float32)
    sound += np.random.default_rng(4).normal(0, 12, sound.shape)
    with wave.open(str(ASSETS / "morning-call.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(np.clip(sound, -32768, 32767).astype(np.int16).tobytes())


def main() -> None:
    """Train, export and write the folder."""
    ASSETS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        make_handbook(Path(work))
    make_report()
    make_readings()
    make_scan()
    make_call()
    (ASSETS / "morning-call.txt").write_text((HERE / "morning-call.txt").read_text())
    for path in sorted(ASSETS.iterdir()):
        print(f"{path.stat().st_size:8d} {path.name}")


if __name__ == "__main__":
    main()
