"""POST /v1/route: requests as clients send them, and what is said of each; with the models that ship, none loaded."""

import base64
import io

import pytest
from PIL import Image

from fastembed.inference.serving.models import Models
from fastembed.inference.serving.routing.router import Router
from fastembed.pipeline.component import Resources
from fastembed.server.app import create_app
from fastembed.server.endpoints import route
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.http.lifecycle import Lifecycle
from fastembed.server.observability.http_metrics import HttpMetrics
from fastembed.server.settings import ServerSettings
from fastembed.sources.http import HttpRoutes
from tests.unit.server.asgi import call

HELLO = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}


class Pipelines:
    """What runs: completions are left to a model of their own."""

    def default_model(self, path):
        return "code-pocket" if path == "/v1/completions" else "auto"


@pytest.fixture
def asked(tmp_path):
    """Return a function that posts a body to /v1/route."""
    models = Models.from_sections({"aliases": {"gpt-4o": "auto"}}, tmp_path)
    routes, lifecycle, stats = HttpRoutes(), Lifecycle(), HttpMetrics()
    lifecycle.serve()
    site = ServerContext(Pipelines(), Resources(models, Router(models)), routes, lifecycle, stats, lambda: b"", "0")
    app = create_app(ServerSettings(), routes=routes, lifecycle=lifecycle, stats=stats, endpoints=route.routes(site))

    async def asked(body):
        return await call(app, "POST", "/v1/route", body=body)

    return asked


async def test_a_chat_request_is_explained(asked):
    reply = await asked(HELLO)
    assert reply.status == 200
    found = reply.json
    assert (found["object"], found["endpoint"]) == ("route", "/v1/chat/completions")
    assert (found["profile"]["modalities"], found["profile"]["complexity"]) == (["text"], 0.0)
    assert found["requirements"]["reasoning"] == "simple"
    decision = found["decision"]
    assert decision["candidates"][0] == {
        "model": "chat-pocket",
        "device": "CPU",
        "pocket": True,
        "hears": False,
        "lesser": False,
    }
    assert decision["summary"].startswith("chat-pocket on CPU: simple request")
    assert decision["refusal"] is None


async def test_the_signals_of_a_difficulty_are_shown(asked):
    content = "Why? Compare both, step by step."
    reply = await asked(
        {"endpoint": "/v1/chat/completions", "request": {**HELLO, "messages": [{"role": "user", "content": content}]}}
    )
    (signal,) = reply.json["profile"]["signals"]
    assert signal == {"name": "reasoning", "value": 0.45, "found": "why, compare, step by step"}


async def test_a_refusal_is_told_as_the_request_would_be_answered(asked):
    reply = await asked({**HELLO, "model": "phi-4-mini"})
    assert reply.status == 200
    refusal = reply.json["decision"]["refusal"]
    assert (refusal["status"], refusal["code"]) == (404, "model_not_found")
    assert "fastembed pull phi-4-mini" in refusal["message"]


async def test_pictures_are_seen_by_the_analysis_too(asked):
    png = io.BytesIO()
    Image.new("RGB", (4, 4)).save(png, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"
    parts = [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    seen = {"model": "chat-pocket", "model_fallback": False, "messages": [{"role": "user", "content": parts}]}
    reply = await asked(seen)
    assert reply.json["requirements"]["vision"]
    assert reply.json["decision"]["refusal"]["code"] == "unsupported_content"
    left_out = await asked({**seen, "modality_routing": "force_text"})
    assert left_out.json["decision"]["left_out"] == ["image"]


async def test_files_are_seen_as_what_they_are(asked):
    async def of(name, data):
        part = {"type": "file", "file": {"filename": name, "file_data": base64.b64encode(data).decode()}}
        parts = [{"type": "text", "text": "what is this?"}, part]
        return (await asked({"model": "auto", "messages": [{"role": "user", "content": parts}]})).json

    found = await of("a.pdf", b"%PDF-1.7")
    assert found["profile"]["modalities"] == ["text", "document"]
    assert found["profile"]["resources"]["pages"] == 1
    assert found["decision"]["candidates"][0]["model"] == "chat-pocket"
    assert "documents become text first" in found["decision"]["reasons"]
    assert (await of("a.txt", b"a note"))["profile"]["modalities"] == ["text"]
    png = io.BytesIO()
    Image.new("RGB", (4, 4)).save(png, "PNG")
    assert (await of("a.pdf", png.getvalue()))["decision"]["candidates"][0]["model"] == "vision-pocket"


async def test_an_alias_is_told(asked):
    reply = await asked({**HELLO, "model": "gpt-4o"})
    assert reply.json["decision"]["reasons"][0] == "gpt-4o stands for auto in aliases"


@pytest.mark.parametrize(
    ("endpoint", "request_body", "task", "model"),
    [
        ("/v1/completions", {"model": "auto", "prompt": "def f("}, "chat", "code-pocket"),
        ("/v1/completions", {"model": "auto", "prompt": "Once upon a time"}, "chat", "code-pocket"),
        ("/v1/multimodal/analyze", {"inputs": [{"type": "text", "text": "hello"}]}, "chat", "chat-pocket"),
        ("/v1/embeddings", {"model": "auto", "input": ["a", "b"]}, "embedding", "all-MiniLM-L6-v2"),
        ("/v1/audio/transcriptions", {"model": "whisper-1", "seconds": 3}, "transcription", "whisper-base"),
        ("/v1/audio/transcriptions", {"model": "auto", "seconds": 3}, "transcription", "whisper-base"),
    ],
)
async def test_other_endpoints_are_explained(asked, endpoint, request_body, task, model):
    found = (await asked({"endpoint": endpoint, "request": request_body})).json
    assert (found["profile"]["task"], found["decision"]["candidates"][0]["model"]) == (task, model)


@pytest.mark.parametrize(
    ("endpoint", "request_body", "resources"),
    [
        ("/v1/rerank", {"query": "q", "documents": ["a", {"text": "b"}]}, {"inputs": 2}),
        ("/v1/documents/process", {"bytes": 150_000}, {"pages": 3}),
        ("/v1/documents/process", {"pages": 7, "model": "auto"}, {"pages": 7}),
    ],
)
async def test_what_a_request_takes_is_measured(asked, endpoint, request_body, resources):
    found = (await asked({"endpoint": endpoint, "request": request_body})).json["profile"]["resources"]
    assert found.items() >= resources.items()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"endpoint": "/v1/poetry", "request": {}}, "expected one of /v1/chat/completions, "),
        ({"endpoint": "/v1/embeddings", "requset": {}}, "found the unknown field 'requset'; did you mean request?"),
        ({"endpoint": "/v1/rerank", "request": {"query": "q"}}, "found no documents, expected a list of texts"),
        ({"model": "auto"}, "found no messages, expected a list of messages"),
        ([], "found a list, expected an object"),
    ],
)
async def test_a_request_that_is_none_is_refused_as_its_endpoint_would(asked, body, message):
    reply = await asked(body)
    assert reply.status == 400
    assert message in reply.error["message"]
