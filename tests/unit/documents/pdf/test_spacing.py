import pytest
from docling_core.types.doc import DocItemLabel

from fastembed.documents.pdf.document import read_pdf
from fastembed.documents.pdf.geometry import Box
from fastembed.documents.pdf.spacing import without_letter_spacing
from fastembed.documents.pdf.style import Style
from fastembed.documents.pdf.words import PdfWord


def spaced(text, *, gap=3.0, space=12.0, size=10.0, font="Serif", mono=False):
    """Return letters that stand `gap` points apart, words `space` points."""
    words, x = [], 0.0
    for c in text:
        if c == " ":
            x += space - gap
            continue
        words.append(PdfWord(c, Box(x, 0, x + 6, 10), 8.0, Style(font, size, mono=mono)))
        x += 6 + gap
    return words


def text(words):
    return " ".join(word.text for word in words)


@pytest.mark.parametrize("title", ["CHAPTER ONE", "Annual Report", "ÜBERSICHT", "THE WAY OF ALL FLESH"])
def test_letters_set_apart_are_words(title):
    assert text(without_letter_spacing(spaced(title))) == title


@pytest.mark.parametrize("row", ["A B C D E", "a b", "1 2 3 4 5 6", "x + y = z", "J. R."])
def test_what_heads_columns_or_stands_for_something_stays_apart(row):
    words = spaced(row.replace(" ", ""))

    assert without_letter_spacing(words) == words


def test_letters_of_one_pitch_are_a_listing():
    words = spaced("kerne", mono=True)

    assert without_letter_spacing(words) == words


def test_a_letter_spaced_title_is_a_heading(sheets, prose, tmp_path):
    sheets.text(72, 60, "The House", size=24, font="bold").lines(72, 100, prose)
    for k, title in enumerate(("FIRST PART", "SECOND PART")):
        sheets.pages[-1].append("5 Tc")
        sheets.text(72, 240 + 150 * k, title, size=14, font="bold")
        sheets.pages[-1].append("0 Tc")
        sheets.lines(72, 265 + 150 * k, prose)

    document = read_pdf(sheets.save(tmp_path / "a.pdf"))

    heads = [item.text for item in document.texts if item.label == DocItemLabel.SECTION_HEADER]
    assert heads == ["FIRST PART", "SECOND PART"]
