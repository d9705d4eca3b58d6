import pytest
from docling_core.types.doc import DocItemLabel

from fastembed.documents.pdf.bidi import ligature, logical, stands_in_reading_order
from fastembed.documents.pdf.document import read_pdf

HEBREW = "הדוח השנתי של העירייה פורסם ביום שני"
ARABIC = "نشرت البلدية تقريرها السنوي الكبير"


def seen(text):
    """Return a text of one right-to-left script as it is seen, from left to right."""
    return text[::-1]


@pytest.fixture
def text(sheets, tmp_path):
    def read():
        return " ".join(item.text for item in read_pdf(sheets.save(tmp_path / "a.pdf")).texts)

    return read


def right_aligned(sheets, y, signs, *, size=10, right=540):
    sheets.seen(right - 0.5 * size * len(signs), y, signs, size=size)


@pytest.mark.parametrize(
    "line", [HEBREW, ARABIC, "گزارش سالانه شهرداری روز دوشنبه", "بلدیہ کی سالانہ رپورٹ پیر کو شائع"]
)
def test_a_line_of_letters_reads_from_right_to_left(sheets, text, line):
    right_aligned(sheets, 100, seen(line))

    assert text() == line


def test_marks_that_keep_the_parts_of_persian_words_apart_are_found(sheets, text):
    sheets.seen(500, 100, seen("روم به خانه"))
    sheets.pages[-1].append("/Span <</ActualText <FEFF200C>>> BDC BT /F0 10 Tf 1 0 0 1 555 742 Tm ( ) Tj ET EMC")
    sheets.seen(555, 100, seen("می"))

    assert text() == "می\u200cروم به خانه"


def test_numbers_and_latin_keep_their_direction(sheets, text):
    right_aligned(sheets, 100, seen(" לעומת שנת") + "12.5%-" + seen("התקציב גדל ב"))
    right_aligned(sheets, 115, seen(" בחנויות") + "iPhone 15" + seen("המכשיר "))

    assert text() == "התקציב גדל ב-12.5% לעומת שנת המכשיר iPhone 15 בחנויות"


def test_the_full_stop_at_the_left_ends_the_sentence(sheets, text):
    right_aligned(sheets, 100, "." + seen(HEBREW))

    assert text() == HEBREW + "."


def test_letters_that_a_file_draws_unturned_read_as_they_stand(sheets, text):
    right_aligned(sheets, 100, HEBREW + " (12) " + ARABIC)

    assert text() == HEBREW + " (12) " + ARABIC


def test_a_right_to_left_name_in_a_latin_line_is_turned_alone(sheets, text):
    sheets.seen(72, 100, "the city of " + seen("ירושלים הבירה") + " and its hills")

    assert text() == "the city of ירושלים הבירה and its hills"


def test_one_glyph_for_lam_and_alef_is_two_letters_in_order(sheets, text):
    right_aligned(sheets, 100, [*seen("م"), "لا", *seen("والس")])

    assert text() == "والسلام"


def test_right_to_left_columns_are_read_from_the_right(sheets, text):
    lines = [f"{HEBREW} {'אבגדהוזחטיכלמנסעפצקרש'[k]}" for k in range(20)]
    for k in range(20):
        right_aligned(sheets, 100 + 12 * k, seen(lines[k]), right=540)
        right_aligned(sheets, 100 + 12 * k, seen(lines[k] + "ב"), right=280)

    words = text()
    places = [words.index(line) for line in [line + " " for line in lines[:-1]] + [line + "ב" for line in lines]]
    assert places == sorted(places)


def test_a_right_to_left_paragraph_is_one_item(sheets, tmp_path):
    for k in range(4):
        right_aligned(sheets, 100 + 12 * k, seen(HEBREW))
    right_aligned(sheets, 148, "." + seen("סוף"))

    document = read_pdf(sheets.save(tmp_path / "a.pdf"))

    item = document.texts[0]
    assert len(document.texts) == 1
    assert item.label == DocItemLabel.TEXT
    assert item.text == " ".join([HEBREW] * 4) + " סוף."
    assert item.prov[0].bbox.r == pytest.approx(540, abs=2)


@pytest.mark.parametrize(
    ("visual", "expected"),
    [
        ("12.5% " + seen("רק"), "רק 12.5%"),
        ("31/12/2026 " + seen("עד"), "עד 31/12/2026"),
        ("(" + seen("במבצע") + ")", "(במבצע)"),
        (")" + seen("במבצע") + "(", "(במבצע)"),
        (seen("ב") + " OpenVINO " + seen("א"), "א OpenVINO ב"),
        ("%12.5 " + seen("بنسبة"), "بنسبة 12.5%"),
    ],
)
def test_a_right_to_left_line_in_logical_order(visual, expected):
    assert logical(visual, right_to_left=True) == expected


def test_final_letters_tell_how_a_file_was_drawn():
    assert stands_in_reading_order(["שלום", "לכם"])
    assert not stands_in_reading_order([seen("שלום"), seen("לכם")])
    assert not stands_in_reading_order(["plain", "words"])


def test_letters_of_one_glyph_come_in_reading_order():
    assert ligature("لا") == ligature("ال") == "لا"
