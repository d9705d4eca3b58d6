from __future__ import annotations

import json

import httpx2
import pytest

from fastembed.client import Answer, FastEmbedClient, ServerError


def client_of(answers, **options):
    """A client whose connection gives these answers and keeps what was asked."""
    asked = []

    def answer(request):
        asked.append(request)
        status, body, headers = answers.pop(0)
        return httpx2.Response(status, json=body, headers=headers)

    client = FastEmbedClient("http://server/v1/", "k", **options)
    transport = httpx2.MockTransport(answer)
    client._http = httpx2.AsyncClient(base_url=client.base_url, transport=transport)
    return client, asked


def test_the_fields_of_an_answer_are_attributes_at_every_depth():
    answer = Answer({"data": [{"embedding": [1.0], "index": 0}], "usage": {"total_tokens": 3}})
    assert answer.data[0].embedding == [1.0]
    assert answer.usage.total_tokens == 3
    with pytest.raises(AttributeError, match="found no field 'date', the answer has data, usage"):
        _ = answer.date


async def test_a_base_url_with_or_without_v1_asks_the_same_path():
    client, asked = client_of([(200, {"data": []}, {})])
    async with client:
        await client.embeddings.create(input="a", model="m", dimensions=8)
    assert str(asked[0].url) == "http://server/v1/embeddings"
    assert json.loads(asked[0].content) == {"input": "a", "model": "m", "dimensions": 8}


async def test_a_busy_server_is_asked_again_when_it_said():
    busy = (429, {"error": {"message": "full"}}, {"retry-after-ms": "1"})
    client, asked = client_of([busy, busy, (200, {"status": "ok"}, {})])
    async with client:
        assert (await client.request("GET", "/healthz")).status == "ok"
    assert len(asked) == 3


async def test_a_refusal_is_raised_with_its_fields():
    error = {"message": "found no input", "type": "invalid_request_error", "param": "input", "code": None}
    client, _ = client_of([(400, {"error": error}, {"x-request-id": "r1"})])
    async with client:
        with pytest.raises(ServerError, match="400: found no input") as caught:
            await client.embeddings.create(input="")
    assert (caught.value.status, caught.value.param, caught.value.request_id) == (400, "input", "r1")


async def test_a_document_is_read_from_its_path_and_sent(tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    client, asked = client_of([(200, {}, {})])
    async with client:
        await client.documents.process(document={"type": "pdf", "path": str(tmp_path / "a.pdf")}, extract_tables=True)
    assert json.loads(asked[0].content) == {
        "document": {"type": "pdf", "source": "base64", "content": "JVBERg=="},
        "processing_options": {"extract_tables": True},
    }


async def test_the_ending_of_a_document_says_what_it_is_and_a_url_is_not_read():
    client, asked = client_of([(200, {}, {}), (200, {}, {})])
    async with client:
        await client.documents.process(document={"path": "https://site/a/page.HTM?x=1"}, model="m")
        await client.documents.process(document={"type": "pdf", "source": "base64", "content": "JVBERg=="})
    assert json.loads(asked[0].content) == {
        "document": {"type": "html", "source": "url", "content": "https://site/a/page.HTM?x=1"},
        "processing_options": {},
        "model": "m",
    }
    assert json.loads(asked[1].content)["document"] == {"type": "pdf", "source": "base64", "content": "JVBERg=="}


async def test_inputs_of_all_kinds_are_analysed_in_one_request(tmp_path):
    (tmp_path / "a.png").write_bytes(b"PNG")
    (tmp_path / "b.md").write_bytes(b"# B")
    client, asked = client_of([(200, {"analysis": "red"}, {})])
    async with client:
        found = await client.analyze(
            text="What is it?",
            images=[str(tmp_path / "a.png"), "https://site/c.png"],
            audio="data:audio/wav;base64,AAAA",
            documents=[str(tmp_path / "b.md")],
        )
    assert found.analysis == "red"
    assert str(asked[0].url) == "http://server/v1/multimodal/analyze"
    assert json.loads(asked[0].content)["inputs"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "document", "filename": "b.md", "source": "base64", "content": "IyBC"},
        {"type": "image", "source": "base64", "content": "UE5H"},
        {"type": "image", "source": "url", "content": "https://site/c.png"},
        {"type": "audio", "source": "base64", "content": "data:audio/wav;base64,AAAA"},
    ]


def streaming_client(text, status=200):
    """A client whose connection gives this text."""
    client = FastEmbedClient("http://server", max_retries=0)
    transport = httpx2.MockTransport(lambda _: httpx2.Response(status, text=text))
    client._http = httpx2.AsyncClient(base_url=client.base_url, transport=transport)
    return client


async def test_a_stream_is_read_event_by_event():
    client = streaming_client('data: {"choices": [{"delta": {"content": "Hi"}}]}\n\ndata: [DONE]\n\n')
    async with client:
        chunks = [chunk async for chunk in await client.chat.completions.create(messages=[], stream=True)]
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["Hi"]


@pytest.mark.parametrize(
    ("status", "text"), [(400, '{"error": {"message": "no"}}'), (200, 'data: {"error": {"message": "no"}}')]
)
async def test_what_goes_wrong_with_a_stream_is_raised(status, text):
    async with streaming_client(text, status) as client:
        with pytest.raises(ServerError, match=f"{status}: no"):
            _ = [chunk async for chunk in await client.chat.completions.create(messages=[], stream=True)]


async def test_a_server_that_is_not_there_says_how_to_start_it():
    async with FastEmbedClient("http://127.0.0.1:1", max_retries=0) as client:
        with pytest.raises(ServerError, match=r"cannot reach http://127.0.0.1:1: .*fastembed serve") as caught:
            await client.system.status()
    assert caught.value.status == 0


def test_the_environment_names_server_and_key(monkeypatch):
    monkeypatch.setenv("FASTEMBED_URL", "http://elsewhere:1")
    monkeypatch.setenv("FASTEMBED_API_KEY", "one, two")
    client = FastEmbedClient()
    assert (client.base_url, client._api_key) == ("http://elsewhere:1", "one")
