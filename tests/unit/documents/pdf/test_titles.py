import pytest

from fastembed.documents.pdf.titles import depth_of, folded, is_label, spellings, split_number


@pytest.mark.parametrize(
    ("title", "number", "rest"),
    [
        ("2.3 Naming", "2.3", "Naming"),
        ("1. Introduction", "1", "Introduction"),
        ("Appendix A Licence", "A", "Licence"),
        ("Chapter 4: Ends", "4", "Ends"),
        ("A.1 Free Documentation", "A.1", "Free Documentation"),
        ("A tale of two cities", "", "A tale of two cities"),
        ("I am here", "", "I am here"),
        ("Preface", "", "Preface"),
    ],
)
def test_a_number_is_split_from_its_title(title, number, rest):
    assert split_number(title) == (number, rest)


@pytest.mark.parametrize(("title", "depth"), [("3 Ends", 1), ("3.1 Ends", 2), ("3.1.4.1 Ends", 4), ("Ends", 0)])
def test_the_depth_is_how_many_parts_the_number_has(title, depth):
    assert depth_of(title) == depth


def test_folding_leaves_letters_and_digits():
    assert folded("Émile’s  2nd—Law!") == "emiles2ndlaw"


def test_a_section_is_known_with_and_without_its_number():
    assert {"23naming", "naming"} <= spellings("2.3 Naming")


@pytest.mark.parametrize(("text", "label"), [("Chapter 3", True), ("Appendix B", True), ("Chapter 3 Ends", False)])
def test_a_label_has_no_title(text, label):
    assert is_label(text) is label
