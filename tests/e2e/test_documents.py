"""Documents over HTTP, through the real process: by rules, and by the document model that ships."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.sync.client import connect

from fastembed import FastEmbedClient
from tests.e2e.serving import Serving, serving
from training.docling_pages import Block, draw

PIPELINES = """
version: 1
pipelines:
  documents:
    source: {http: POST /v1/documents/process, queue: 16, overflow: reject}
    operators: [{parse: {ahead: false}}]
    sink: reply
"""
MARKDOWN = b"# Wind\n\nMore of it.\n\n| month | price |\n| --- | --- |\n| first | 47 |\n"
PAGE = [
    Block("section_header_level_1", (("garden", "summary"),), 1),
    Block("otsl", (("year", "price"), ("first", "68")), 4),
]


class Shelf(BaseHTTPRequestHandler):
    """Another server, which has the one document."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(MARKDOWN)))
        self.end_headers()
        self.wfile.write(MARKDOWN)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def shelf() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Shelf) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, shelf: str) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("documents")
    (folder / "pipelines.yaml").write_text(PIPELINES)
    with serving(folder, "--allow-url", shelf, "--unknown-fields", "reject") as running:
        yield running


def process(server: Serving, kind: str, content: bytes, **fields: Any) -> httpx2.Response:
    document = {"type": kind, "source": "base64", "content": base64.b64encode(content).decode()}
    body = {"document": document | fields.pop("document", {}), **fields}
    return httpx2.post(f"{server.url}/v1/documents/process", json=body, timeout=60)


def test_a_document_is_read_without_a_model_unless_one_is_named(server: Serving) -> None:
    found = process(server, "md", MARKDOWN).json()
    assert (found["model"], found["parser"], found["title"]) == ("model-free", "md", "Wind")
    assert found["content"] == MARKDOWN.decode()
    assert found["tables"] == [{"page": None, "rows": [["month", "price"], ["first", "47"]]}]
    assert found["images"] == {"count": 0, "items": []}
    assert 0 < found["timings"]["parse_seconds"] < found["timings"]["total_seconds"]


def test_a_file_is_sent_as_a_form_and_named_in_the_answer(server: Serving) -> None:
    url = f"{server.url}/v1/documents/process"
    sent = httpx2.post(url, files={"file": ("../wind.md", MARKDOWN)}, data={"extract_tables": "false"}, timeout=60)
    found = sent.json()
    assert (sent.status_code, found["name"], found["title"]) == (200, "wind.md", "Wind")
    assert "tables" not in found
    wrong = httpx2.post(url, files={"file": ("wind.xyz", b"\x00\x01")}, timeout=60)
    assert wrong.status_code == 415
    assert wrong.json()["error"]["message"].startswith("wind.xyz: found binary content")
    missing = httpx2.post(url, files={"document": ("wind.md", MARKDOWN)}, timeout=60).json()["error"]
    assert missing["message"] == "file: found the files document, expected one, in the field file"


def test_a_mail_is_answered_with_the_files_in_it(server: Serving) -> None:
    mail = b"Subject: Hi\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nHello\n"
    mail += b"--x\nContent-Type: text/csv\nContent-Disposition: attachment; filename=a.csv\n\na,b\n1,2\n--x\n"
    mail += b"Content-Disposition: attachment; filename=b.bin\n\n\x00\x01\n--x--\n"
    found = process(server, "eml", mail, document={"name": "hi.eml"}).json()
    assert found.get("name") == "hi.eml", found
    assert [part["name"] for part in found["parts"]] == ["hi.eml/a.csv", "hi.eml/b.bin"]
    assert found["parts"][0]["content"] == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
    assert "binary content" in found["parts"][1]["reason"]


async def test_our_own_client_sends_a_file_by_its_path(server: Serving, tmp_path: Path) -> None:
    (tmp_path / "wind.md").write_bytes(MARKDOWN)
    async with FastEmbedClient(server.url) as client:
        found = await client.documents.process(document={"type": "md", "path": str(tmp_path / "wind.md")})
    assert (found.title, found.tables and found.tables[0].rows) == ("Wind", [["month", "price"], ["first", "47"]])


def test_a_document_is_fetched_from_a_place_that_is_allowed(server: Serving, shelf: str) -> None:
    found = process(server, "md", b"", document={"source": "url", "content": f"http://{shelf}/wind.md"}).json()
    assert found["content"] == MARKDOWN.decode()


def test_a_picture_of_a_page_is_read_by_the_model_that_is_named(server: Serving) -> None:
    picture = io.BytesIO()
    draw(PAGE)[0].save(picture, "PNG")
    answer = process(server, "image", picture.getvalue(), model="docling-pocket")
    found = answer.json()
    assert answer.headers["x-fastembed-model"] == "docling-pocket"
    assert answer.headers["x-fastembed-model-state"] == "pocket"
    assert (found["model"], found["parser"], found["page_count"]) == ("docling-pocket", "png+docling-pocket", 1)
    assert found["content"].startswith("## garden summary\n\n| year | price |")
    assert found["tables"] == [{"page": 1, "rows": [["year", "price"], ["first", "68"]]}]
    assert (found["pages_without_model"], found["warnings"]) == ([], [])


def test_html_and_json_are_written_too(server: Serving) -> None:
    html = process(server, "md", MARKDOWN, processing_options={"output_format": "html"}).json()["content"]
    assert "<td>first</td><td>47</td>" in html
    structure = process(server, "md", MARKDOWN, processing_options={"output_format": "json"}).json()["content"]
    assert structure["schema_name"] == "DoclingDocument"


