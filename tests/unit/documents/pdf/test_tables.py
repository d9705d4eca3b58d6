import numpy as np
import pytest
from docling_core.types.doc import DocItemLabel

from fastembed.documents.pdf.document import read_pdf


@pytest.fixture
def tables(sheets, tmp_path):
    def read():
        document = read_pdf(sheets.save(tmp_path / "a.pdf"))
        return [[[cell.text for cell in row] for row in table.data.grid] for table in document.tables]

    return read


def test_cells_below_each_other_are_a_table_without_any_rule(sheets, prose, tables):
    sheets.lines(72, 100, prose)
    for k, cells in enumerate((("Operator", "Meaning", "Rank"), ("+", "addition", "12"), ("<<", "left shift", "7"))):
        for x, cell in zip((100, 170, 260), cells, strict=True):
            sheets.text(x, 180 + 13 * k, cell, font="bold" if k == 0 else "plain")
    sheets.lines(72, 240, prose)

    assert tables() == [[["Operator", "Meaning", "Rank"], ["+", "addition", "12"], ["<<", "left shift", "7"]]]


def test_a_cell_may_go_on_in_the_next_line(sheets, prose, tables):
    sheets.lines(72, 100, prose)
    for k, cells in enumerate(
        (("AES", "Advanced Encryption"), ("", "Standard"), ("CA", "Authority"), ("OS", "System"))
    ):
        for x, cell in zip((100, 170), cells, strict=True):
            sheets.text(x, 180 + 12 * k, cell)

    assert tables() == [[["AES", "Advanced Encryption Standard"], ["CA", "Authority"], ["OS", "System"]]]


def test_items_of_a_list_are_no_cells(sheets, prose, tables):
    sheets.lines(72, 100, prose)
    for k, mark in enumerate(("\u2022", "\u2022", "1.", "2.", "(a)")):
        sheets.text(100, 180 + 12 * k, mark).text(130, 180 + 12 * k, "the point that it makes")

    assert tables() == []


def test_a_table_of_contents_without_leaders_is_no_table(sheets, prose, tables):
    sheets.text(72, 80, "Contents", size=16, font="bold")
    for k, title in enumerate(("Reading", "Writing", "Moving", "Ends")):
        sheets.text(72, 110 + 12 * k, title).text(500, 110 + 12 * k, str(k + 2))
    sheets.page().lines(72, 80, prose)

    assert tables() == []


def test_terms_with_long_descriptions_are_text(sheets, prose, tables):
    for k in range(3):
        sheets.text(72, 100 + 40 * k, f"term{k}").lines(200, 100 + 40 * k, [line[:60] for line in prose[:3]])

    assert tables() == []


def place(sheets, y, cells, xs, **look):
    """Draw cells in a row, each with its left edge at one of `xs`."""
    for x, cell in zip(xs, cells, strict=True):
        if cell:
            sheets.text(x, y, cell, **look)


def test_the_items_and_totals_of_an_invoice_are_one_table_though_rules_stand_at_the_totals_only(sheets, tables):
    sheets.text(78, 60, "Invoice", size=18, font="bold")
    rows = [
        ("Pos", "Article", "Qty", "Unit", "Total"),
        ("1", "Pump", "2", "100.00", "200.00"),
        ("2", "Hose 5 m", "10", "3.10", "31.00"),
        ("", "", "", "Net", "231.00"),
        ("", "", "", "VAT 19 %", "43.89"),
        ("", "", "", "Sum", "274.89"),
    ]
    for k, cells in enumerate(rows):
        place(sheets, 185 + 18 * k, cells, (84, 114, 336, 395, 480))
    sheets.rule(77, 190, 519, 190).rule(357, 226, 519, 226)
    sheets.text(78, 310, "Payable within 14 days to the account below.")

    assert tables() == [[list(row) for row in rows]]


@pytest.mark.parametrize("foot", [0, 1, 2], ids=["at the top", "in the middle", "at the foot"])
def test_cells_that_wrap_are_one_row_wherever_the_short_cells_stand(sheets, prose, tables, foot):
    sheets.lines(72, 60, prose)
    place(sheets, 150, ("Item", "Description", "Price"), (100, 180, 420))
    for k in range(4):
        y = 168 + 42 * k
        sheets.lines(180, y, ["A long description that wraps", "over three lines for want", f"of room, number {k}."])
        place(sheets, y + 12 * foot, (f"A-{k}", f"{k}.50"), (100, 420))
    sheets.lines(72, 350, prose)

    head, *rows = tables()[0]
    assert head == ["Item", "Description", "Price"]
    text = "A long description that wraps over three lines for want of room, number {}."
    assert rows == [[f"A-{k}", text.format(k), f"{k}.50"] for k in range(4)]


