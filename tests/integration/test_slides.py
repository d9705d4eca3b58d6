"""PPTX: all that a deck holds is read, and what is not shown in a talk is marked."""

import zipfile

import pptx
import pytest
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from fastembed.documents.convert import open_converter
from tests.integration.test_word import diagram

BOX = (Inches(1), Inches(2), Inches(6), Inches(3))
RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


@pytest.fixture(scope="module")
def converter():
    return open_converter({})


@pytest.fixture
def read(converter, tmp_path):
    def read_(deck):
        path = deck if not hasattr(deck, "save") else tmp_path / "deck.pptx"
        if hasattr(deck, "save"):
            deck.save(path)
        return converter.convert(path, "deck.pptx")

    return read_


def titled(deck, title):
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = title
    return slide


def texts(found):
    return [(text, page) for _, text, page, *_ in found["blocks"]]


def changed(path, name, change, **more):
    """Change one part of a deck, and add others."""
    with zipfile.ZipFile(path) as deck:
        parts = {part: deck.read(part) for part in deck.namelist()}
    parts[name] = change(parts[name].decode()).encode()
    with zipfile.ZipFile(path, "w") as deck:
        for part, content in {**parts, **more}.items():
            deck.writestr(part, content)
    return path


def test_notes_belong_to_their_slides(read):
    deck = pptx.Presentation()
    titled(deck, "One").notes_slide.notes_text_frame.text = "Say thanks.\nThen begin."
    titled(deck, "Two")
    assert texts(read(deck)) == [("One", 1), ("Speaker notes: Say thanks.\nThen begin.", 1), ("Two", 2)]


def test_hidden_slides_are_kept_and_marked(read):
    deck = pptx.Presentation()
    titled(deck, "Shown")
    hidden = titled(deck, "Spare")
    hidden._element.set("show", "0")
    hidden.shapes.add_table(1, 2, *BOX).table.cell(0, 0).text = "kept"
    hidden.notes_slide.notes_text_frame.text = "if asked"
    untitled = deck.slides.add_slide(deck.slide_layouts[6])
    untitled._element.set("show", "false")
    untitled.shapes.add_textbox(*BOX).text_frame.text = "More"
    assert texts(read(deck)) == [
        ("Shown", 1),
        ("Spare (hidden slide)", 2),
        ("| kept |  |\n| --- | --- |", 2),
        ("Speaker notes: if asked", 2),
        ("(hidden slide)", 3),
        ("More", 3),
    ]


def test_charts_show_their_categories_series_and_values(read):
    deck = pptx.Presentation()
    data = CategoryChartData()
    data.categories = ["North", "South"]
    data.add_series("2025", (19.2, 21.4))
    data.add_series("2026", (20, 22.5))
    chart = titled(deck, "Sales").shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *BOX, data).chart
    chart.has_title = True
    chart.chart_title.text_frame.text = "Revenue"
    (_, *blocks) = texts(read(deck))
    assert ("Revenue", 1) in blocks
    assert blocks[-1][0] == "|  | 2025 | 2026 |\n| --- | --- | --- |\n| North | 19.2 | 20 |\n| South | 21.4 | 22.5 |"


def test_groups_within_groups_and_tables_are_read(read):
    deck = pptx.Presentation()
    slide = titled(deck, "Parts")
    outer = slide.shapes.add_group_shape()
    inner = outer.shapes.add_group_shape().shapes.add_group_shape()
    inner.shapes.add_textbox(*BOX).text_frame.text = "Deep"
    table = slide.shapes.add_table(3, 3, *BOX).table
    for place, text in enumerate(["Item", "Price", "", "Pump", "1", "2", "Total", "", "3"]):
        table.cell(place // 3, place % 3).text = text
    table.cell(0, 1).merge(table.cell(0, 2))
    table.cell(2, 0).merge(table.cell(2, 1))
    found = texts(read(deck))
    assert ("Deep", 1) in found
    assert found[-1][0].split("\n")[0] == "| Item | Price |  |"
    assert found[-1][0].split("\n")[-1] == "| Total |  | 3 |"


def test_smart_art_and_shapes_in_two_versions_are_read(read, tmp_path):
    deck = pptx.Presentation()
    titled(deck, "Steps").shapes.add_textbox(*BOX).text_frame.text = "Wrapped"
    deck.save(path := tmp_path / "deck.pptx")
    graphic = (
        '<p:graphicFrame xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram"><p:nvGraphicFramePr>'
        '<p:cNvPr id="9" name="d"/><p:cNvGraphicFramePr/><p:nvPr/></p:nvGraphicFramePr><p:xfrm><a:off x="0" y="0"/>'
        '<a:ext cx="9" cy="9"/></p:xfrm><a:graphic><a:graphicData '
        'uri="http://schemas.openxmlformats.org/drawingml/2006/diagram"><dgm:relIds r:dm="rIdD"/></a:graphicData>'
        "</a:graphic></p:graphicFrame>"
    )

    def slide(xml):
        start = xml.rindex("<p:sp>")
        end = xml.rindex("</p:sp>") + len("</p:sp>")
        both = (
            '<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
            f'<mc:Choice Requires="p14"/><mc:Fallback>{xml[start:end]}</mc:Fallback></mc:AlternateContent>'
        )
        return f"{xml[:start]}<!-- made by hand -->{both}{graphic}{xml[end:]}"

    changed(path, "ppt/slides/slide1.xml", slide)
    relation = f'<Relationship Id="rIdD" Type="{RELATION}/diagramData" Target="../diagrams/data1.xml"/></Relationships>'
    data = diagram(("1", "Plan", "0"), ("2", "Build", "0"), ("3", "Test", "2"))
    changed(
        path,
        "ppt/slides/_rels/slide1.xml.rels",
        lambda xml: xml.replace("</Relationships>", relation),
        **{"ppt/diagrams/data1.xml": data},
    )
    assert texts(read(path)) == [("Steps", 1), ("Wrapped", 1), ("Plan", 1), ("Build", 1), ("Test", 1)]


def test_comments_are_read(read, tmp_path):
    deck = pptx.Presentation()
    titled(deck, "One")
    deck.save(path := tmp_path / "deck.pptx")
    names = 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
    comment = (
        f'<p:cmLst {names}><p:cm authorId="0" idx="1"><p:pos x="1" y="1"/><p:text>Too long</p:text></p:cm></p:cmLst>'
    )
    relation = f'<Relationship Id="rIdC" Type="{RELATION}/comments" Target="../comments/comment1.xml"/></Relationships>'
    changed(
        path,
        "ppt/slides/_rels/slide1.xml.rels",
        lambda xml: xml.replace("</Relationships>", relation),
        **{"ppt/comments/comment1.xml": comment},
    )
    assert [text for text, _ in texts(read(path))] == ["One", "Too long"]
