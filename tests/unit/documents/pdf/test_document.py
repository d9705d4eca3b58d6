import numpy as np
import pypdfium2
import pytest
from docling_core.types.doc import ContentLayer, DocItemLabel

from fastembed.documents.pdf.document import read_pdf
from fastembed.documents.pdf.page import EncryptedPdf, PdfFile, UnreadablePdf
from fastembed.documents.upright import PageReading


def texts(document, *labels):
    return [item.text for item in document.texts if item.label in labels]


def headings(document):
    return [(i.text, i.level) for i in document.texts if i.label == DocItemLabel.SECTION_HEADER]


def reading(document):
    layers = {ContentLayer.BODY}
    return [item.text for item, _ in document.iterate_items(included_content_layers=layers) if hasattr(item, "text")]


@pytest.fixture
def article(sheets, prose):
    sheets.text(72, 80, "Streams at Home", size=20, font="bold")
    sheets.text(72, 120, "1 Introduction", size=14, font="bold")
    sheets.lines(72, 140, prose)
    sheets.text(72, 220, "1.1 Scope", size=12, font="bold")
    sheets.lines(72, 238, prose)
    sheets.page()
    sheets.text(72, 100, "2 Results", size=14, font="bold")
    sheets.lines(72, 120, prose)
    return sheets


def test_numbers_and_size_make_headings_with_levels(article, tmp_path):
    document = read_pdf(article.save(tmp_path / "a.pdf"))

    assert headings(document) == [("1 Introduction", 1), ("1.1 Scope", 2), ("2 Results", 1)]


def test_the_largest_type_of_the_first_page_is_the_title(article, tmp_path):
    document = read_pdf(article.save(tmp_path / "a.pdf"))

    assert texts(document, DocItemLabel.TITLE) == ["Streams at Home"]


def test_a_paragraph_is_one_item_however_many_lines_it_has(article, prose, tmp_path):
    document = read_pdf(article.save(tmp_path / "a.pdf"))

    assert texts(document, DocItemLabel.TEXT) == [" ".join(prose)] * 3


def test_every_item_says_its_page_and_place(article, tmp_path):
    document = read_pdf(article.save(tmp_path / "a.pdf"))

    place = next(i for i in document.texts if i.text == "2 Results").prov[0]
    assert place.page_no == 2
    assert place.bbox.l == pytest.approx(72, abs=2)
    assert place.bbox.to_top_left_origin(842).t == pytest.approx(90, abs=6)


def test_the_outline_says_what_is_a_heading(sheets, prose, tmp_path):
    sheets.text(72, 100, "Getting started", size=10, font="italic")
    sheets.lines(72, 120, prose)
    sheets.text(72, 200, "NOT A SECTION", size=13, font="bold")
    sheets.lines(72, 220, prose)
    path = sheets.bookmark("Getting Started").save(tmp_path / "a.pdf")

    assert ("Getting started", 1) in headings(read_pdf(path))
    assert ("Getting started", 1) not in headings(read_pdf(path, use_outline=False))


def test_an_outline_that_names_nothing_printed_is_no_guide(article, tmp_path):
    path = article.bookmark("Page 1", 1).bookmark("Page 2", 2).save(tmp_path / "a.pdf")

    assert len(headings(read_pdf(path))) == 3


def test_columns_are_read_one_after_the_other(sheets, tmp_path):
    sheets.text(72, 80, "A wide heading that stands across both of the columns", size=16, font="bold")
    left = [f"left column, line number {k} of it" for k in range(20)]
    right = [f"right column, line number {k} of it" for k in range(20)]
    sheets.lines(72, 120, left)
    sheets.lines(310, 120, right)

    words = " ".join(reading(read_pdf(sheets.save(tmp_path / "a.pdf"))))

    places = [words.index(line) for line in left + right]
    assert places == sorted(places)


def test_a_short_heading_with_nothing_beside_it_heads_both_columns(sheets, tmp_path):
    above = [[f"above {side} line number {k} of these" for k in range(8)] for side in ("left", "right")]
    below = [[f"below {side} line number {k} of these" for k in range(8)] for side in ("left", "right")]
    for x, (upper, lower) in zip((72, 310), zip(above, below, strict=True), strict=True):
        sheets.lines(x, 120, upper)
        sheets.lines(x, 270, lower)
    sheets.text(72, 245, "Changes", size=14, font="bold")

    words = " ".join(reading(read_pdf(sheets.save(tmp_path / "a.pdf"))))

    places = [words.index(line) for line in (*above[0], *above[1], "Changes", *below[0], *below[1])]
    assert places == sorted(places)


