"""XLSX: cells as their sheet shows them, a table in one piece, and nothing left out in silence."""

import datetime as dt
import zipfile

import openpyxl
import pytest
from openpyxl.chart import BarChart, Reference
from openpyxl.comments import Comment

from fastembed.documents.convert import open_converter
from fastembed.pipeline.errors import TooLarge


@pytest.fixture(scope="module")
def converter():
    return open_converter({"area": 400})


@pytest.fixture
def read(converter, tmp_path):
    def read_(book):
        book.save(path := tmp_path / "book.xlsx")
        return converter.convert(path, "book.xlsx")

    return read_


def workbook(*rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    return book


def tables(found):
    return [text.split("\n") for kind, text, *_ in found["blocks"] if kind == "table"]


def texts(found):
    return [text for _, text, *_ in found["blocks"]]


def test_cells_are_shown_in_their_formats(read):
    book = workbook(["Day", "Share", "Price", "Code"], [dt.date(2026, 3, 5), 0.256, 1234.5, 42])
    for place, code in {"A2": "DD.MM.YYYY", "B2": "0.0%", "C2": '#,##0.00 "EUR"', "D2": "00000"}.items():
        book.active[place].number_format = code
    assert tables(read(book))[0][-1] == "| 05.03.2026 | 25.6% | 1,234.50 EUR | 00042 |"


def test_blank_rows_and_columns_do_not_part_a_table(read):
    rows = [["Name", None, "City"], [], ["Miller", None, "Bonn"], [], [], ["Smith", None, "York"], ["Jones"]]
    assert tables(read(workbook(*rows))) == [
        ["| Name | City |", "| --- | --- |", "| Miller | Bonn |", "| Smith | York |", "| Jones |  |"]
    ]


def test_a_title_and_a_remark_stay_outside_the_table(read):
    rows = [["Sales of 2026"], ["in thousands"], [], ["Region", "Sum"], ["North", 5], [], ["Source: the books"]]
    found = read(workbook(*rows))
    assert texts(found)[1:] == [
        "Sales of 2026",
        "in thousands",
        "| Region | Sum |\n| --- | --- |\n| North | 5 |",
        "Source: the books",
    ]


def test_a_table_with_its_own_header_or_in_other_columns_is_another_table(read):
    book = workbook(["a", "b"], [1, 2], [], ["x", "y"], [3, 4])
    book.active["H12"], book.active["I12"], book.active["H13"], book.active["I13"] = "far", "off", 5, 6
    assert [rows[0] for rows in tables(read(book))] == ["| a | b |", "| x | y |", "| far | off |"]


def test_a_stray_cell_far_below_costs_nothing(read):
    book = workbook(["a", "b"], [1, 2])
    book.active["AZ900"] = "stray"
    assert texts(read(book))[1:] == ["| a | b |\n| --- | --- |\n| 1 | 2 |", "stray"]


def test_cells_scattered_over_too_many_places_are_refused(read):
    book = openpyxl.Workbook()
    for place in range(1, 22):  # joined cells: no blank row between them
        book.active.cell(place, place, "x")
        book.active.cell(place, place + 1, "y")
    with pytest.raises(
        TooLarge, match=r"scattered over 21 rows and 22 columns, expected a table of at most 400 places"
    ):
        read(book)


def test_formulas_without_a_stored_result_are_told(read):
    book = workbook(["a", "b"], [1, "=A2*2"], [2, "=A3*2"])
    book.active.title = "Sums"
    book.create_sheet("Plain").append(["no formula"])
    (warning,) = read(book)["warnings"]
    assert warning.startswith("sheet Sums: 2 formulas without a stored result (B2, B3): their cells are empty here")


def test_stored_results_are_read_and_nothing_is_told(converter, tmp_path):
    workbook(["a", "b"], [1, "=A2*2"]).save(path := tmp_path / "plain.xlsx")
    with zipfile.ZipFile(path) as plain, zipfile.ZipFile(tmp_path / "book.xlsx", "w") as made:
        for name in plain.namelist():
            content = plain.read(name).replace(b"<f>A2*2</f><v />", b"<!-- counted --><f>A2*2</f><v>2</v>")
            made.writestr(name, content.replace(b"<f>A2*2</f><v></v>", b"<f>A2*2</f><v>2</v>"))
    found = converter.convert(tmp_path / "book.xlsx", "book.xlsx")
    assert tables(found)[0][-1] == "| 1 | 2 |"
    assert found["warnings"] == []


def test_hidden_sheets_are_kept_and_marked_and_comments_are_read(read):
    book = workbook(["a"], ["b"])
    book.active["A2"].comment = Comment("Check this", "Ann")
    hidden = book.create_sheet("Rates")
    hidden.append(["secret", "rate"])
    hidden.sheet_state = "hidden"
    found = texts(read(book))
    assert "Rates (hidden sheet)" in found
    assert "| secret | rate |\n| --- | --- |" in found
    assert any("Check this" in text for text in found)


def test_merged_cells_stand_once_in_a_row(read):
    book = workbook(["Region", "2026", None], ["North", 1, 2], [None, 3, 4])
    book.active.merge_cells("B1:C1")
    book.active.merge_cells("A2:A3")
    assert tables(read(book)) == [
        ["| Region | 2026 |  |", "| --- | --- | --- |", "| North | 1 | 2 |", "| North | 3 | 4 |"]
    ]


def test_a_chart_is_its_title_and_data(read):
    book = workbook(["Region", "Sum"], ["North", 5], ["South", 6])
    chart = BarChart()
    chart.title = "Sums by region"
    chart.add_data(Reference(book.active, min_col=2, min_row=1, max_row=3), titles_from_data=True)
    chart.set_categories(Reference(book.active, min_col=1, min_row=2, max_row=3))
    book.active.add_chart(chart, "E2")
    found = read(book)
    assert "Sums by region" in texts(found)
    assert tables(found)[-1][-2:] == ["| North | 5 |", "| South | 6 |"]
