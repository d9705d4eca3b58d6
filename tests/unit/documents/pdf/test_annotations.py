import pytest
from docling_core.types.doc import DocItemLabel

from fastembed.documents.pdf.document import read_pdf
from fastembed.documents.pdf.page import PdfFile

TICK = "/Subtype /Widget /FT /Btn /T (t{0}) /AP << /N << /Yes 1 0 R /Off 1 0 R >> >>"


@pytest.fixture
def texts(sheets, tmp_path):
    return lambda: [item.text for item in read_pdf(sheets.save(tmp_path / "a.pdf")).texts]


def field(sheets, y, name, entries, *, x=150, width=200, height=16):
    return sheets.annotate(x, y - 12, width, height, f"/Subtype /Widget /T ({name}) {entries}")


def test_the_value_of_a_field_stands_behind_its_label(sheets, texts):
    sheets.text(72, 100, "Surname").text(72, 140, "Town")
    field(sheets, 100, "s", "/FT /Tx /V (Millerson)")
    field(sheets, 140, "t", "/FT /Tx /V (Northbridge on Sea)")

    assert texts() == ["Surname Millerson", "Town Northbridge on Sea"]


def test_an_empty_field_says_nothing(sheets, texts):
    sheets.text(72, 100, "Surname")
    field(sheets, 100, "s", "/FT /Tx")

    assert texts() == ["Surname"]


@pytest.mark.parametrize(
    "entries",
    ["/FT /Tx /V (SECRETWORD) /Ff 8192", "/FT /Tx /V (SECRETWORD) /F 2", "/FT /Tx /V (SECRETWORD) /F 32"],
    ids=["password", "hidden", "not to be viewed"],
)
def test_passwords_and_hidden_fields_are_left_out(sheets, texts, entries):
    sheets.text(72, 100, "Code")
    field(sheets, 100, "s", entries)

    assert texts() == ["Code"]


def test_a_choice_is_shown_as_its_label(sheets, texts):
    sheets.text(72, 100, "Colour").text(72, 140, "Size")
    field(sheets, 100, "c", "/FT /Ch /Ff 131072 /Opt [[(R) (red)] [(B) (dark blue)]] /V (B)")
    field(sheets, 140, "d", "/FT /Ch /Opt [(small) (large)] /V (large)")

    assert texts() == ["Colour dark blue", "Size large"]


def test_ticks_stand_at_their_place(sheets, texts):
    for k, (label, state) in enumerate((("I agree", "Yes"), ("Send news", "Off"))):
        sheets.text(96, 100 + 40 * k, label)
        sheets.annotate(72, 88 + 40 * k, 16, 16, f"{TICK.format(k)} /V /{state} /AS /{state}")

    assert texts() == ["[x] I agree", "[ ] Send news"]


def test_a_field_of_several_lines_keeps_them_all(sheets, texts):
    sheets.text(72, 100, "Remarks")
    field(sheets, 100, "r", "/FT /Tx /Ff 4096 /V (First of them\\rand the second)", height=60)

    words = " ".join(texts())
    assert "Remarks First of them" in words
    assert "and the second" in words


def test_fields_in_the_cells_of_a_ruled_table_are_cells(sheets, tmp_path):
    for y in (90, 110, 130, 150):
        sheets.rule(72, y, 400, y)
    for x in (72, 140, 400):
        sheets.rule(x, 90, x, 150)
    for k, label in enumerate(("Name", "Street", "Town")):
        sheets.text(76, 104 + 20 * k, label)
        field(sheets, 104 + 20 * k, f"f{k}", f"/FT /Tx /V (value {k})")

    (table,) = read_pdf(sheets.save(tmp_path / "a.pdf")).tables

    assert [[c.text for c in row] for row in table.data.grid] == [
        ["Name", "value 0"],
        ["Street", "value 1"],
        ["Town", "value 2"],
    ]


def test_a_note_follows_what_it_is_attached_to(sheets, prose, tmp_path):
    sheets.lines(72, 100, prose)
    sheets.lines(72, 300, prose[1:])
    sheets.annotate(300, 110, 20, 20, "/Subtype /Text /T (Anna) /Contents (Ask the council first)")

    document = read_pdf(sheets.save(tmp_path / "a.pdf"))

    assert [item.label for item in document.texts] == [DocItemLabel.TEXT, DocItemLabel.FOOTNOTE, DocItemLabel.TEXT]
    assert document.texts[1].text == "Anna: Ask the council first"


def test_what_is_written_upon_a_page_is_part_of_it(sheets, texts):
    sheets.text(72, 100, "Received on")
    sheets.annotate(150, 88, 120, 16, "/Subtype /FreeText /Contents (12 May 2026)")

    assert texts() == ["Received on 12 May 2026"]


def test_a_hidden_note_and_a_link_say_nothing(sheets, texts):
    sheets.text(72, 100, "Received")
    sheets.annotate(150, 88, 20, 16, "/Subtype /Text /F 2 /Contents (nothing to see)")
    sheets.annotate(72, 88, 20, 16, "/Subtype /Link /Contents (a link)")

    assert texts() == ["Received"]


def test_the_pixels_of_a_form_do_not_show_its_fields(sheets, tmp_path):
    sheets.text(72, 100, "Code")
    look = "/MK << /BG [0 0 0] >> /DA (/Helv 12 Tf 0 g)"
    field(sheets, 100, "s", f"/FT /Tx /V (SECRETWORD) /Ff 8192 {look}")

    with PdfFile(sheets.save(tmp_path / "a.pdf")) as file:
        pixels = file.pixels(1, 1.0)

    assert pixels[85:110, 140:360].min() == 255