def test_rows_between_rules_that_stand_at_every_fifth_row_only_are_rows(sheets, tables):
    for y in (100, 120, 180, 240):
        sheets.rule(72, y, 400, y)
    for x in (72, 200, 300, 400):
        sheets.rule(x, 100, x, 240)
    place(sheets, 114, ("Town", "People", "Area"), (80, 210, 310))
    for k in range(10):
        place(sheets, 130 + 12 * k, (f"Town {'ABCDEFGHIJ'[k]}", f"{k + 10},300", str(40 + k)), (80, 210, 310))

    (table,) = tables()
    assert table[1:] == [[f"Town {'ABCDEFGHIJ'[k]}", f"{k + 10},300", str(40 + k)] for k in range(10)]


def test_cells_of_several_lines_between_rules_stay_cells(sheets, tables):
    for y in (100, 120, 160, 200):
        sheets.rule(72, y, 400, y)
    for x in (72, 240, 400):
        sheets.rule(x, 100, x, 200)
    place(sheets, 114, ("Name", "Address"), (80, 250))
    for k in range(2):
        sheets.lines(80, 132 + 40 * k, ["Anna Berg", "and others"])
        sheets.lines(250, 132 + 40 * k, ["Hill Street", "Northbridge"])

    assert tables() == [[["Name", "Address"], *[["Anna Berg and others", "Hill Street Northbridge"]] * 2]]


def test_columns_of_prose_in_a_frame_are_no_table(sheets, prose, tables):
    left = [line[:40] for line in prose] * 3
    sheets.rule(72, 90, 520, 90).rule(72, 300, 520, 300).rule(72, 90, 72, 300).rule(520, 90, 520, 300)
    sheets.rule(296, 90, 296, 300)
    sheets.lines(80, 104, left)
    sheets.lines(304, 104, left)

    assert tables() == []


def test_prose_in_columns_between_rules_is_no_table(sheets, prose, tables):
    lines = [line[:40] for line in prose] * 2
    for y in (90, 220, 350):
        sheets.rule(72, y, 520, y)
    for y in (104, 234):
        sheets.lines(80, y, lines)
        sheets.lines(304, y, lines)

    assert tables() == []


@pytest.mark.parametrize("radius", [0, 12])
def test_a_panel_with_a_backdrop_holds_text_and_tables(sheets, tmp_path, radius):
    sheets.panel(40, 40, 515, 400, radius=radius)
    sheets.text(78, 100, "REPAIRS OF THE YEAR", size=18, font="bold")
    rows = [("Kind", "Hours", "Rate", "Cost"), ("Parts", "", "", "2,100"), ("Labour", "2", "150", "300")]
    for k, cells in enumerate((*rows, ("Total", "", "", "2,400"))):
        place(sheets, 150 + 18 * k, cells, (114, 300, 380, 460))

    document = read_pdf(sheets.save(tmp_path / "a.pdf"))

    (table,) = document.tables
    assert not document.pictures
    assert [cell.text for cell in table.data.grid[2]] == ["Labour", "2", "150", "300"]
    assert [(item.label, item.text) for item in document.texts] == [(DocItemLabel.TITLE, "REPAIRS OF THE YEAR")]


def test_a_picture_behind_lines_of_text_is_no_figure(sheets, tmp_path):
    sheets.image(60, 60, 400, 300, np.full((4, 4, 3), 230, np.uint8))
    sheets.text(80, 90, "Quick reference card", size=18, font="bold")
    keys = [("Ctrl+C", "copy the selection"), ("Ctrl+V", "paste what was copied"), ("Ctrl+Z", "undo the last step")]
    for k, cells in enumerate(keys):
        place(sheets, 120 + 16 * k, cells, (80, 180))
    sheets.text(80, 200, "Keep this card beside the keyboard and look at it whenever in doubt.")

    document = read_pdf(sheets.save(tmp_path / "a.pdf"))

    assert not document.pictures
    assert [[cell.text for cell in row] for row in document.tables[0].data.grid] == [list(cells) for cells in keys]
    assert document.texts[-1].text.startswith("Keep this card")


def test_a_picture_with_a_few_labels_is_a_figure(sheets, prose, tmp_path):
    sheets.lines(72, 60, prose)
    sheets.image(60, 160, 400, 300, np.full((4, 4, 3), 90, np.uint8))
    sheets.text(90, 200, "harbour", size=8).text(210, 300, "the old town", size=8).text(330, 400, "hill", size=8)

    document = read_pdf(sheets.save(tmp_path / "a.pdf"))

    assert len(document.pictures) == 1
    assert len(document.pictures[0].children) == 3


def test_narrow_columns_of_prose_side_by_side_are_no_table_at_their_end_either(sheets, prose, tables):
    lines = [" ".join(line.split()[:5]) for line in prose * 2][:7]
    sheets.lines(72, 100, lines)
    sheets.lines(320, 100, lines)

    assert tables() == []
