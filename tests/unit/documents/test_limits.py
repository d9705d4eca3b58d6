import zipfile

import pytest

from fastembed.documents.limits import (
    DocumentLimits,
    check_archive,
    check_csv,
    check_file,
    check_html,
    check_markdown,
    check_pixels,
    check_workbook,
)
from fastembed.pipeline.errors import TooLarge, Unprocessable

LIMITS = DocumentLimits()


def write(folder, content):
    path = folder / "file"
    path.write_bytes(content)
    return path


def workbook(folder, *sheets):
    path = folder / "book.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for number, cells in enumerate(sheets, 1):
            made.writestr(f"xl/worksheets/sheet{number}.xml", f"<worksheet><sheetData>{cells}</sheetData></worksheet>")
    return path


def test_a_file_over_the_limit_names_both_sizes(tmp_path):
    with pytest.raises(TooLarge, match="found a file of 11 bytes, expected at most 10"):
        check_file(write(tmp_path, b"x" * 11), "a.md", DocumentLimits(file_bytes=10))


def test_many_cells_are_refused_even_without_addresses(tmp_path):
    path = workbook(tmp_path, "<row>" + "<c><v>1</v></c>" * 60 + "</row>", "<row>" + "<c><v>1</v></c>" * 60 + "</row>")
    with pytest.raises(TooLarge, match="more than 100 cells"):
        check_workbook(path, "wide.xlsx", DocumentLimits(cells=100))
    check_workbook(path, "wide.xlsx", DocumentLimits(cells=120))


def test_cells_are_counted_across_the_windows_of_a_large_sheet(tmp_path):
    rows = "".join(f'<row r="{n}"><c r="A{n}" t="n"><v>{n}</v></c><c r="B{n}"/><cols/></row>' for n in range(1, 30_001))
    path = workbook(tmp_path, rows)
    check_workbook(path, "tall.xlsx", DocumentLimits(cells=60_000))
    with pytest.raises(TooLarge, match="more than 59,999 cells"):
        check_workbook(path, "tall.xlsx", DocumentLimits(cells=59_999))


def test_an_archive_that_unfolds_to_too_much_is_refused(tmp_path):
    path = tmp_path / "bomb.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("word/document.xml", b"A" * (40 << 20))
    with pytest.raises(TooLarge, match="archive bomb") as caught:
        check_archive(path, "bomb.docx", LIMITS)
    assert caught.value.code == "archive_bomb"
    with pytest.raises(TooLarge, match="41,943,040 bytes once unpacked, expected at most 1,000"):
        check_archive(path, "bomb.docx", DocumentLimits(unpacked_bytes=1000))


def test_a_csv_file_is_measured_by_its_separators(tmp_path):
    path = write(tmp_path, b"a;b;c\n" * 100)
    check_csv(path, "a.csv", DocumentLimits(cells=300))
    with pytest.raises(TooLarge, match="more than 299 cells"):
        check_csv(path, "a.csv", DocumentLimits(cells=299))


def test_deep_html_is_refused_and_flat_html_with_open_paragraphs_is_not(tmp_path):
    with pytest.raises(Unprocessable, match="found 300 levels of nesting, expected at most 200"):
        check_html(write(tmp_path, b"<div>" * 300), "a.html", LIMITS)
    check_html(write(tmp_path, b"<p>one<br><td><li class='a>b'>x</li>" * 3000), "a.html", LIMITS)


@pytest.mark.parametrize("text", [b">" * 300 + b" x", b"> " * 300 + b"x", b" " * 800 + b"- x", b"[" * 500])
def test_deep_markdown_is_refused(tmp_path, text):
    with pytest.raises(Unprocessable, match="levels of nesting"):
        check_markdown(write(tmp_path, b"# T\n\n" + text), "a.md", LIMITS)


def test_ordinary_markdown_passes(tmp_path):
    check_markdown(write(tmp_path, b"> quote\n\n- a\n    - b\n\n***\n\n" + b"*" * 80), "a.md", LIMITS)


def test_pixels_are_limited():
    with pytest.raises(TooLarge, match="20,000 x 20,000 pixels"):
        check_pixels(20_000, 20_000, "a.png", LIMITS)
