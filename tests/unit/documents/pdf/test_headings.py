import pytest
from docling_core.types.doc import DocItemLabel

from fastembed.documents.pdf.document import read_pdf


@pytest.fixture
def headings(sheets, tmp_path):
    def read(**options):
        document = read_pdf(sheets.save(tmp_path / "a.pdf"), **options)
        return [i.text for i in document.texts if i.label == DocItemLabel.SECTION_HEADER]

    return read


def contents(sheets, *entries):
    sheets.text(72, 80, "Contents", size=16, font="bold")
    for k, entry in enumerate(entries):
        sheets.text(72, 110 + 14 * k, f"{entry} . . . . . . . . . . . . . . . . . . . {k + 2}")


def test_each_chapter_may_have_a_section_of_the_same_name(sheets, prose, headings):
    contents(sheets, "1 Reading", "1.1 Functions", "2 Writing", "2.1 Functions", "3 Ends")
    for title, inner in (("1 Reading", "1.1 Functions"), ("2 Writing", "2.1 Functions"), ("3 Ends", None)):
        sheets.page().text(72, 80, title, size=14, font="bold").lines(72, 100, prose)
        # The first one is plain, so the second one looks more like a heading than it does.
        if inner:
            sheets.text(72, 190, inner, size=10 if title[0] == "1" else 12, font="bold").lines(72, 208, prose)

    assert headings(use_outline=False) == ["1 Reading", "1.1 Functions", "2 Writing", "2.1 Functions", "3 Ends"]


def test_headings_in_a_size_of_their_own_are_found_below_those_of_the_contents(sheets, prose, headings):
    contents(sheets, "Reading", "Writing", "Moving", "Ends")
    for k, title in enumerate(("Reading", "Writing", "Moving", "Ends")):
        sheets.page().text(72, 80 + 4 * k, title, size=16, font="bold").lines(72, 110, prose)
        sheets.text(72, 190, "How it ended", size=12, font="bold").lines(72, 208, prose)

    assert headings().count("How it ended") == 4


def test_who_wrote_it_is_no_heading(sheets, prose, headings):
    sheets.text(72, 60, "On Reading", size=24, font="bold").text(72, 100, "Ada Lovelace", size=13)
    sheets.text(72, 125, "March 3, 1843", size=13).lines(72, 160, [*prose, *prose])
    for title in ("Reading", "Writing", "Moving"):
        sheets.page().text(72, 80, title, size=13).lines(72, 104, prose)
        sheets.bookmark(title, len(sheets.pages))

    assert headings() == ["Reading", "Writing", "Moving"]


def test_a_numbered_heading_may_end_a_page(sheets, prose, headings):
    sheets.text(72, 80, "1 Reading", size=14, font="bold").lines(72, 104, prose)
    sheets.text(72, 740, "1.1 What is read", size=12, font="bold").page().lines(72, 80, prose)

    assert headings() == ["1 Reading", "1.1 What is read"]


def test_a_deep_number_needs_no_capital(sheets, prose, headings):
    sheets.text(72, 50, "Formats and Options", size=20, font="bold")
    sheets.text(72, 80, "1 Formats", size=14, font="bold").lines(72, 104, prose)
    sheets.text(72, 190, "1.0.1 emf - pictures of one maker.", font="bold").lines(72, 210, prose)

    assert headings() == ["1 Formats", "1.0.1 emf - pictures of one maker."]


def test_options_in_brackets_are_no_headings(sheets, prose, headings):
    sheets.text(72, 50, "Formats and Options", size=20, font="bold")
    sheets.text(72, 80, "1 Options", size=14, font="bold").lines(72, 104, prose)
    for k, option in enumerate(("[-scale number]", "-shift number", "[-help]")):
        sheets.text(72, 190 + 100 * k, option, font="bold").lines(72, 208 + 100 * k, prose)

    assert headings() == ["1 Options"]


