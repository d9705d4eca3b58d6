from base64 import b64encode
from pathlib import Path

import orjson
import pytest

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.document import Document, File
from fastembed.server.endpoints.document_processing import ProcessingRequest, decode, encode
from tests.unit.server.strict import strict

FILE = File(Path("/x/document.pdf"), "document.pdf", "0" * 64, 4, 0)
CELLS = [
    {
        "start_row_offset_idx": 0,
        "end_row_offset_idx": 1,
        "start_col_offset_idx": 0,
        "end_col_offset_idx": 2,
        "text": "a",
    },
    {
        "start_row_offset_idx": 1,
        "end_row_offset_idx": 2,
        "start_col_offset_idx": 1,
        "end_col_offset_idx": 2,
        "text": "b",
    },
]
STRUCTURE = {
    "texts": [
        {"label": "formula", "text": "E = mc^2", "prov": [{"page_no": 2}]},
        {"label": "caption", "text": "Figure 1: a bridge", "prov": [{"page_no": 3}]},
    ],
    "tables": [{"prov": [{"page_no": 1}], "data": {"num_rows": 2, "num_cols": 2, "table_cells": CELLS}}],
    "pictures": [{"captions": [{"$ref": "#/texts/1"}], "prov": [{"page_no": 3}]}, {"captions": [], "prov": []}],
}


def body(**fields):
    content = b64encode(b"%PDF-1.7").decode()
    return {"document": {"type": "pdf", "source": "base64", "content": content, **fields.pop("document", {})}, **fields}


def answered(asked, **fields):
    document = Document(FILE, "T", "# T\n", orjson.dumps(STRUCTURE).decode(), (), 3, "pdf", **fields)
    return orjson.loads(encode(document, asked, "req_1", 0.0))


def test_all_parts_as_markdown_by_no_model_are_the_default():
    assert decode(strict(body())) == ProcessingRequest(
        "pdf", "base64", "JVBERi0xLjc=", "auto", "markdown", frozenset({"text", "tables", "images", "formulas"})
    )


def test_a_url_is_taken_for_what_is_fetched():
    asked = decode(strict(body(document={"source": "url", "content": "https://example.org/a.pdf"})))
    assert (asked.source, asked.content) == ("url", "https://example.org/a.pdf")


def test_an_upload_is_named_by_its_id():
    asked = decode(strict({"document": {"type": "pdf", "source": "upload_id", "upload_id": "file-1"}}))
    assert (asked.source, asked.content) == ("upload_id", "file-1")


def test_parts_can_be_left_out():
    options = {"extract_tables": False, "extract_images": False, "output_format": "json"}
    asked = decode(strict(body(processing_options=options, model="docling-pocket")))
    assert (asked.parts, asked.output, asked.model) == (frozenset({"text", "formulas"}), "json", "docling-pocket")
    assert {"tables", "images"}.isdisjoint(answered(asked))


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"document": {"type": "exe"}}, "document.type", "found 'exe', expected one of pdf, image, docx"),
        ({"document": {"type": None}}, "document.type", "found no type, expected one of pdf"),
        ({"document": {"source": "url", "content": None}}, "document.content", "found no content, expected an http"),
        (
            {"document": {"source": "upload_id"}},
            "document.upload_id",
            "found no upload_id, expected the id of an uploaded file",
        ),
        (
            {"document": {"source": "upload_id", "upload_id": "file-1"}},
            "document.content",
            "found the unknown field 'content'",
        ),
        ({"document": {"source": "disk"}}, "document.source", "found 'disk', expected one of base64, url, upload_id"),
        ({"document": {"content": ""}}, "document.content", "found an empty string, expected base64 of a file"),
        ({"processing_options": {"output_format": "pdf"}}, "processing_options.output_format", "found 'pdf', expected"),
        ({"processing_options": {"extract_text": 1}}, "processing_options.extract_text", "expected true or false"),
        ({"processing_options": {"extract_txt": 1}}, "processing_options.extract_txt", "did you mean extract_text"),
        ({"document": {"nam": "x"}}, "document.nam", "found the unknown field 'nam'; did you mean name"),
        ({"model": 5}, "model", "found 5, expected a string"),
    ],
)
def test_what_is_wrong_is_named(fields, param, message):
    with pytest.raises(InvalidInput, match=message) as refused:
        decode(strict(body(**fields)))
    assert refused.value.param == param


def test_the_answer_holds_the_document_its_tables_pictures_and_formulas():
    found = answered(decode(strict(body())), model="docling-pocket", unread=(2,), warnings=("page 2: read without it",))
    assert found["model"] == "docling-pocket"
    assert found["content"] == "# T\n"
    assert found["page_count"] == 3
    assert found["tables"] == [{"page": 1, "rows": [["a", "a"], ["", "b"]]}]
    assert found["images"] == {
        "count": 2,
        "items": [{"page": 3, "caption": "Figure 1: a bridge"}, {"page": None, "caption": ""}],
    }
    assert found["formulas"] == [{"page": 2, "text": "E = mc^2"}]
    assert (found["pages_without_model"], found["warnings"]) == ([2], ["page 2: read without it"])


def test_a_document_that_no_model_read_says_so():
    assert answered(decode(strict(body())))["model"] == "model-free"


def test_the_content_comes_in_the_format_that_was_asked_for():
    as_json = answered(decode(strict(body(processing_options={"output_format": "json"}))))
    as_html = answered(decode(strict(body(processing_options={"output_format": "html"}))), html="<h1>T</h1>")
    assert as_json["content"] == STRUCTURE
    assert as_html["content"] == "<h1>T</h1>"
