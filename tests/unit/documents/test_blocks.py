import pytest
from docling_core.types.doc.base import BoundingBox, CoordOrigin, Size
from docling_core.types.doc.common.content_layer import ContentLayer
from docling_core.types.doc.common.formatting import Formatting
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.node import ProvenanceItem
from docling_core.types.doc.items.table.table_data import RichTableCell, TableCell, TableData
from docling_core.types.doc.labels import CodeLanguageLabel, DocItemLabel, GroupLabel

from fastembed.documents.blocks import markdown, pieces_of, title_of


@pytest.fixture
def made():
    document = DoclingDocument(name="a")
    document.add_page(page_no=1, size=Size(width=100, height=100))
    document.add_page(page_no=2, size=Size(width=100, height=100))
    return document


def at(page):
    return ProvenanceItem(
        page_no=page, bbox=BoundingBox(l=0, t=0, r=1, b=1, coord_origin=CoordOrigin.TOPLEFT), charspan=(0, 1)
    )


def grid(*rows, header=1):
    cells = [
        TableCell(
            text=text,
            start_row_offset_idx=r,
            end_row_offset_idx=r + 1,
            start_col_offset_idx=c,
            end_col_offset_idx=c + 1,
            column_header=r < header,
        )
        for r, row in enumerate(rows)
        for c, text in enumerate(row)
    ]
    return TableData(num_rows=len(rows), num_cols=len(rows[0]), table_cells=cells)


def shown(document):
    return [(p.block.kind, p.block.text) for p in pieces_of(document)]


def test_furniture_is_left_out(made):
    made.add_text(DocItemLabel.PAGE_HEADER, "Confidential", content_layer=ContentLayer.FURNITURE)
    made.add_text(DocItemLabel.PAGE_FOOTER, "Page 1")
    made.add_text(DocItemLabel.TEXT, "Words.")
    assert shown(made) == [("paragraph", "Words.")]


def test_headings_have_levels_and_pages(made):
    made.add_title("Report", prov=at(1))
    made.add_heading("One", level=2, prov=at(2))
    blocks = [p.block for p in pieces_of(made)]
    assert [(b.kind, b.level, b.page) for b in blocks] == [("title", 0, 1), ("heading", 2, 2)]
    assert markdown(pieces_of(made)) == "# Report\n\n### One\n"


def test_a_second_title_is_a_heading(made):
    made.add_title("Deck")
    made.add_title("Slide two")
    assert [p.block.kind for p in pieces_of(made)] == ["title", "heading"]


def test_a_tables_caption_comes_before_it_and_only_once(made):
    caption = made.add_text(DocItemLabel.CAPTION, "Table 1: Sales")
    made.add_table(grid(["a", "b"], ["1", "x | y"]), caption=caption)
    assert shown(made) == [("caption", "Table 1: Sales"), ("table", "| a | b |\n| --- | --- |\n| 1 | x \\| y |")]


def test_two_header_rows_become_one_and_merged_cells_are_repeated(made):
    data = grid(["Group", "Rate", "Rate"], ["Group", "in", "out"], ["A", "1", "2"], header=2)
    made.add_table(data)
    assert shown(made)[0][1].split("\n")[0] == "| Group | Rate / in | Rate / out |"


def test_a_figure_is_its_caption_and_the_words_inside(made):
    caption = made.add_text(DocItemLabel.CAPTION, "Figure 1: Flow")
    picture = made.add_picture(caption=caption)
    made.add_text(DocItemLabel.TEXT, "start", parent=picture)
    made.add_text(DocItemLabel.TEXT, "end", parent=picture)
    assert shown(made) == [("figure", "Figure 1: Flow\nstart\nend")]


def test_a_figure_without_words_is_left_out(made):
    made.add_picture()
    assert shown(made) == []


def test_the_pieces_of_a_paragraph_are_joined(made):
    inline = made.add_inline_group()
    made.add_text(DocItemLabel.TEXT, "See", parent=inline)
    made.add_text(DocItemLabel.TEXT, "the page", parent=inline, hyperlink="https://example.com/x")
    made.add_text(DocItemLabel.TEXT, ", or", parent=inline)
    made.add_text(DocItemLabel.TEXT, "all", parent=inline, formatting=Formatting(bold=True))
    made.add_formula("x^2", parent=inline)
    made.add_text(DocItemLabel.TEXT, ".", parent=inline)
    assert shown(made) == [("paragraph", "See the page, or all $x^2$.")]
    assert markdown(pieces_of(made)) == "See [the page](https://example.com/x), or **all** $x^2$.\n"


def test_lists_keep_their_numbers_and_depth(made):
    outer = made.add_list_group()
    first = made.add_list_item("one", enumerated=True, parent=outer)
    inner = made.add_list_group(parent=first)
    made.add_list_item("deep", parent=inner)
    made.add_list_item("two", enumerated=True, parent=outer)
    assert markdown(pieces_of(made)) == "1. one\n    - deep\n2. two\n"


def test_code_and_formulas_are_fenced(made):
    made.add_code("print(1)\nprint(2)\n", code_language=CodeLanguageLabel.PYTHON)
    made.add_formula("E = mc^2")
    assert shown(made) == [("code", "```python\nprint(1)\nprint(2)\n```"), ("formula", "$$E = mc^2$$")]


def test_a_sheet_is_a_heading(made):
    sheet = made.add_group(label=GroupLabel.SHEET, name="Sales")
    made.add_table(grid(["a"], ["1"]), prov=at(2), parent=sheet)
    assert shown(made)[0] == ("heading", "Sales")
    assert pieces_of(made)[0].block.page == 2


def test_the_title_falls_back_to_the_first_heading_then_to_the_name(made):
    assert title_of(pieces_of(made), "file") == "file"
    made.add_heading("First")
    assert title_of(pieces_of(made), "file") == "First"
    made.add_title("Real title")
    assert title_of(pieces_of(made), "file") == "Real title"


def test_a_table_within_a_cell_gives_its_words(made):
    outer = made.add_table(grid(["a"], ["b"]))
    group = made.add_group(parent=outer)
    made.add_text(DocItemLabel.TEXT, "before", parent=group)
    made.add_table(grid(["x", "y"], ["1", "2"]), parent=group)
    rich = RichTableCell(**outer.data.table_cells[1].model_dump(), ref=group.get_ref())
    outer.data.table_cells[1] = rich
    assert shown(made) == [("table", "| a |\n| --- |\n| before x, y; 1, 2 |")]