def test_repeated_lines_at_the_edges_are_furniture(sheets, prose, tmp_path):
    for number in range(1, 5):
        sheets.text(72, 40, "Annual Report")
        sheets.text(300, 810, f"Page {number}")
        sheets.lines(72, 100, [*prose[:-1], f"number {number} ends here."])
        if number < 4:
            sheets.page()

    document = read_pdf(sheets.save(tmp_path / "a.pdf"))

    edge = [i for i in document.texts if i.content_layer == ContentLayer.FURNITURE]
    assert {i.label for i in edge} == {DocItemLabel.PAGE_HEADER, DocItemLabel.PAGE_FOOTER}
    assert len(edge) == 7
    assert not any("Page" in text for text in reading(document))
    assert reading(document).count("Annual Report") == 1


def test_list_items_keep_their_lines_and_marks(sheets, prose, tmp_path):
    sheets.lines(72, 100, prose)
    sheets.text(80, 180, "\u2022 the first point goes on").text(90, 192, "in a second line")
    sheets.text(80, 204, "\u2022 the second point")
    sheets.text(80, 230, "1. a step").text(80, 242, "2. another step")

    document = read_pdf(sheets.save(tmp_path / "a.pdf"))

    items = [(i.marker, i.text, i.enumerated) for i in document.texts if i.label == DocItemLabel.LIST_ITEM]
    assert items == [
        ("\u2022", "the first point goes on in a second line", False),
        ("\u2022", "the second point", False),
        ("1.", "a step", True),
        ("2.", "another step", True),
    ]


def test_listings_keep_lines_indents_and_empty_lines(sheets, prose, tmp_path):
    sheets.lines(72, 100, prose)
    sheets.text(90, 190, "def twice(x):", font="mono").text(114, 202, "return 2 * x", font="mono")
    sheets.text(90, 226, "print(twice(4))", font="mono")

    document = read_pdf(sheets.save(tmp_path / "a.pdf"))

    assert texts(document, DocItemLabel.CODE) == ["def twice(x):\n    return 2 * x\n\nprint(twice(4))"]


def test_a_word_broken_at_a_line_end_is_whole_again(sheets, prose, tmp_path):
    lines = [
        "The quality of the measurement depends on the instru-",
        "ment and on a well-known effect that every labora-",
        "tory has seen in one form or another by now.",
    ]
    sheets.lines(72, 100, lines)
    sheets.lines(72, 200, prose)

    text = texts(read_pdf(sheets.save(tmp_path / "a.pdf")), DocItemLabel.TEXT)[0]

    assert "the instrument and" in text
    assert "well-known" in text
    assert "every laboratory has" in text


def test_a_paragraph_goes_on_over_the_page(sheets, prose, tmp_path):
    sheets.lines(72, 700, prose[:3])
    sheets.page().lines(72, 80, prose[3:])

    document = read_pdf(sheets.save(tmp_path / "a.pdf"))

    item = next(i for i in document.texts if i.label == DocItemLabel.TEXT)
    assert item.text == " ".join(prose)
    assert [p.page_no for p in item.prov] == [1, 2]


def ruled(sheets, xs, ys):
    for y in ys:
        sheets.rule(xs[0], y, xs[-1], y)
    for x in xs:
        sheets.rule(x, ys[0], x, ys[-1])


def test_a_ruled_table_keeps_its_cells_and_caption(sheets, prose, tmp_path):
    sheets.lines(72, 80, prose)
    sheets.text(100, 170, "Table 1: Units sold")
    ruled(sheets, [100, 200, 300], [180, 200, 220])
    sheets.text(105, 194, "Region").text(205, 194, "Units").text(105, 214, "North").text(205, 214, "1,204")

    table = read_pdf(sheets.save(tmp_path / "a.pdf")).tables[0]

    cells = {(c.start_row_offset_idx, c.start_col_offset_idx): c.text for c in table.data.table_cells}
    assert cells == {(0, 0): "Region", (0, 1): "Units", (1, 0): "North", (1, 1): "1,204"}
    assert table.captions


