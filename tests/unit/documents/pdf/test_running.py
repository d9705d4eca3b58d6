import pytest
from docling_core.types.doc import ContentLayer, DocItemLabel

from fastembed.documents.pdf.document import read_pdf


@pytest.fixture
def read(sheets, tmp_path):
    def texts():
        document = read_pdf(sheets.save(tmp_path / "a.pdf"))
        return [item.text for item, _ in document.iterate_items(included_content_layers={ContentLayer.BODY})]

    return texts


def paged(sheets, count, draw):
    for k in range(count):
        draw(k)
        if k + 1 < count:
            sheets.page()


@pytest.mark.parametrize("name", ["Week", "Lesson", "Release", "Room"])
def test_a_large_title_that_counts_up_with_the_pages_is_a_heading(sheets, prose, tmp_path, name):
    paged(
        sheets,
        4,
        lambda k: sheets.text(72, 60, f"{name} {k + 1}", size=20).lines(72, 100, [*prose, f"The day {k} ends here."]),
    )

    document = read_pdf(sheets.save(tmp_path / "a.pdf"))

    heads = [i.text for i in document.texts if i.label in {DocItemLabel.TITLE, DocItemLabel.SECTION_HEADER}]
    assert heads == [f"{name} {k + 1}" for k in range(4)]


@pytest.mark.parametrize(
    ("head", "size"),
    [("Personnel no. {}", 10), ("Invoice {}", 9), ("Rechnung Nr. {}", 8), ("Certificate of attendance {}", 9)],
)
def test_numbers_of_persons_and_things_are_kept_on_each_page(sheets, prose, read, head, size):
    paged(
        sheets,
        4,
        lambda k: sheets.text(72, 40, head.format(1001 + k), size=size).lines(72, 100, [*prose, f"Slip {k} ends."]),
    )

    kept = read()

    assert [text for text in kept if text.startswith(head[:7])] == [head.format(1001 + k) for k in range(4)]


def test_a_word_before_a_number_says_that_it_names_something(sheets, prose, read):
    paged(sheets, 3, lambda k: sheets.text(72, 40, f"Day {k + 1}", size=9).lines(72, 100, [*prose, f"Part {k} ends."]))

    assert [text for text in read() if text.startswith("Day")] == ["Day 1", "Day 2", "Day 3"]


@pytest.mark.parametrize(
    "head", ["Handbook of Streams {}", "Handbook of Streams - Page {} of 5", "{} | Handbook of Streams"]
)
def test_a_running_head_is_kept_once_without_its_page_number(sheets, prose, read, head):
    paged(
        sheets,
        5,
        lambda k: sheets.text(72, 40, head.format(k + 1), size=8).lines(72, 100, [*prose, f"Part {k} ends here."]),
    )

    assert [text for text in read() if "Handbook" in text] == ["Handbook of Streams"]


def test_a_running_head_that_repeats_a_heading_says_nothing_new(sheets, prose, read):
    sheets.text(72, 80, "1 Introduction", size=16, font="bold").lines(72, 110, prose)
    for k in range(4):
        sheets.page().text(72, 40, "1. Introduction", size=8).lines(72, 100, [*prose, f"Part {k} ends here."])

    assert [text for text in read() if "Introduction" in text] == ["1 Introduction"]


def test_text_along_the_margin_is_kept_once(sheets, prose, read):
    paged(sheets, 3, lambda k: sheets.upwards(30, 600, "DRAFT 7").lines(72, 100, [*prose, f"Part {k} ends here."]))

    assert read().count("DRAFT 7") == 1


def test_names_at_the_top_of_each_page_are_kept(sheets, prose, read):
    names = ["Anna Berg", "Bodo Tann", "Carla Moor", "Dieter Fels", "Emma Kamp", "Fritz Holm", "Gerda Laub"]
    paged(sheets, 7, lambda k: sheets.text(72, 60, names[k]).lines(72, 110, [*prose, f"Number {k} ends here."]))

    kept = read()
    assert [name for name in names if name in kept] == names
