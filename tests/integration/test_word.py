"""DOCX: what Word shows is read, what it does not show is not."""

import docx
import pytest
from PIL import Image, ImageDraw, ImageFont

from fastembed.documents.convert import open_converter
from tests.integration.word_files import cell, make, p, r, row, sdt, table

TRACKED = 'w:id="1" w:author="x"'
DIAGRAM = """<dgm:dataModel xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram"
 xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><dgm:ptLst><dgm:pt modelId="0" type="doc"/>{points}
<dgm:pt modelId="9" type="pres"><dgm:t><a:p><a:r><a:t>ASPRESENTED</a:t></a:r></a:p></dgm:t></dgm:pt></dgm:ptLst>
<dgm:cxnLst>{links}</dgm:cxnLst></dgm:dataModel>"""


@pytest.fixture(scope="module")
def converter():
    return open_converter({})


@pytest.fixture
def read(converter, tmp_path):
    def read_(*body, **options):
        path = make(tmp_path / "letter.docx", *body, **options)
        return converter.convert(path, "letter.docx")

    return read_


HIDE = "<w:vanish/>"
BIG = "<w:sz w:val='big'/>"
SHOW = "<w:vanish w:val='0'/>"
GHOST = "<w:rStyle w:val='Ghost'/>"
ARROW_AND_TICK = "go \uf0e0 \uf0fc"
WINGDINGS = "<w:rFonts w:ascii='Wingdings' w:hAnsi='Wingdings'/>"


def tick(on):
    return f"<w14:checkbox><w14:checked w14:val='{on}'/></w14:checkbox>"


def field(data):
    return f'<w:r><w:fldChar w:fldCharType="begin"><w:ffData>{data}</w:ffData></w:fldChar></w:r>'


def moved_to(text):
    return f"<w:p><w:moveTo {TRACKED}>{r(text)}</w:moveTo></w:p>"


def lines(document):
    return document["markdown"].rstrip("\n").split("\n\n")


def diagram(*nodes):
    """SmartArt's data: (id, text, parent) of each node, parents need not come first."""
    points = "".join(
        f'<dgm:pt modelId="{name}"><dgm:t><a:p><a:r><a:t>{text}</a:t></a:r></a:p></dgm:t></dgm:pt>'
        for name, text, _ in nodes
    )
    links = "".join(
        f'<dgm:cxn modelId="c{name}" srcId="{parent}" destId="{name}" srcOrd="{place}"/>'
        for place, (name, _, parent) in enumerate(nodes)
    )
    return DIAGRAM.format(points=points, links=links)


@pytest.mark.parametrize("remark", ["<!-- made by a generator -->", "<?mso-application progid='Word'?>"])
@pytest.mark.parametrize("strict", [False, True])
def test_xml_comments_and_instructions_mean_nothing(read, remark, strict):
    inside = f"<w:p>{remark}<w:r><w:t>The {remark}pump</w:t>{remark}</w:r></w:p>"
    found = read(remark, inside, table(remark, row("a", cell(remark, p("b")))), remark, strict=strict)
    assert lines(found) == ["The pump", "| a | b |\n| --- | --- |"]
    notes = f'{remark}<w:footnote w:id="2">{remark}{p("In cash.")}</w:footnote>'
    found = read(f'<w:p>{r("Rent")}<w:r><w:footnoteReference w:id="2"/></w:r></w:p>', parts={"footnotes": notes})
    assert lines(found) == ["Rent[^1]", "[^1]: In cash."]


