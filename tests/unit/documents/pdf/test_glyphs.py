from docling_core.types.doc import DocItemLabel

from fastembed.documents.pdf.document import read_pdf
from fastembed.documents.pdf.page import PdfFile


def lines(path):
    with PdfFile(path) as file:
        return [line.text for line in file.page(1).lines]


def test_an_accent_drawn_elsewhere_comes_to_its_letter(sheets, tmp_path):
    sheets.text(72, 100, "le resume de la journee")
    sheets.text(87, 100, "\u00b4").text(111.5, 100, "\u00b4")

    assert lines(sheets.save(tmp_path / "a.pdf")) == ["le r\u00e9sum\u00e9 de la journee"]


def test_an_accent_between_letters_stays_one(sheets, tmp_path):
    sheets.text(72, 100, "a \u00b4 b")

    assert lines(sheets.save(tmp_path / "a.pdf")) == ["a \u00b4 b"]


def test_labels_that_run_upwards_side_by_side_stay_words(sheets, tmp_path):
    for k, label in enumerate(("31", "35", "38")):
        sheets.upwards(100 + 5 * k, 400, label)
    sheets.lines(72, 100, ["most of the page is upright"] * 3)

    assert [text for text in lines(sheets.save(tmp_path / "a.pdf")) if text.isdigit()] == ["31", "35", "38"]


def test_a_font_is_of_fixed_pitch_by_its_letters_not_by_a_flag(sheets, prose, tmp_path):
    sheets.lines(72, 100, prose, font="flagged")

    document = read_pdf(sheets.save(tmp_path / "a.pdf"))

    assert [(i.label, i.text) for i in document.texts] == [(DocItemLabel.TEXT, " ".join(prose))]