def test_a_heading_may_follow_a_picture_closely(sheets, prose, headings):
    sheets.text(72, 50, "Pictures", size=20, font="bold").lines(72, 80, prose)
    for k in range(6):
        sheets.curve(100 + 40 * k, 160, 140 + 40 * k, 304)
    sheets.text(72, 315, "2 What it shows", font="bold").lines(72, 330, prose)

    assert headings() == ["2 What it shows"]


def test_numbered_headings_at_one_height_of_pages_in_a_row_are_no_running_heads(sheets, prose, headings):
    titles = ["1 Synopsis", "2 Options", "3 Description", "4 See Also", "5 Index"]
    for k, title in enumerate(titles):
        sheets.text(72, 80, title, size=14, font="bold").lines(72, 110, [*prose, f"Number {k} ends here."])
        if k < len(titles) - 1:
            sheets.page()

    assert headings() == titles


def test_a_running_head_of_one_chapter_only_is_none_of_its_headings(sheets, prose, headings):
    for k in range(12):
        head = "4 AVAILABLE FORMATS" if k < 5 else f"ALL OF {'ABCDEFGHIJKL'[k] * 4}"
        sheets.text(200, 60, head, font="italic").lines(72, 110, [*prose, f"Number {k} ends here."])
        if k < 11:
            sheets.page()

    assert "4 AVAILABLE FORMATS" not in headings()


def test_light_lines_at_one_height_of_every_page_are_running_heads_though_their_words_differ(sheets, prose, headings):
    for k, name in enumerate(("Reading", "Writing", "Moving", "Ends", "Notes", "Thanks", "Index")):
        sheets.text(400, 60, name, font="italic").lines(72, 110, [*prose, f"Number {k} ends here."])
        if k < 6:
            sheets.page()

    assert headings() == []


def test_slanted_links_are_no_headings(sheets, prose, headings):
    sheets.text(72, 50, "Formats and Options", size=20, font="bold").lines(72, 80, prose)
    for k in range(4):
        sheets.text(72, 180 + 90 * k, f"The Desktop http://example.org/{k}", font="italic")
        sheets.lines(72, 200 + 90 * k, prose)

    assert headings() == []


def test_the_contents_say_on_which_page_a_title_stands(sheets, prose, headings):
    titles = ["1 Release 0.4", "2 Release 0.3", "3 Release 0.2", "4 Raw logs"]
    contents(sheets, *titles)
    for k, title in enumerate(titles):
        # On its page a title is as light as the text; bold is only the same name in the logs.
        sheets.page().text(72, 80 + 3 * k, title).lines(72, 110, prose)
    for k in range(3):
        sheets.text(72, 200 + 90 * k, f"Release 0.{4 - k}", font="bold").lines(72, 220 + 90 * k, prose)

    assert headings()[:4] == titles


def test_what_has_no_number_is_none_of_numbered_headings(sheets, prose, headings):
    contents(sheets, "1 Reading", "2 Writing", "3 Moving", "4 Ends")
    for k, title in enumerate(("1 Reading", "2 Writing", "3 Moving", "4 Ends")):
        sheets.page().text(72, 80 + 4 * k, title, size=16, font="bold").lines(72, 110, prose)
        sheets.text(72, 190, "read_all (file)", size=12).lines(72, 208, prose)

    assert headings() == ["1 Reading", "2 Writing", "3 Moving", "4 Ends"]


def test_a_large_heading_that_differs_by_a_number_is_no_running_head(sheets, prose, headings):
    for k in range(6):
        sheets.text(72, 60, f"Release 0.{k}", size=14, font="bold").lines(72, 90, [*prose, f"Number {k} ends here."])
        if k < 5:
            sheets.page()

    assert headings() == [f"Release 0.{k}" for k in range(1, 6)]  # the first one is the title