def test_notes_are_numbered_as_they_are_referred_to_and_stand_behind_their_paragraphs(read):
    parts = {
        "footnotes": f'<w:footnote w:type="separator" w:id="-1">{p("LINE")}</w:footnote>'
        f'<w:footnote w:id="5">{p("Later note.")}</w:footnote>'
        f'<w:footnote w:id="7"><w:p><w:r><w:footnoteRef/></w:r>{r("First ")}{r("note", "<w:i/>")}'
        f"{r('SECRET', '<w:vanish/>')}</w:p>{p('goes on.')}</w:footnote>"
        f'<w:footnote w:id="8">{p("Never used")}</w:footnote>',
        "endnotes": f'<w:endnote w:id="2">{p("At the end.")}</w:endnote>',
        "comments": f'<w:comment w:id="0" w:author="Ann Lee">{p("Is this right?")}</w:comment>',
    }
    found = read(
        f'<w:p>{r("One")}<w:r><w:footnoteReference w:id="7"/></w:r>{r(" two")}'
        '<w:r><w:endnoteReference w:id="2"/></w:r></w:p>',
        table(row("k", cell(f'<w:p>{r("v")}<w:r><w:footnoteReference w:id="5"/></w:r></w:p>'))),
        f'<w:p><w:commentRangeStart w:id="0"/>{r("Price")}<w:commentRangeEnd w:id="0"/>'
        f'<w:r><w:commentReference w:id="0"/></w:r>{r(" 5")}</w:p>',
        parts=parts,
    )
    assert lines(found) == [
        "One[^1] two[^i]",
        "[^1]: First note goes on.",
        "[^i]: At the end.",
        "| k | v[^2] |\n| --- | --- |",
        "[^2]: Later note.",
        "Price[^c1] 5",
        "[^c1]: Ann Lee: Is this right?",
    ]
    assert [block[0] for block in found["blocks"]].count("footnote") == 4


def test_content_controls_lose_nothing_at_any_level(read):
    rows = sdt(sdt(row("inner", sdt(cell(sdt(p("cell"))))) + row("second", "row")))
    found = read(
        sdt(p("Block") + sdt(p("Block within"))),
        f"<w:p>{r('To ')}{sdt(r('Mr ') + sdt(r('Miller')))}{r('.')}</w:p>",
        table(row("a", "b"), rows, f"<w:customXml><w:customXmlPr/>{row('custom', 'xml')}</w:customXml>"),
        sdt(table(row("x", "y"), row("1", "2"))),
        f'<w:p><w:smartTag>{r("Smart")}</w:smartTag><w:fldSimple w:instr=" REF x ">{r(" field")}</w:fldSimple></w:p>',
        sdt(p("Click here to enter text."), "<w:showingPlcHdr/>"),
        f"<w:p>{sdt(r('☒'), tick(1))}{r(' agreed')}</w:p>",
        f"<w:p>{sdt(r('☐'), tick(0))}{r(' refused')}</w:p>",
    )
    assert lines(found) == [
        "Block",
        "Block within",
        "To Mr Miller.",
        "| a | b |\n| --- | --- |\n| inner | cell |\n| second | row |\n| custom | xml |",
        "| x | y |\n| --- | --- |\n| 1 | 2 |",
        "Smart field",
        "[x] agreed",
        "[ ] refused",
    ]


def test_form_fields_show_their_ticks_and_choices(read):
    unchecked = "<w:default w:val='0'/>"
    choices = "<w:ddList><w:result w:val='1'/><w:listEntry w:val='red'/><w:listEntry w:val='blue'/></w:ddList>"
    found = read(
        f"<w:p>{field('<w:checkBox>' + unchecked + '<w:checked/></w:checkBox>')}{r(' paid')}</w:p>",
        f"<w:p>{field('<w:checkBox>' + unchecked + '</w:checkBox>')}{r(' open')}</w:p>",
        f"<w:p>{r('Colour: ')}{field(choices)}</w:p>",
    )
    assert lines(found) == ["[x] paid", "[ ] open", "Colour: blue"]