def test_missing_rules_merge_cells(sheets, tmp_path):
    for y in (100, 120, 140):
        sheets.rule(100, y, 300, y)
    for x in (100, 300):
        sheets.rule(x, 100, x, 140)
    sheets.rule(200, 120, 200, 140)
    sheets.text(105, 114, "Both").text(105, 134, "one").text(205, 134, "two")

    cells = read_pdf(sheets.save(tmp_path / "a.pdf")).tables[0].data.table_cells

    assert [(c.text, c.row_span, c.col_span) for c in cells] == [("Both", 1, 2), ("one", 1, 1), ("two", 1, 1)]


def test_a_table_of_horizontal_rules_has_columns_where_all_rows_have_gaps(sheets, prose, tmp_path):
    for y in (100, 120, 160):
        sheets.rule(100, y, 400, y)
    for k, row in enumerate((["Region", "Q1", "Q2"], ["North", "1,204", "1,310"], ["South", "998", "1,020"])):
        for x, cell in zip((105, 220, 330), row, strict=True):
            sheets.text(x, 114 + 20 * k, cell)
    sheets.lines(72, 200, prose)

    data = read_pdf(sheets.save(tmp_path / "a.pdf")).tables[0].data

    assert (data.num_rows, data.num_cols) == (3, 3)
    assert [c.text for c in data.table_cells][3:6] == ["North", "1,204", "1,310"]
    assert [c.column_header for c in data.table_cells][:4] == [True, True, True, False]


def test_text_in_a_figure_belongs_to_the_figure(sheets, prose, tmp_path):
    sheets.lines(72, 80, prose)
    for k in range(4):
        sheets.curve(150, 200 + 20 * k, 350, 280 - 10 * k)
    sheets.text(200, 240, "peak", size=8).text(220, 292, "time (s)", size=8)
    sheets.text(150, 320, "Figure 1: How the load rises and falls.")
    sheets.lines(72, 360, prose)

    document = read_pdf(sheets.save(tmp_path / "a.pdf"))

    picture = document.pictures[0]
    children = {child.resolve(document).text for child in picture.children}
    assert {"peak", "time (s)"} <= children
    assert picture.caption_text(document) == "Figure 1: How the load rises and falls."
    assert texts(document, DocItemLabel.TEXT).count(" ".join(prose)) == 2


def test_small_type_under_a_short_rule_is_a_footnote(sheets, prose, tmp_path):
    sheets.lines(72, 80, prose)
    sheets.rule(72, 700, 200, 700)
    sheets.text(72, 712, "1 Measured on one machine only.", size=8)

    document = read_pdf(sheets.save(tmp_path / "a.pdf"))

    assert texts(document, DocItemLabel.FOOTNOTE) == ["1 Measured on one machine only."]


def test_a_table_of_contents_is_a_list_and_names_the_headings(sheets, prose, tmp_path):
    titles = ["Beginnings", "Middles", "Turns", "Ends", "Notes"]
    sheets.text(72, 80, "Contents", size=16, font="bold")
    for k, title in enumerate(titles):
        sheets.text(72, 110 + 14 * k, f"{title} " + ". " * 40 + str(k + 1))
    for title in titles:
        sheets.page().text(72, 100, title, size=11, font="bold")
        sheets.lines(72, 125, prose)

    document = read_pdf(sheets.save(tmp_path / "a.pdf"))

    assert [text for text, _ in headings(document)] == titles
    assert texts(document, DocItemLabel.LIST_ITEM)[0] == "Beginnings \u2026 1"


def test_a_turned_page_reads_as_shown(sheets, prose, tmp_path):
    sheets.lines(72, 80, prose)
    sheets.rotate = 90

    document = read_pdf(sheets.save(tmp_path / "a.pdf"))

    assert texts(document, DocItemLabel.TEXT) == [" ".join(prose)]
    assert document.pages[1].size.width == pytest.approx(595, abs=1)


def test_only_so_many_pages_are_read_as_asked_for(article, tmp_path):
    assert len(read_pdf(article.save(tmp_path / "a.pdf"), max_pages=1).pages) == 1


class KnownWords:
    """Recognises a page whose lines are known, in pixels."""

    def __init__(self, lines):
        self.lines = lines
        self.shapes = []

    def __call__(self, image, /):
        self.shapes.append((image.shape, image.dtype))
        scale = image.shape[1] / 595
        return PageReading([(text, tuple(v * scale for v in box), 0.98) for text, box in self.lines], 0, 0.98)


def scanned(sheets, source, tmp_path):
    """Add the first page of another file as pixels."""
    with pypdfium2.PdfDocument(source) as file:
        page = file[0]
        bitmap = page.render(scale=2, rev_byteorder=True)
        pixels = np.array(bitmap.to_numpy()[:, :, :3])
        bitmap.close()
        page.close()
    return sheets.image(0, 0, 595, 842, pixels).save(tmp_path / "scan.pdf")


