from __future__ import annotations

import json
import sys

import httpx2
import openai
import pytest

from fastembed import EnhancedFastEmbedClient, FastEmbedClient, SyncFastEmbedClient
from fastembed.client import ServerUnreachable, stream_retries
from fastembed.client.connection import bypasses_proxy


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A folder that no server serves, and no variables of other services."""
    monkeypatch.chdir(tmp_path)
    for name in ("FASTEMBED_URL", "FASTEMBED_API_KEY", "OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(stream_retries, "_FIRST_S", 0.001)


def transport_of(answers, asked):
    def answer(request):
        asked.append(request)
        status, body, headers = answers.pop(0)
        if isinstance(body, list):
            return httpx2.Response(status, stream=Pieces(body), headers={"content-type": "text/event-stream"})
        return httpx2.Response(status, json=body, headers=headers)

    return httpx2.MockTransport(answer)


class Pieces(httpx2.AsyncByteStream, httpx2.SyncByteStream):
    """A body in pieces; an exception among them is raised there."""

    def __init__(self, pieces):
        self.pieces = pieces

    def __iter__(self):
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def __aiter__(self):
        for piece in self:
            yield piece


def client_of(answers, **options):
    """A client whose connection gives these answers, and what it was asked."""
    asked = []
    http = httpx2.AsyncClient(transport=transport_of(answers, asked))
    return FastEmbedClient("http://server/v1/", "k", http_client=http, **options), asked


def sync_client_of(answers, **options):
    asked = []
    http = httpx2.Client(transport=transport_of(answers, asked))
    return SyncFastEmbedClient("http://server", "k", http_client=http, **options), asked


def event(text):
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    return f"data: {json.dumps({**chunk, 'choices': [{'index': 0, 'delta': {'content': text}}]})}\n\n".encode()


DONE = b"data: [DONE]\n\n"
CUT = httpx2.ReadError("connection reset")
BUSY = b'data: {"error": {"message": "full", "type": "rate_limit_error", "code": null, "param": null}}\n\n'
WRONG = b'data: {"error": {"message": "no", "type": "invalid_request_error", "code": null, "param": null}}\n\n'
MESSAGES = [{"role": "user", "content": "Hi"}]


def test_it_is_the_official_client_with_more_beside_it():
    client, twin = FastEmbedClient(), SyncFastEmbedClient()
    assert isinstance(client, openai.AsyncOpenAI)
    assert isinstance(twin, openai.OpenAI)
    assert EnhancedFastEmbedClient is FastEmbedClient
    for one in (client, twin):
        for name in ("chat", "responses", "audio", "files", "batches", "uploads", "realtime", "conversations"):
            assert getattr(one, name) is not None
        for name in ("documents", "multimodal", "system", "search", "ask", "sql", "rerank", "route", "transcribe_live"):
            assert getattr(one, name) is not None


def test_both_twins_have_the_same_methods():
    def names(kind, base):
        return {name for name in vars(kind) if not name.startswith("_")} - {"request"} | {*vars(base)} & {"chat"}

    assert names(FastEmbedClient, openai.AsyncOpenAI) == names(SyncFastEmbedClient, openai.OpenAI)


def test_importing_fastembed_does_not_import_the_client():
    assert "fastembed" in sys.modules
    code = "import sys, fastembed.cli; sys.exit('openai' in sys.modules)"
    import subprocess

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_a_base_url_with_or_without_v1_asks_the_same_path():
    vectors = {"object": "list", "model": "m", "data": [], "usage": {"prompt_tokens": 0, "total_tokens": 0}}
    client, asked = client_of([(200, vectors, {})])
    async with client:
        with pytest.raises(ValueError, match="No embedding data received"):
            await client.embeddings.create(input="a", model="m", dimensions=8, extra_body={"normalize": True})
    assert str(asked[0].url) == "http://server/v1/embeddings"
    sent = json.loads(asked[0].content)
    assert (sent["input"], sent["dimensions"], sent["normalize"]) == ("a", 8, True)
    assert asked[0].headers["authorization"] == "Bearer k"


async def test_copies_keep_address_and_key():
    client, asked = client_of([(200, {"status": "ok"}, {})])
    async with client:
        copy = client.with_options(max_retries=5)
        assert isinstance(copy, FastEmbedClient)
        assert (await copy.call("GET", "/healthz"))["status"] == "ok"
    assert (copy.root, copy.max_retries, str(asked[0].url)) == ("http://server", 5, "http://server/healthz")
    assert asked[0].headers["authorization"] == "Bearer k"


async def test_a_busy_server_is_asked_again_when_it_said():
    busy = (429, {"error": {"message": "full"}}, {"retry-after-ms": "1"})
    client, asked = client_of([busy, busy, (200, {"status": "ok"}, {})])
    async with client:
        assert (await client.call("GET", "/healthz"))["status"] == "ok"
    assert len(asked) == 3


async def test_a_refusal_is_openais_error():
    error = {"message": "found no input", "type": "invalid_request_error", "param": "input", "code": None}
    client, _ = client_of([(400, {"error": error}, {"x-request-id": "r1"})])
    async with client:
        with pytest.raises(openai.BadRequestError, match="found no input") as caught:
            await client.search("")
    assert (caught.value.status_code, caught.value.param, caught.value.request_id) == (400, "input", "r1")


@pytest.mark.parametrize("broken", [[CUT], [BUSY], [b": alive\n\n", CUT]])
async def test_a_stream_that_breaks_before_its_first_event_is_asked_for_again(broken):
    client, asked = client_of([(200, broken, {}), (200, [event("Hi"), DONE], {})])
    async with client:
        stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        assert [chunk.choices[0].delta.content async for chunk in stream] == ["Hi"]
    assert [json.loads(one.content) for one in asked] == 2 * [json.loads(asked[0].content)]


def test_so_does_the_twins_stream():
    client, asked = sync_client_of(
        [(200, [CUT], {}), (503, {}, {"retry-after-ms": "1"}), (200, [event("Hi"), DONE], {})]
    )
    with client, client.chat.completions.create(model="m", messages=MESSAGES, stream=True) as stream:
        assert [chunk.choices[0].delta.content for chunk in stream] == ["Hi"]
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("pieces", "error"),
    [
        ([event("Hi"), CUT], openai.APIConnectionError),
        ([event("Hi"), BUSY], openai.APIError),
        ([WRONG], openai.APIError),
    ],
)
async def test_a_stream_that_has_begun_or_was_refused_is_not_asked_for_again(pieces, error):
    client, asked = client_of([(200, pieces, {})])
    async with client:
        stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        with pytest.raises(error):
            [chunk async for chunk in stream]
    assert len(asked) == 1


async def test_a_stream_is_given_up_after_the_last_try():
    client, asked = client_of([(200, [CUT], {}), (200, [CUT], {}), (200, [CUT], {})], max_retries=2)
    async with client:
        stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        with pytest.raises(openai.APIConnectionError):
            [chunk async for chunk in stream]
    assert len(asked) == 3


DOCUMENT = {"id": "d", "model": "m", "parser": "p", "title": "T", "output_format": "markdown", "content": "# T"}


async def test_a_document_is_read_from_its_path_and_sent(tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    client, asked = client_of([(200, DOCUMENT, {}), (200, DOCUMENT, {})])
    async with client:
        await client.documents.process(document={"type": "pdf", "path": "./a.pdf"}, extract_tables=True)
        found = await client.documents.process(tmp_path / "a.pdf", extract_tables=True)
    assert found.content == "# T"
    assert json.loads(asked[0].content) == json.loads(asked[1].content)
    assert json.loads(asked[0].content) == {
        "document": {"type": "pdf", "source": "base64", "content": "JVBERg=="},
        "processing_options": {"extract_tables": True},
    }


async def test_the_ending_of_a_document_says_what_it_is_and_a_url_is_not_read():
    client, asked = client_of([(200, DOCUMENT, {}), (200, DOCUMENT, {})])
    async with client:
        await client.documents.process(document={"path": "https://site/a/page.HTM?x=1"}, model="m")
        await client.documents.process(document={"type": "pdf", "source": "base64", "content": "JVBERg=="})
    assert json.loads(asked[0].content) == {
        "document": {"type": "html", "source": "url", "content": "https://site/a/page.HTM?x=1"},
        "processing_options": {},
        "model": "m",
    }
    assert json.loads(asked[1].content)["document"] == {"type": "pdf", "source": "base64", "content": "JVBERg=="}


INPUTS = [
    {"type": "text", "text": "What is it?"},
    {"type": "document", "filename": "b.md", "source": "base64", "content": "IyBC"},
    {"type": "image", "source": "base64", "content": "UE5H"},
    {"type": "image", "source": "url", "content": "https://site/c.png"},
    {"type": "audio", "source": "base64", "content": "data:audio/wav;base64,AAAA"},
]


async def test_inputs_of_all_kinds_are_analysed_in_one_request(tmp_path):
    (tmp_path / "a.png").write_bytes(b"PNG")
    (tmp_path / "b.md").write_bytes(b"# B")
    options = {
        "text": "What is it?",
        "images": [tmp_path / "a.png", "https://site/c.png"],
        "audio": "data:audio/wav;base64,AAAA",
        "documents": ["b.md"],
    }
    client, asked = client_of([(200, {"analysis": "red"}, {})])
    twin, asked_too = sync_client_of([(200, {"analysis": "red"}, {})])
    async with client:
        assert (await client.analyze(**options, max_tokens=5)).analysis == "red"
    with twin:
        assert twin.analyze(**options).analysis == "red"
    assert str(asked[0].url) == "http://server/v1/multimodal/analyze"
    assert json.loads(asked[0].content) == {"inputs": INPUTS, "max_tokens": 5}
    assert json.loads(asked_too[0].content) == {"inputs": INPUTS}


async def test_a_server_that_is_not_there_says_how_to_start_it():
    said = r"no server answers at http://127.0.0.1:1 \(.*refused.*\); start one with: fastembed serve"
    async with FastEmbedClient("http://127.0.0.1:1", max_retries=0) as client:
        with pytest.raises(ServerUnreachable, match=said):
            await client.system.status()
    with SyncFastEmbedClient("http://127.0.0.1:1", max_retries=0) as twin, pytest.raises(ServerUnreachable, match=said):
        twin.models.list()


def test_the_environment_names_server_and_key(monkeypatch):
    monkeypatch.setenv("FASTEMBED_URL", "http://elsewhere:1")
    monkeypatch.setenv("FASTEMBED_API_KEY", "one, two")
    client = FastEmbedClient()
    assert (client.root, client.api_key, str(client.base_url)) == (
        "http://elsewhere:1",
        "one",
        "http://elsewhere:1/v1/",
    )
    assert FastEmbedClient("http://here:2", "mine").root == "http://here:2"


def test_nothing_of_openais_service_is_sent(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-admin")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-secret")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://elsewhere.example")
    for client in (FastEmbedClient(), SyncFastEmbedClient(), FastEmbedClient().copy(timeout=3)):
        assert str(client.base_url) == "http://127.0.0.1:8000/v1/"
        found = [
            client.api_key,
            client.admin_api_key,
            client.organization,
            client.project,
            *client.default_headers.values(),
        ]
        assert not [value for value in found if "secret" in str(value) or "admin" in str(value)]


def test_no_proxy_stands_between_this_machine_and_itself(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    assert [bypasses_proxy(f"http://{host}:1") for host in ("127.0.0.1", "localhost", "[::1]", "other")] == [
        True,
        True,
        True,
        False,
    ]