def test_tracked_changes_are_read_as_if_accepted(read):
    gone = f"<w:del {TRACKED}><w:r><w:delText>GONE</w:delText></w:r></w:del>"
    away = f'<w:moveFromRangeStart w:id="3" w:name="m"/><w:moveFrom {TRACKED}>{r("AWAY")}</w:moveFrom>'
    found = read(
        f"<w:p>{r('Price ')}{gone}<w:ins {TRACKED}>{r('five')}</w:ins>{r(' euros')}</w:p>",
        f"<w:p>{away}</w:p>",
        f"<w:p><w:moveTo {TRACKED}>{r('Moved here')}</w:moveTo></w:p>",
        f"<w:p><w:pPr><w:rPr><w:del {TRACKED}/></w:rPr></w:pPr>{r('Joined ')}</w:p>",
        p("with this"),
        f"<w:p><w:pPr><w:rPr><w:moveFrom {TRACKED}/></w:rPr></w:pPr>{away}</w:p>",
        table(
            row("a", cell(f"<w:p><w:ins {TRACKED}>{r('new')}</w:ins>{gone}</w:p>")),
            f"<w:tr><w:trPr><w:del {TRACKED}/></w:trPr>{cell(p('ROWGONE'))}{cell(p('x'))}</w:tr>",
            f"<w:tr><w:trPr><w:ins {TRACKED}/></w:trPr>{cell(p('row'))}{cell(moved_to('moved'))}</w:tr>",
            f"<w:tr>{cell(p('k'))}<w:tc><w:tcPr><w:cellDel {TRACKED}/></w:tcPr>{p('CELLGONE')}</w:tc></w:tr>",
        ),
        table(f"<w:tr><w:trPr><w:del {TRACKED}/></w:trPr>{cell(p('TABLEGONE'))}</w:tr>", columns=1),
        f"<w:ins {TRACKED}>{p('Inserted block')}</w:ins>",
    )
    assert lines(found) == [
        "Price five euros",
        "Moved here",
        "Joined with this",
        "| a | new |\n| --- | --- |\n| row | moved |\n| k |  |",
        "Inserted block",
    ]


def test_hidden_text_is_left_out_unless_it_is_shown_again(read):
    found = read(
        f"<w:p>{r('Shown ')}{r('HIDDEN', HIDE)}{r('again', SHOW)}</w:p>",
        p("HIDDEN", '<w:pStyle w:val="Secret"/>'),
        f"<w:p>{r('HIDDEN', GHOST)}{r('Visible')}</w:p>",
        table(
            row("a", cell(p("HIDDEN", run="<w:vanish/>"))),
            f"<w:tr><w:trPr><w:hidden/></w:trPr>{cell(p('HIDDEN'))}</w:tr>",
        ),
        p("Page in the contents", run="<w:webHidden/>"),
    )
    assert lines(found) == ["Shown again", "Visible", "| a |  |\n| --- | --- |", "Page in the contents"]


def test_symbols_are_characters(read):
    def symbol(font, code):
        return f'<w:r><w:sym w:font="{font}" w:char="{code}"/></w:r>'

    found = read(
        f"<w:p>{symbol('Wingdings', 'F0FE')}{r(' yes ')}{symbol('Wingdings', 'F0A8')}{r(' no')}</w:p>",
        f"<w:p>{r('angle ')}{symbol('Symbol', 'F061')}{symbol('Symbol', 'F0B0')}{symbol('Symbol', '00B3')}</w:p>",
        f"<w:p>{r(ARROW_AND_TICK, WINGDINGS)}</w:p>",
        f"<w:p>{symbol('Arial', '2192')}{r('non')}<w:r><w:noBreakHyphen/></w:r>{r('stop')}</w:p>",
        f"<w:p>{symbol('Nobody Knows', 'F041')}</w:p>",
    )
    assert lines(found) == ["☑ yes ◻ no", "angle α°≥", "go → ✓", "→non-stop", "\N{REPLACEMENT CHARACTER}"]


def test_phonetic_guides_leave_their_words_in_place(read):
    ruby = f"<w:ruby><w:rt>{r('とう')}</w:rt><w:rubyBase>{r('東')}</w:rubyBase></w:ruby>"
    assert lines(read(f"<w:p><w:r>{ruby}</w:r>{r('京')}</w:p>")) == ["東京"]


