"""A small writer of PDFs: text in the base fonts, rules, boxes, pixels, an outline."""

import zlib
from pathlib import Path

import numpy as np
import pytest

FONTS = {
    "plain": "Helvetica",
    "bold": "Helvetica-Bold",
    "mono": "Courier",
    "italic": "Helvetica-Oblique",
    "flagged": "Helvetica",
}
# Some makers call every font one of fixed pitch.
FLAGGED = "/FontDescriptor << /Type /FontDescriptor /FontName /Helvetica /Flags 33 /ItalicAngle 0 >>"


class Sheets:
    """Pages of 595 x 842 points; y counts from the top, as people read."""

    def __init__(self):
        self.pages = []
        self.images = []
        self.outline = []
        self.rotate = 0
        self.signs = []
        self.annotations = []
        self.page()

    def page(self):
        self.pages.append([])
        return self

    def text(self, x, y, words, *, size=10, font="plain"):
        escaped = words.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        code = escaped.encode("cp1252").decode("latin-1")
        name = list(FONTS).index(font)
        self.pages[-1].append(f"BT /F{name} {size} Tf {x} {842 - y} Td ({code}) Tj ET")
        return self

    def upwards(self, x, y, words, *, size=10):
        self.pages[-1].append(f"BT /F0 {size} Tf 0 1 -1 0 {x} {842 - y} Tm ({words}) Tj ET")
        return self

    def seen(self, x, y, signs, *, size=10):
        """Draw characters of any script (or strings that one glyph stands for) from left to right as they are seen."""
        self.signs += [sign for sign in dict.fromkeys(signs) if sign not in self.signs]
        code = "".join(f"{self.signs.index(sign) + 33:02x}" for sign in signs)
        self.pages[-1].append(f"BT /FS {size} Tf {x} {842 - y} Td <{code}> Tj ET")
        return self

    def lines(self, x, y, lines, *, size=10, font="plain", leading=None):
        for k, line in enumerate(lines):
            self.text(x, y + k * (leading or 1.2 * size), line, size=size, font=font)
        return y + len(lines) * (leading or 1.2 * size)

    def rule(self, x0, y0, x1, y1):
        self.pages[-1].append(f"0.5 w {x0} {842 - y0} m {x1} {842 - y1} l S")
        return self

    def curve(self, x0, y0, x1, y1):
        mid = (x0 + x1) / 2
        self.pages[-1].append(f"{x0} {842 - y0} m {mid} {842 - y0} {mid} {842 - y1} {x1} {842 - y1} c S")
        return self

    def panel(self, x, y, width, height, *, radius=0, paint="B"):
        """Draw a light box with round corners; `paint` is PDF's operator: B fills and strokes, S strokes."""
        bottom, right, top, k = 842 - y - height, x + width, 842 - y, radius / 2
        corners = (
            f"{x + radius} {bottom} m {right - radius} {bottom} l "
            f"{right - k} {bottom} {right} {bottom + k} {right} {bottom + radius} c "
            f"{right} {top - radius} l {right} {top - k} {right - k} {top} {right - radius} {top} c "
            f"{x + radius} {top} l {x + k} {top} {x} {top - k} {x} {top - radius} c "
            f"{x} {bottom + radius} l {x} {bottom + k} {x + k} {bottom} {x + radius} {bottom} c"
        )
        shape = corners if radius else f"{x} {bottom} {width} {height} re"
        self.pages[-1].append(f"q 0.9 g {shape} {paint} Q")
        return self

    def image(self, x, y, width, height, pixels):
        self.images.append(pixels)
        self.pages[-1].append(f"q {width} 0 0 {height} {x} {842 - y - height} cm /I{len(self.images) - 1} Do Q")
        return self

    def annotate(self, x, y, width, height, entries):
        """Add an annotation; `/Subtype /Widget` makes it a field of the document's form."""
        rect = f"/Rect [{x} {842 - y - height} {x + width} {842 - y}]"
        self.annotations.append((len(self.pages) - 1, f"<< /Type /Annot {rect} {entries} >>"))
        return self

    def bookmark(self, title, page=1, *, top=None):
        self.outline.append((title, page, "/Fit" if top is None else f"/XYZ 0 {842 - top} 0"))
        return self

    def bytes(self, *, trailer=""):
        objects = {}
        fonts = len(self.pages) * 2 + 3
        images = fonts + len(FONTS)
        marks = images + len(self.images)
        kids = " ".join(f"{3 + 2 * k} 0 R" for k in range(len(self.pages)))
        signs = marks + (len(self.outline) + 1 if self.outline else 0)
        notes = range(signs + 2, signs + 2 + len(self.annotations))
        fields = " ".join(f"{n} 0 R" for n, (_, note) in zip(notes, self.annotations, strict=True) if "/Widget" in note)
        form = f"/AcroForm << /Fields [{fields}] >>" if fields else ""
        outlines = f"/Outlines {marks} 0 R" if self.outline else ""
        objects[1] = f"<< /Type /Catalog /Pages 2 0 R {outlines} {form} >>".encode()
        objects[2] = f"<< /Type /Pages /Kids [{kids}] /Count {len(self.pages)} >>".encode()
        font_names = " ".join(f"/F{k} {fonts + k} 0 R" for k in range(len(FONTS))) + f" /FS {signs} 0 R"
        image_names = " ".join(f"/I{k} {images + k} 0 R" for k in range(len(self.images)))
        for k, content in enumerate(self.pages):
            own = " ".join(f"{n} 0 R" for n, (page, _) in zip(notes, self.annotations, strict=True) if page == k)
            objects[3 + 2 * k] = (
                f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Rotate {self.rotate} /Contents {4 + 2 * k} 0 R "
                f"/Annots [{own}] "
                f"/Resources << /Font << {font_names} >> /XObject << {image_names} >> >> >>"
            ).encode()
            objects[4 + 2 * k] = _stream("", "\n".join(content).encode("latin-1"))
        for k, (name, base) in enumerate(FONTS.items()):
            more = FLAGGED if name == "flagged" else ""
            font = f"<< /Type /Font /Subtype /Type1 /BaseFont /{base} /Encoding /WinAnsiEncoding {more} >>"
            objects[fonts + k] = font.encode()
        for k, pixels in enumerate(self.images):
            height, width = pixels.shape[:2]
            space = (
                f"/Type /XObject /Subtype /Image /Width {width} /Height {height} "
                "/ColorSpace /DeviceRGB /BitsPerComponent 8"
            )
            objects[images + k] = _stream(space, np.ascontiguousarray(pixels).tobytes())
        self._add_outline(objects, marks)
        self._add_signs(objects, signs)
        objects.update({n: note.encode("cp1252") for n, (_, note) in zip(notes, self.annotations, strict=True)})
        return _file(objects, trailer)

    def _add_signs(self, objects, number):
        """Add a font whose characters are named by a ToUnicode map only; each is half an em wide.

        One more, not used, is wider: a font whose characters are all of one width would be one of fixed pitch.
        """
        count = max(1, len(self.signs))
        objects[number] = (
            f"<< /Type /Font /Subtype /TrueType /BaseFont /Arial /FirstChar 33 /LastChar {33 + count} "
            f"/Widths [{'500 ' * count}900] /ToUnicode {number + 1} 0 R "
            "/FontDescriptor << /Type /FontDescriptor /FontName /Arial /Flags 32 /ItalicAngle 0 >> >>"
        ).encode()
        names = "\n".join(f"<{k + 33:02x}> <{sign.encode('utf-16-be').hex()}>" for k, sign in enumerate(self.signs))
        objects[number + 1] = _stream(
            "",
            (
                "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapType 2 def\n"
                "1 begincodespacerange <00> <ff> endcodespacerange\n"
                f"{len(self.signs)} beginbfchar\n{names}\nendbfchar\nendcmap end end"
            ).encode(),
        )

    def _add_outline(self, objects, first):
        count = len(self.outline)
        if count:
            objects[first] = f"<< /First {first + 1} 0 R /Last {first + count} 0 R /Count {count} >>".encode()
        for k, (title, page, view) in enumerate(self.outline):
            following = f"/Next {first + k + 2} 0 R" if k + 1 < count else ""
            objects[first + 1 + k] = (
                f"<< /Title ({title}) /Parent {first} 0 R {following} /Dest [{1 + 2 * page} 0 R {view}] >>".encode()
            )

    def save(self, path: Path, *, trailer=""):
        path.write_bytes(self.bytes(trailer=trailer))
        return path


def _stream(entries, data):
    packed = zlib.compress(data)
    return f"<< {entries} /Length {len(packed)} /Filter /FlateDecode >>\nstream\n".encode() + packed + b"\nendstream"


def _file(objects, trailer):
    out = bytearray(b"%PDF-1.7\n")
    places = {}
    for number in sorted(objects):
        places[number] = len(out)
        out += f"{number} 0 obj\n".encode() + objects[number] + b"\nendobj\n"
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    for number in sorted(objects):
        out += f"{places[number]:010d} 00000 n \n".encode()
    out += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(out)


PROSE = [
    "Reactive stream processing systems route events from sensors and documents through",
    "declared operators while keeping the latency bounded and the memory stable. Each of the",
    "batches goes to a worker that records the outcome, and whatever is left over waits for the",
    "next turn of the scheduler, which looks at the load before it admits another piece of work",
    "and says so in its log.",
]


@pytest.fixture
def sheets():
    return Sheets()


@pytest.fixture
def prose():
    return PROSE
