import pytest

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