def test_text_boxes_are_read_once_behind_their_paragraph(read):
    def box(content):
        inside = f"<w:txbxContent>{content}</w:txbxContent>"
        shape = f"<w:drawing><a:graphic><wps:wsp><wps:txbx>{inside}</wps:txbx></wps:wsp></a:graphic></w:drawing>"
        old = f"<w:pict><v:shape><v:textbox>{inside}</v:textbox></v:shape></w:pict>"
        choices = f'<mc:Choice Requires="wps">{shape}</mc:Choice><mc:Fallback>{old}</mc:Fallback>'
        return f"<w:r><mc:AlternateContent>{choices}</mc:AlternateContent></w:r>"

    inner = f"<w:p>{r('Box')}{box(p('Inner box'))}</w:p>"
    found = read(
        f"<w:p>{r('Anchor')}{box(inner + table(row('a', 'b'), row('1', '2')))}</w:p>",
        table(row("k", cell(f"<w:p>{r('cell')}{box(p('in cell'))}</w:p>"))),
        p("After"),
    )
    assert lines(found) == [
        "Anchor",
        "Box",
        "Inner box",
        "| a | b |\n| --- | --- |\n| 1 | 2 |",
        "| k | cell in cell |\n| --- | --- |",
        "After",
    ]


def test_headers_and_footers_are_read_once_without_page_numbers(read):
    def section(kind, name, tag="header"):
        return f'<w:{tag}Reference w:type="{kind}" r:id="r_{name}"/>'

    number = '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText> PAGE </w:instrText></w:r>'
    parts = {
        "header1": p("Acme Ltd") + table(row("Tel", "555")),
        "header2": p("ACME first") + p("Acme Ltd"),
        "header3": p("EVENONLY"),
        "footer1": f"<w:p>{r('Page ')}{number}{r('3 of 12')}</w:p>" + sdt(p("Confidential")),
    }
    again = section("default", "header1") + section("default", "footer1", "footer")
    first = again + section("first", "header2") + section("even", "header3") + "<w:titlePg/>"
    found = read(
        p("Body one"), f"<w:p><w:pPr><w:sectPr>{first}</w:sectPr></w:pPr>{r('Body two')}</w:p>",
        p("Body three"), f"<w:sectPr>{again}</w:sectPr>", parts=parts,
    )  # fmt: skip
    assert lines(found) == [
        "Acme Ltd",
        "| Tel | 555 |\n| --- | --- |",
        "ACME first",
        "Body one",
        "Body two",
        "Body three",
        "Confidential",
    ]
    settings = {**parts, "settings": "<w:evenAndOddHeaders/>"}
    assert "EVENONLY" in read(p("Body"), f"<w:sectPr>{first}</w:sectPr>", parts=settings)["markdown"]


def test_headings_are_told_by_their_look_where_no_style_says_so(read):
    prose = p("The site was visited in June, and again in July, by the same two engineers. " * 3)
    found = read(
        p("Site report", run='<w:b/><w:sz w:val="36"/>'),
        p("1. Introduction", run='<w:b/><w:sz w:val="28"/>'),
        prose,
        p("Damage", '<w:pStyle w:val="Lead"/>'),
        prose,
        p("North wall", run="<w:b/>"),
        prose,
        p("Outlined", '<w:outlineLvl w:val="1"/>'),
        p("Please note:", run="<w:b/>"),
        prose,
        p("This whole sentence is bold because it matters.", run="<w:b/>"),
        prose,
        f"<w:p>{r('Name:', '<w:b/>')}<w:r><w:tab/></w:r>{r('Miller', '<w:b/>')}</w:p>",
        f"<w:p>{r('Bold', '<w:b/>')}{r(' start of a line')}</w:p>",
    )
    headings = {text: level for kind, text, _, level, *_ in found["blocks"] if kind == "heading"}
    assert headings == {"Site report": 1, "Damage": 2, "1. Introduction": 3, "North wall": 4, "Outlined": 2}