def test_a_scanned_page_is_recognised_and_laid_out(sheets, tmp_path):
    source = type(sheets)()
    ruled(source, [100, 200, 300], [180, 220, 260])
    source.text(105, 204, "Region").text(205, 204, "Units").text(105, 244, "North").text(205, 244, "1,204")
    path = scanned(sheets, source.save(tmp_path / "source.pdf"), tmp_path)
    words = [("Region", (105, 194, 140, 206)), ("Units", (205, 194, 235, 206)), ("1,204", (205, 234, 235, 246))]
    ocr = KnownWords([*words, ("North", (105, 234, 140, 246)), ("A line below.", (72, 400, 160, 412))])

    document = read_pdf(path, ocr=ocr)

    assert [c.text for c in document.tables[0].data.table_cells] == ["Region", "Units", "North", "1,204"]
    assert texts(document, DocItemLabel.TEXT) == ["A line below."]
    assert ocr.shapes[0][0][2] == 3
    assert ocr.shapes[0][1] == np.uint8


def test_pages_with_text_are_not_recognised(article, tmp_path):
    ocr = KnownWords([])

    read_pdf(article.save(tmp_path / "a.pdf"), ocr=ocr)

    assert ocr.shapes == []


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "found an empty file, expected a PDF"),
        (b"PK\x03\x04 not this", "expected '%PDF-'"),
        (b"%PDF-1.7\n" + bytes(range(256)) * 8, "found damaged or truncated content"),
    ],
)
def test_what_is_no_pdf_is_refused_with_the_reason(tmp_path, content, found):
    path = tmp_path / "bad.pdf"
    path.write_bytes(content)

    with pytest.raises(UnreadablePdf, match=found):
        read_pdf(path)


def test_an_encrypted_file_is_told_apart(article, tmp_path):
    digest = "<" + "41" * 32 + ">"
    encrypt = f"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O {digest} /U {digest} >> /ID [<00> <00>]"

    with pytest.raises(EncryptedPdf, match=r"a\.pdf: found an encrypted PDF"):
        read_pdf(article.save(tmp_path / "a.pdf", trailer=encrypt))


def test_a_missing_file_is_no_bad_pdf(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file at"):
        PdfFile(tmp_path / "none.pdf")


def test_rules_without_words_between_them_are_no_table(sheets, prose, tmp_path):
    for y in (100, 102, 104):
        sheets.rule(72, y, 400, y)
    sheets.lines(72, 130, prose)

    document = read_pdf(sheets.save(tmp_path / "a.pdf"))

    assert not document.tables
    assert texts(document, DocItemLabel.TEXT) == [" ".join(prose)]


def test_rules_drawn_as_thin_images_make_tables_too(sheets, tmp_path):
    black = np.zeros((1, 1, 3), np.uint8)
    for y in (100, 120, 140):
        sheets.image(100, y, 200, 0.5, black)
    for x in (100, 200, 299.5):
        sheets.image(x, 100, 0.5, 40, black)
    sheets.text(110, 114, "Sign").text(210, 114, "Meaning").text(110, 134, "+").text(210, 134, "sum")

    table = read_pdf(sheets.save(tmp_path / "a.pdf")).tables[0]

    assert [[cell.text for cell in row] for row in table.data.grid] == [["Sign", "Meaning"], ["+", "sum"]]


def test_running_feet_with_roman_page_numbers_are_furniture(sheets, prose, tmp_path):
    for number in ("vi", "vii", "viii", "ix"):
        sheets.lines(72, 100, [*prose, f"Page {number} ends here."])
        sheets.text(72, 800, f"{number} Copyright by the House")
        if number != "ix":
            sheets.page()

    document = read_pdf(sheets.save(tmp_path / "a.pdf"))

    assert [text for text in reading(document) if "Copyright" in text] == ["Copyright by the House"]


def test_the_first_section_may_start_with_little_text(sheets, prose, tmp_path):
    sheets.text(180, 100, "The Protocol", size=17)
    sheets.text(72, 170, "Messages", size=14, font="bold").lines(72, 190, prose[:2])
    sheets.text(72, 240, "Labels", size=14, font="bold").lines(72, 260, prose)

    assert [text for text, _ in headings(read_pdf(sheets.save(tmp_path / "a.pdf")))] == ["Messages", "Labels"]
