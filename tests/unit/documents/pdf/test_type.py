import pytest

from fastembed.documents.pdf.contents import is_contents_heading
from fastembed.documents.pdf.figures import CAPTION
from fastembed.documents.pdf.geometry import Box
from fastembed.documents.pdf.lists import is_bullet, marker_of
from fastembed.documents.pdf.style import Style, style_of
from fastembed.documents.pdf.text import lines_of
from fastembed.documents.pdf.words import PdfWord


@pytest.mark.parametrize(
    ("name", "look"),
    [
        ("ABCDEF+CMBX12", "bold"),
        ("CMSSBX10", "bold"),
        ("NimbusSanL-Bold", "bold"),
        ("NimbusRomNo9L-Medi", "bold"),
        ("Arial,Bold", "bold"),
        ("LMRomanDemi10-Regular", "bold"),
        ("CMTI10", "italic"),
        ("URWPalladioL-Ital", "italic"),
        ("LiberationSans-Italic", "italic"),
        ("CMTT10", "mono"),
        ("CourierNewPSMT", "mono"),
        ("DejaVuSansMono", "mono"),
        ("CMMI10", "math"),
        ("CMR10", ""),
        ("LMRoman10-Regular", ""),
        ("MonotypeCorsiva", ""),
    ],
)
def test_font_names_tell_the_look(name, look):
    style = style_of(name, 10, weight=745)

    assert [key for key in ("bold", "italic", "mono", "math") if getattr(style, key)] == ([look] if look else [])


@pytest.mark.parametrize(
    ("line", "marker"),
    [
        ("• a point", "•"),
        ("- a point", "-"),
        ("3. a step", "3."),
        ("(a) a case", "(a)"),
        ("[12] A. Author", "[12]"),
        ("1984 was", ""),
        ("e.g. this", ""),
        ("-option", ""),
    ],
)
def test_markers_start_list_items(line, marker):
    assert marker_of(line) == marker


def test_a_number_is_no_bullet():
    assert is_bullet("•")
    assert not is_bullet("3.")


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("Figure 3: The load", True),
        ("Table 2.1. Units", True),
        ("Fig. 4 – Load", True),
        ("Table 2 provides several examples", False),
        ("Figures are useful", False),
    ],
)
def test_captions_start_with_a_name_and_a_number(text, caption):
    assert bool(CAPTION.match(text)) is caption


@pytest.mark.parametrize(
    ("text", "heads"), [("Contents", True), ("Table of Contents", True), ("List of Figures", True), ("Content", False)]
)
def test_contents_announce_themselves(text, heads):
    assert is_contents_heading(text) is heads


def word(text, left, *, baseline=110.0, size=10.0, width=None):
    right = left + (width or 5 * len(text))
    return PdfWord(text, Box(left, baseline - size, right, baseline + 2), baseline, Style("F", size))


def test_words_on_one_baseline_are_a_line():
    lines = lines_of([word("two", 91), word("one", 72)])

    assert [line.text for line in lines] == ["one two"]


def test_a_wide_gap_ends_a_line():
    assert [line.text for line in lines_of([word("left", 72), word("right", 300)])] == ["left", "right"]


def test_a_superscript_belongs_to_the_word_that_it_touches():
    lines = lines_of([word("text", 72), word("2", 92, baseline=106, size=7), word("goes", 100)])

    assert [line.text for line in lines] == ["text2 goes"]


def test_a_raised_number_that_starts_a_line_stands_apart():
    lines = lines_of([word("3", 72, baseline=106, size=6), word("Note", 76)])

    assert [line.text for line in lines] == ["3 Note"]