def test_headings_by_look_stand_below_those_with_a_style(read):
    prose = p("The site was visited in June, and again in July, by the same two engineers. " * 3)
    found = read(p("Report", '<w:pStyle w:val="Heading1"/>'), p("Roof", run="<w:b/>"), prose)
    assert [(block[1], block[3]) for block in found["blocks"][:2]] == [("Report", 1), ("Roof", 2)]


def test_bold_text_throughout_and_crowds_of_large_lines_are_no_headings(read):
    bold = [p("All of this notice is set bold", run="<w:b/>") for _ in range(6)]
    large = [p(f"Poster line {number}", run='<w:sz w:val="60"/>') for number in range(6)]
    prose = p("Ordinary words that go on for a while, as words do in a letter. " * 6)
    assert {block[0] for block in read(*bold, prose)["blocks"]} == {"paragraph"}
    assert {block[0] for block in read(*large, prose)["blocks"]} == {"paragraph"}


def test_smart_art_is_read_in_the_order_of_its_hierarchy(read):
    data = diagram(("3", "Ship", "0"), ("2", "Measure", "1"), ("1", "Plan", "0"))
    graphic = '<a:graphic><a:graphicData><dgm:relIds r:dm="r_data1"/></a:graphicData></a:graphic>'
    drawing = f"<w:r><w:drawing>{graphic}</w:drawing></w:r>"
    found = read(f"<w:p>{r('Steps')}{drawing}</w:p>", p("End"), parts={"data1": data})
    assert lines(found) == ["Steps", "Ship", "Plan", "Measure", "End"]
    assert found["warnings"] == []


def _with_pictures(path, *images):
    made = docx.Document()
    made.add_paragraph("Receipts below.")
    for number, image in enumerate(images):
        image.save(path.with_name(f"{number}.png"))
        made.add_picture(str(path.with_name(f"{number}.png")))
    made.save(path)
    return path


def _receipt(text="Paid 4711 euros in cash"):
    image = Image.new("L", (900, 300), 255)
    ImageDraw.Draw(image).text((40, 100), text, font=ImageFont.load_default(48), fill=0)
    return image


def test_words_in_pasted_pictures_are_read_each_picture_once(converter, tmp_path):
    icon = Image.new("L", (16, 16), 0)
    path = _with_pictures(tmp_path / "scan.docx", _receipt(), icon, _receipt(), _receipt("Turned slip").rotate(180))
    found = converter.convert(path, "scan.docx")
    figures = [text for kind, text, *_ in found["blocks"] if kind == "figure"]
    assert figures == ["Paid 4711 euros in cash", "Paid 4711 euros in cash", "Turned slip"]
    assert (found["parser"], found["ocr_pages"]) == ("docx+ocr", 2)


def test_pictures_that_are_not_read_are_told(tmp_path):
    path = _with_pictures(tmp_path / "scan.docx", _receipt(), _receipt("Other"))
    found = open_converter({"ocr": "never"}).convert(path, "scan.docx")
    assert found["warnings"] == ["found 2 pictures and OCR is off (`ocr: never`): their words were not read"]


def test_attributes_that_say_nonsense_refuse_nothing(read):
    choices = "<w:ddList><w:result w:val='many'/><w:listEntry w:val='red'/></w:ddList>"
    data = diagram(("1", "Plan", "0"), ("2", "Build", "0")).replace('srcOrd="1"', 'srcOrd="last"')
    graphic = '<a:graphic><a:graphicData><dgm:relIds r:dm="r_data1"/></a:graphicData></a:graphic>'
    found = read(
        f'<w:p><w:r><w:sym w:font="Symbol" w:char="alpha"/></w:r>{r("after")}</w:p>',
        f"<w:p>{r('Colour: ')}{field(choices)}</w:p>",
        f"<w:p>{r('Steps')}<w:r><w:drawing>{graphic}</w:drawing></w:r></w:p>",
        f'<w:p>{r("Sized", BIG)}<w:r><w:footnoteReference w:id="77"/></w:r></w:p>',
        parts={"data1": data},
    )
    assert lines(found) == ["after", "Colour: red", "Steps", "Plan", "Build", "Sized"]
