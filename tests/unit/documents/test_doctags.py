import pytest

from fastembed.documents.blocks import pieces_of
from fastembed.documents.doctags import page_of, problem
from fastembed.inference.engines.docling.engine import Written

PAGE = (
    "<doctag><section_header_level_1><loc_0><loc_0><loc_500><loc_250>wind power</section_header_level_1>\n"
    "<text>one of <b>many</b></text>\n<otsl><fcel>a<fcel>b<nl><fcel>c<fcel>d<nl></otsl>\n</doctag>"
)


@pytest.mark.parametrize(
    ("text", "ending", "expected"),
    [
        (PAGE, "end", ""),
        ("<doctag><picture><loc_0><loc_0><loc_500><loc_250></picture></doctag>", "end", ""),
        ("", "end", "it wrote nothing"),
        ("I cannot read this.", "end", "it wrote no DocTags"),
        ("<doctag></doctag>", "end", "it wrote no DocTags"),
        ("<doctag><text><loc_1><loc_2><loc_3><loc_4></text></doctag>", "end", "it wrote no words"),
        (PAGE, "loop", "its output repeated itself and was stopped after 99 tokens"),
        (PAGE, "length", "its output had no end after 99 tokens"),
        (PAGE, "garbled", "its numbers were not finite"),
    ],
)
def test_what_a_model_wrote_is_believed_only_if_it_is_a_page(text, ending, expected):
    assert problem(Written(text, 99, ending)) == expected


def test_doctags_become_blocks_with_their_page_and_boxes():
    page = page_of(PAGE, (200, 400), "note")
    assert [(piece.block.kind, piece.block.text, piece.block.page) for piece in pieces_of(page)] == [
        ("heading", "wind power", 1),
        ("paragraph", "one of many", None),
        ("table", "| a | b |\n| --- | --- |\n| c | d |", None),
    ]
    box = page.texts[0].prov[0].bbox
    assert (box.l, box.t, box.r, box.b) == (0, 0, 200, 200)
