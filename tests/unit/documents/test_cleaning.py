import pytest
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.table.table_data import TableCell, TableData
from docling_core.types.doc.labels import DocItemLabel

from fastembed.documents.cleaning import clean, clean_document


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain Grüße 😀\n\tline", "plain Grüße 😀\n\tline"),
        ("a pair apart: \ud83d\ude00", "a pair apart: 😀"),
        ("half: \ud83d.", "half: \ufffd."),
        ("a\x00b\x0cc\x7f", "abc"),
    ],
)
def test_what_is_no_text_is_taken_out(text, expected):
    assert clean(text) == expected


def test_a_cleaned_document_can_be_written():
    document = DoclingDocument(name="a")
    document.add_text(DocItemLabel.TEXT, "half \udc00", orig="half \udc00")
    cell = TableCell(
        text="x\ud83d", start_row_offset_idx=0, end_row_offset_idx=1, start_col_offset_idx=0, end_col_offset_idx=1
    )
    document.add_table(TableData(num_rows=1, num_cols=1, table_cells=[cell]))
    clean_document(document)
    assert "half \ufffd" in document.model_dump_json()