def test_a_watermark_behind_every_page_is_no_figure(sheets, prose, headings):
    for k in range(4):
        for n in range(3):
            sheets.curve(74, 198 + n, 487, 629)
        sheets.text(72, 220, f"{k + 1} Part of it", size=14, font="bold").lines(72, 250, prose[: 2 + k % 2])
        sheets.text(300, 800, f"This ends page number {k} of them all.")
        if k < 3:
            sheets.page()

    assert headings() == [f"{k + 1} Part of it" for k in range(4)]


def test_type_of_no_size_harms_nothing(sheets, headings):
    for k in range(30):
        sheets.text(72, 100 + 12 * k, "as small as nothing", size=0.1)

    assert headings() == []


def test_slides_in_a_row_may_have_one_title(sheets, prose, headings):
    for k in range(12):
        title = "Labels" if 2 < k < 8 else f"All of {'ABCDEFGHIJKL'[k] * 4}"
        sheets.text(72, 60, title, size=16).lines(72, 110, [*prose, f"Number {k} ends here."])
        if k < 11:
            sheets.page()

    assert headings().count("Labels") == 5


def test_bold_lines_of_body_size_are_headings_though_no_space_sets_them_apart(sheets, prose, headings):
    y = 80
    for title in ("Opening hours", "How to get here", "What it costs"):
        sheets.text(72, y, title, font="bold")
        y = sheets.lines(72, y + 12, prose)

    assert headings() == ["Opening hours", "How to get here", "What it costs"]


def test_bold_words_that_start_a_paragraph_are_no_headings(sheets, prose, headings):
    y = 80
    for word in ("Hours", "Way", "Costs"):
        sheets.text(72, y, word, font="bold").text(110, y, "and what else there is to be said about them in a line.")
        y = sheets.lines(72, y + 12, prose)

    assert headings() == []


def test_a_title_in_a_box_is_a_heading(sheets, prose, headings):
    sheets.text(72, 50, "The House and its Rules", size=20, font="bold").lines(72, 80, prose)
    for k, title in enumerate(("Rules of the house", "Rules of the garden")):
        y = 200 + 150 * k
        sheets.panel(72, y - 16, 400, 22, radius=5 * k).text(80, y, title, size=13, font="bold")
        sheets.lines(72, y + 30, prose)

    assert headings() == ["Rules of the house", "Rules of the garden"]


def test_an_outline_names_the_first_words_of_a_line_at_its_target(sheets, prose, tmp_path):
    names = (("all", "Are All Values True?"), ("any.of", "Are Some Values True?"), ("args", "Arguments of a Function"))
    for k, (name, title) in enumerate(names):
        y = 100 + 160 * k
        sheets.text(72, y, name, size=11, font="mono").text(330, y, title, size=11, font="italic")
        sheets.lines(72, y + 30, [*prose, f"all of them, number {k}"])
        sheets.bookmark(name, top=y - 20)

    document = read_pdf(sheets.save(tmp_path / "a.pdf"))

    heads = [i.text for i in document.texts if i.label in {DocItemLabel.SECTION_HEADER, DocItemLabel.TITLE}]
    texts = [i.text for i in document.texts if i.label == DocItemLabel.TEXT]
    assert heads == [name for name, _ in names]
    assert [title for _, title in names if title in texts] == [title for _, title in names]


def test_text_that_happens_to_start_like_an_entry_is_no_heading(sheets, prose, headings):
    sheets.lines(72, 100, ["All of them go on in this line, which says nothing new.", *prose])
    sheets.bookmark("All", top=95)

    assert "All" not in " ".join(headings())


def test_headings_between_tables_are_headings_though_the_page_has_no_other_text(sheets, headings):
    sheets.text(72, 60, "Estimate of repairs", size=18, font="bold")
    for k, title in enumerate(("Parts", "Labour")):
        sheets.text(72, 110 + 120 * k, title, size=14, font="bold")
        for n in range(4):
            y = 140 + 120 * k + 14 * n
            sheets.text(72, y, f"thing {'abcd'[n]}").text(250, y, f"{n + 2} pieces").text(400, y, f"{n + 3}.50")

    assert headings() == ["Parts", "Labour"]