def test_a_model_that_is_not_here_is_a_404_with_the_command_that_gets_it(server: Serving) -> None:
    refused = process(server, "md", MARKDOWN, model="granite-docling-258m")
    assert refused.status_code == 404
    assert refused.json()["error"]["message"].endswith("fastembed convert granite-docling-258m")


@pytest.mark.parametrize(
    ("kind", "content", "document", "message"),
    [
        ("pdf", b"no PDF", {}, "found plain text, expected PDF as document.type says"),
        ("md", MARKDOWN, {"source": "upload_id"}, "found no upload_id, expected the id of an uploaded file"),
        ("md", MARKDOWN, {"source": "url", "content": "http://127.0.0.1:1/a"}, "found port 1 of 127.0.0.1"),
        ("md", MARKDOWN, {"content": "%%%"}, "not valid base64"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(
    server: Serving, kind: str, content: bytes, document: dict[str, str], message: str
) -> None:
    refused = process(server, kind, content, document=document)
    assert 400 <= refused.status_code < 500
    assert message in refused.json()["error"]["message"]


def test_content_that_is_something_else_is_named_by_its_field(server: Serving) -> None:
    refused = process(server, "docx", b"%PDF-1.4 x")
    assert refused.status_code == 415
    assert refused.json()["error"] == {
        "message": "document.content: found PDF content, expected DOCX as document.type says",
        "type": "invalid_request_error",
        "param": "document.content",
        "code": "format_mismatch",
    }
    broken = process(server, "pdf", b"%PDF-1.4 x").json()["error"]
    assert (broken["param"], broken["code"]) == ("document.content", "corrupt")


def test_where_unknown_fields_are_rejected_a_request_with_one_is_refused(server: Serving) -> None:
    found = process(server, "md", MARKDOWN, ocr_engine="none")
    assert found.status_code == 400
    assert found.json()["error"]["param"] == "ocr_engine"
    assert found.json()["error"]["code"] == "unknown_parameter"


def converted(server: Serving, path: str, **more: Any) -> httpx2.Response:
    return httpx2.post(f"{server.url}/v1/convert/{path}", timeout=60, **more)


def in_base64(data: bytes, name: str = "wind.md", **options: Any) -> dict[str, Any]:
    source = {"kind": "file", "base64_string": base64.b64encode(data).decode(), "filename": name}
    return {"sources": [source], "options": options}


def test_docling_serves_clients_get_their_documents(server: Serving) -> None:
    form = {"to_formats": ["md", "json"], "page_range": ["1", str(2**63 - 1)], "target_type": "inbody"}
    sent = converted(server, "file", files={"files": ("wind.md", MARKDOWN)}, data=form).json()
    assert sent["status"] == "success"
    assert sent["document"]["md_content"].startswith("# Wind")
    assert sent["document"]["json_content"]["schema_name"] == "DoclingDocument"
    assert sent["document"]["html_content"] is None
    source = converted(server, "source", json=in_base64(MARKDOWN, to_formats=["text"])).json()
    assert "More of it." in source["document"]["text_content"]
    assert source["document"]["md_content"] is None


def test_a_task_is_followed_to_its_result(server: Serving) -> None:
    task = converted(server, "source/async", json=in_base64(MARKDOWN)).json()
    with connect(f"{server.url.replace('http', 'ws')}/v1/status/ws/{task['task_id']}") as socket:
        states = [json.loads(message) for message in socket]
    assert states[0]["message"] == "connection"
    assert states[-1]["task"]["task_status"] == "success"
    poll = httpx2.get(f"{server.url}/v1/status/poll/{task['task_id']}", params={"wait": 5}).json()
    assert (poll["task_id"], poll["task_status"]) == (task["task_id"], "success")
    result = httpx2.get(f"{server.url}/v1/result/{task['task_id']}").json()
    assert result["document"]["md_content"].startswith("# Wind")
    with connect(f"{server.url.replace('http', 'ws')}/v1/status/ws/task-1") as socket:
        assert "found no task 'task-1'" in json.loads(socket.recv())["error"]


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"sources": []}, 400, "sources"),
        (in_base64(MARKDOWN, to_formats=["doc"]), 400, "expected some of md, json, html, text"),
        (in_base64(MARKDOWN, page_range=[2, 1]), 400, "the last not before the first"),
        (in_base64(MARKDOWN, page_range=[1, 1], to_formats=["json"]), 400, "expected the whole document"),
        ({**in_base64(MARKDOWN), "target": {"kind": "zip"}}, 422, "target.kind: Input should be 'inbody', not 'zip'"),
        ({"sources": [{"kind": "http", "url": "http://127.0.0.1:9/"}]}, 400, "127.0.0.1"),
        (in_base64(b"%PDF-1.4 broken", "a.pdf"), 422, "a.pdf"),
    ],
)
def test_what_docling_serves_clients_do_wrong_is_a_text(
    server: Serving, body: dict[str, Any], status: int, detail: str
) -> None:
    reply = converted(server, "source", json=body)
    assert (reply.status_code, detail in reply.json()["detail"]) == (status, True), reply.text
    assert reply.json()["error"]["message"] == reply.json()["detail"]


def test_the_page_over_the_description_asks_no_other_server(server: Serving) -> None:
    page = httpx2.get(f"{server.url}/docs")
    assert "openapi.json" in page.text
    assert "://" not in page.text
    assert "connect-src 'self'" in page.headers["content-security-policy"]


def test_moderation_says_what_to_declare(server: Serving) -> None:
    reply = httpx2.post(f"{server.url}/v1/moderations", json={"input": "a"})
    assert reply.status_code == 404
    assert "POST /v1/moderations}, operators: [YOUR_PLUGIN]" in reply.json()["error"]["message"]
