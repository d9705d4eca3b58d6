"""The real process, the official client."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import openai
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fastembed import FastEmbedClient
from tests.e2e.serving import Serving, fastembed, serving

ROOT = Path(__file__).parents[2]
EMBEDDINGS = """
version: 1
pipelines:
  embeddings:
    source: {http: POST /v1/embeddings, queue: 64, overflow: reject}
    operators: [{embed: {model: auto}}]
    sink: reply
"""
SHOUT = """
plugins: [./words.py]
"""
WORDS = '''
from collections.abc import Iterator

from fastembed.pipeline.component import operator


@operator
def shout(value: dict) -> dict:
    """Return the text in upper case."""
    return {"said": value["text"].upper()}

@operator
def spell(value: dict) -> Iterator[str]:
    """Say each letter."""
    yield from value["text"]
'''


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("serve")
    (folder / "words.py").write_text(WORDS)
    pipelines = EMBEDDINGS + (
        "  shout: {source: {http: POST /shout}, operators: [shout], sink: reply}\n"
        "  spell: {source: {http: POST /spell}, operators: [spell], sink: reply}\n"
        "  rerank: {source: {http: POST /v1/rerank}, operators: [rerank], sink: reply}\n"
    )
    (folder / "pipelines.yaml").write_text(SHOUT + pipelines)
    with serving(folder) as running:
        yield running


@pytest.fixture
def client(server: Serving) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="-", max_retries=0, timeout=30) as client:
        yield client


def test_serve_prints_a_line_a_pipeline_then_the_address(server: Serving) -> None:
    assert server.lines == [
        "embeddings      http POST /v1/embeddings -> reply  [all-MiniLM-L6-v2]  at most once, unordered",
        "shout           http POST /shout -> reply  [no model]  at most once, unordered",
        "spell           http POST /spell -> reply  [no model]  at most once, unordered",
        "rerank          http POST /v1/rerank -> reply  [rerank-pocket]  at most once, unordered",
        "rerank-pocket answers until a real model for rerank is here: fastembed pull bge-reranker-base",
        f"FastEmbed is ready at {server.url}",
    ]


def test_the_openai_client_gets_the_same_vectors_as_floats_and_as_its_default_base64(client: openai.OpenAI) -> None:
    texts = ["The cat sat.", "Un texte en français", "今日は"]
    as_base64 = client.embeddings.create(model="all-MiniLM-L6-v2", input=texts)
    as_floats = client.embeddings.create(model="all-MiniLM-L6-v2", input=texts, encoding_format="float")
    first = np.array([entry.embedding for entry in as_base64.data])
    second = np.array([entry.embedding for entry in as_floats.data])
    assert first.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(first, second, atol=0.02)
    assert [entry.index for entry in as_base64.data] == [0, 1, 2]
    assert as_base64.model == "all-MiniLM-L6-v2"
    assert as_base64.usage.prompt_tokens == as_base64.usage.total_tokens > 3


def test_the_openai_client_reads_every_precision_through_its_default_base64(client: openai.OpenAI) -> None:
    raw = client.embeddings.with_raw_response.create(model="auto", input="precision")
    assert raw.headers["x-fastembed-model"] == "all-MiniLM-L6-v2"
    exact = raw.parse().data[0].embedding
    for precision in ("float16", "int8"):
        found = client.embeddings.create(model="auto", input="precision", extra_body={"precision": precision})
        vector = np.array(found.data[0].embedding)
        assert vector @ np.array(exact) / np.linalg.norm(vector) > 0.999


def test_dimensions_keep_the_first_values_at_length_one(client: openai.OpenAI) -> None:
    vector = np.array(client.embeddings.create(model="auto", input="short", dimensions=64).data[0].embedding)
    assert vector.shape == (64,)
    assert abs(np.linalg.norm(vector) - 1) < 1e-5


def test_tokens_come_as_tei_lists_them(client: openai.OpenAI) -> None:
    asked = {"model": "all-MiniLM-L6-v2", "inputs": ["short", "a b"]}
    first, second = client.post("/tokenize", body=asked, cast_to=list)
    assert [(token["text"], token["special"]) for token in first] == [
        ("[CLS]", True),
        ("short", False),
        ("[SEP]", True),
    ]
    assert [token["id"] for token in second][1:-1] == [1037, 1038]
    bare = client.post("/tokenize", body={**asked, "inputs": "short", "add_special_tokens": False}, cast_to=list)
    assert [[token["special"] for token in tokens] for tokens in bare] == [[False]]
    with pytest.raises(openai.BadRequestError, match="expected text or a list of texts"):
        client.post("/tokenize", body={**asked, "inputs": [1]}, cast_to=list)


def test_ids_of_tokenize_are_embedded_as_their_text_and_those_of_others_are_refused(client: openai.OpenAI) -> None:
    ids = client.post("/tokenize", body={"model": "all-MiniLM-L6-v2", "prompt": "short"}, cast_to=dict)["tokens"]
    by_text, by_ids = (client.embeddings.create(model="auto", input=one).data[0].embedding for one in ("short", ids))
    assert by_text == by_ids
    cl100k = [15339, 1917]  # "hello world" as LangChain sends it by default: other words here
    with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length=False"):
        client.embeddings.create(model="auto", input=[cl100k])
    assert (
        client.embeddings.create(model="auto", input=[cl100k], extra_body={"token_ids": True}).usage.total_tokens == 4
    )
    assert client.embeddings.create(model="auto", input="word " * 900, extra_body={"truncate": True}).usage
    text = client.post("/detokenize", body={"model": "all-MiniLM-L6-v2", "tokens": ids}, cast_to=dict)["prompt"]
    assert text == "[CLS] short [SEP]"


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({"input": ""}, "input", "found an empty string"),
        ({"input": []}, "input", "found an empty list"),
        ({"input": ["a"] * 2049}, "input", "found 2049 entries, expected at most 2048"),
        ({"input": ["a", 5]}, "input", "input[1]"),
        ({"input": [10_000_000]}, "input", "10000000"),
        ({"input": "word " * 5000}, "input", "expected at most 256"),
        ({"input": "a", "dimensions": 0}, "dimensions", "found 0"),
        ({"input": "a", "dimensions": 4096}, "dimensions", "4096"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format", "'hex'"),
    ],
)
def test_bad_input_is_a_bad_request_that_names_its_field(
    client: openai.OpenAI, body: dict[str, object], param: str, message: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(**{"model": "auto", "encoding_format": "float", **body})
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"
    assert message in str(caught.value)
    assert caught.value.request_id


def test_an_unknown_model_is_not_found_and_names_those_there_are(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="all-MiniLM-L6-v2") as caught:
        client.embeddings.create(model="all-MiniLM-L6", input="a")
    assert caught.value.code == "model_not_found"


def test_chat_is_not_found_until_a_pipeline_serves_it(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="POST /v1/chat/completions"):
        client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "Hello"}])


def test_models_are_listed_and_found_by_name_and_alias(client: openai.OpenAI) -> None:
    (model,) = [model for model in client.models.list().data if model.to_dict()["task"] == "embedding"]
    assert (model.id, model.object, model.owned_by) == ("all-MiniLM-L6-v2", "model", "sentence-transformers")
    assert client.models.retrieve("sentence-transformers/all-MiniLM-L6-v2").id == model.id
    assert model.model_extra is not None
    assert model.model_extra["state"] == "ready"
    assert model.model_extra["context_length"] == 256
    assert (model.model_extra["licence"], model.model_extra["parameters"]) == ("Apache-2.0", 22_570_000)
    pocket = client.models.retrieve("chat-pocket").model_extra
    assert pocket is not None
    assert pocket["state"] == "pocket"
    assert pocket["capabilities"]["function_calling"]
    assert not pocket["capabilities"]["vision"]
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")


def test_a_pipeline_of_plug_ins_answers_json(server: Serving) -> None:
    response = httpx2.post(f"{server.url}/shout", json={"text": "hello"})
    assert response.json() == {"said": "HELLO"}
    refused = httpx2.post(f"{server.url}/shout", json=["hello"])
    assert (refused.status_code, refused.json()["error"]["message"]) == (400, "found a list, expected an object")


def test_documents_are_put_in_order_and_the_answer_says_that_the_small_model_did_it(server: Serving) -> None:
    asked = {
        "query": "when is the rain gauge emptied",
        "documents": ["The cat sleeps.", {"text": "The rain gauge is emptied at seven."}, "Rain falls."],
        "top_n": 2,
        "return_documents": True,
    }
    reply = httpx2.post(f"{server.url}/v1/rerank", json=asked)
    answer = reply.json()
    assert [found["index"] for found in answer["results"]] == [1, 2]
    assert answer["results"][0]["document"] == {"text": "The rain gauge is emptied at seven."}
    assert answer["id"] == reply.headers["x-request-id"]
    assert answer["model"] == reply.headers["x-fastembed-model"] == "rerank-pocket"
    assert reply.headers["x-fastembed-model-state"] == "pocket"
    refused = httpx2.post(f"{server.url}/v1/rerank", json={"query": "q", "documents": []})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "documents")


def test_what_a_plug_in_raises_stays_in_the_log(server: Serving) -> None:
    response = httpx2.post(f"{server.url}/shout", json={"wrong": 1}, headers={"x-request-id": "find-me-7"})
    assert response.status_code == 500
    assert response.headers["x-request-id"] == "find-me-7"
    assert response.json()["error"] == {
        "message": "internal error; request id find-me-7",
        "type": "server_error",
        "param": None,
        "code": None,
    }
    assert "KeyError: 'text'" in server.errors()
    assert "find-me-7" in server.errors()


def test_several_results_are_a_list_or_a_stream(server: Serving) -> None:
    assert httpx2.post(f"{server.url}/spell", json={"text": "abc"}).json() == ["a", "b", "c"]
    streamed = httpx2.post(f"{server.url}/spell?stream=true", json={"text": "abc"})
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert streamed.text == 'data: "a"\n\ndata: "b"\n\ndata: "c"\n\ndata: [DONE]\n\n'


def test_the_server_says_what_it_runs_and_measures(server: Serving) -> None:
    assert httpx2.get(f"{server.url}/readyz").json() == {"status": "ready", "waiting_for": [], "degraded": []}
    status = httpx2.get(f"{server.url}/v1/system/status").json()
    assert status["npu"].keys() >= {"available", "total_memory", "used_memory", "free_memory", "utilization"}
    (loaded,) = [model for model in status["loaded_models"] if model["model_id"] == "all-MiniLM-L6-v2"]
    assert loaded["memory_usage"].endswith("MB")
    assert loaded["memory_reserved"].endswith("MB")
    assert status["model_memory"]["CPU"].keys() == {"limit", "taken"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", loaded["last_used"])
    assert (loaded["state"], loaded["requests_queued"]) == ("ready", 0)
    assert {view["name"] for view in httpx2.get(f"{server.url}/v1/pipelines").json()["data"]} == {
        "embeddings",
        "rerank",
        "shout",
        "spell",
    }
    metrics = httpx2.get(f"{server.url}/metrics").text
    assert 'fastembed_items_ended_total{outcome="delivered",pipeline="embeddings"}' in metrics
    assert 'fastembed_http_requests_total{method="POST",route="/v1/embeddings",status="200"}' in metrics
    assert 'fastembed_model_loads_total{device="CPU",model="all-MiniLM-L6-v2"} 1.0' in metrics


async def test_the_sdk_embeds_and_raises_the_servers_errors(server: Serving) -> None:
    async with FastEmbedClient(server.url, timeout=30) as client:
        result = await client.embeddings.create(input=["a", "b"], model="auto")
        assert len(result.data[1].embedding) == 384
        assert {"all-MiniLM-L6-v2", "chat-pocket"} <= {model.id async for model in client.models.list()}
        assert (await client.system.status()).phase == "serving"
        with pytest.raises(openai.NotFoundError, match=r"404 - found POST /v1/multimodal/analyze") as caught:
            await client.analyze(text="What is this?")
        assert caught.value.code == "unknown_url"


def test_keys_guard_everything_but_health(tmp_path: Path) -> None:
    (tmp_path / "pipelines.yaml").write_text(EMBEDDINGS)
    with serving(tmp_path, environ={"FASTEMBED_API_KEY": "sesame, second"}) as server:
        assert httpx2.get(f"{server.url}/healthz").status_code == 200
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0) as client:
            with pytest.raises(openai.AuthenticationError) as caught:
                client.embeddings.create(model="auto", input="a")
            assert caught.value.code == "invalid_api_key"
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="second", max_retries=0) as client:
            assert client.embeddings.create(model="auto", input="a").data
        assert server.terminate() == 0


async def read_to_the_end(socket: ClientConnection) -> None:
    while True:
        await socket.recv()


async def test_a_browser_speaks_with_its_key_in_a_subprotocol_and_a_stop_ends_it_with_1012(tmp_path: Path) -> None:
    text = EMBEDDINGS + (
        "  speech: {source: {websocket: /v1/realtime}, operators: [decode, vad, transcribe], sink: reply}\n"
    )
    (tmp_path / "pipelines.yaml").write_text(text)
    with serving(tmp_path, "--api-key", "sesame") as server:
        url = f"ws{server.url.removeprefix('http')}/v1/realtime?intent=transcription"
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, subprotocols=["realtime", "openai-insecure-api-key.wrong"])
        assert refused.value.response.status_code == 401
        own = server.url
        protocols = ["realtime", "openai-insecure-api-key.sesame"]
        with pytest.raises(InvalidStatus) as foreign:
            await connect(url, subprotocols=protocols, origin="http://evil.example")
        assert foreign.value.response.status_code == 403
        async with connect(url, subprotocols=protocols, origin=own) as socket:
            assert socket.subprotocol == "realtime"
            assert json.loads(await socket.recv())["type"] == "session.created"
            server.process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                await read_to_the_end(socket)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        assert server.process.wait(20) == 0


def test_an_open_address_without_a_key_is_refused(tmp_path: Path) -> None:
    ended = fastembed(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0")  # noqa: S104
    assert ended.returncode == 2
    assert ended.stderr.startswith("fastembed: found the address 0.0.0.0 and no API key, expected a key (--api-key")
    assert ended.stdout == ""


def test_a_bad_file_is_told_with_its_places(tmp_path: Path) -> None:
    (tmp_path / "pipelines.yaml").write_text(EMBEDDINGS.replace("embed:", "embedd:").replace("queue", "que"))
    ended = fastembed(tmp_path, "check")
    assert ended.returncode == 2
    assert "pipelines.yaml:5:" in ended.stderr
    assert "pipelines.yaml:6:" in ended.stderr
    assert "embed" in ended.stderr


def test_two_pipelines_on_one_route_are_refused(tmp_path: Path) -> None:
    text = EMBEDDINGS + EMBEDDINGS.partition("pipelines:\n")[2].replace("embeddings:", "twins:", 1)
    (tmp_path / "pipelines.yaml").write_text(text)
    ended = fastembed(tmp_path, "check")
    assert ended.returncode == 2
    assert "found POST /v1/embeddings in twins and in embeddings, expected one pipeline a route" in ended.stderr


def test_two_pipelines_on_one_websocket_are_refused(tmp_path: Path) -> None:
    speech = "{source: {websocket: /v1/realtime}, operators: [decode, vad, transcribe], sink: reply}"
    (tmp_path / "pipelines.yaml").write_text(f"version: 1\npipelines:\n  a: {speech}\n  b: {speech}\n")
    ended = fastembed(tmp_path, "check")
    assert ended.returncode == 2
    assert "found websocket /v1/realtime in b and in a, expected one pipeline a route" in ended.stderr


def test_every_metric_is_named_in_the_docs_and_every_metric_of_the_dashboard_exists(
    server: Serving, client: openai.OpenAI
) -> None:
    client.embeddings.create(model="auto", input=["Snow"])
    scraped = httpx2.get(f"{server.url}/metrics").text
    kinds = dict(re.findall(r"^# TYPE (fastembed_\w+) (\w+)$", scraped, re.MULTILINE))
    page = (ROOT / "docs" / "operations.md").read_text()
    named = set(re.findall(r"`(fastembed_\w+)`", page))
    assert {name for name, kind in kinds.items() if not name.endswith("_created")} <= named

    assert 'fastembed_model_tokens_total{kind="prompt",model="all-MiniLM-L6-v2"}' in scraped
    used = set()
    for file in ("grafana.json", "alerts.yaml"):
        used |= set(re.findall(r"fastembed_\w+", (ROOT / "deploy" / file).read_text()))
    assert {name.removesuffix("_bucket") for name in used} <= named
