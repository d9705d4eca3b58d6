"""GET /openapi.json, and that what it says of each field is what its endpoint does."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from starlette.applications import Starlette
from starlette.testclient import TestClient

from fastembed.pipeline.component import Resources
from fastembed.pipeline.errors import InvalidInput
from fastembed.server.endpoints import analyze, chat, completions, document_processing, embeddings, openapi, rerank
from fastembed.server.endpoints.context import PipelineView, ServerContext
from fastembed.server.endpoints.openapi import document
from fastembed.server.endpoints.registry import OWN_OPERATIONS, PIPELINE_ENDPOINTS
from fastembed.server.http.lifecycle import Lifecycle
from fastembed.server.observability.http_metrics import HttpMetrics
from fastembed.sources.http import HttpRoutes
from tests.unit.server.asgi import serving
from tests.unit.server.strict import strict

OPERATIONS = {
    operation.name: operation
    for operation in (*(endpoint.operation for endpoint in PIPELINE_ENDPOINTS.values()), *OWN_OPERATIONS)
}
USER = {"role": "user", "content": "hi"}
DECODERS = {
    chat.OPERATION: (chat.decode, {"model": "m", "messages": [USER]}),
    completions.OPERATION: (completions.decode, {"model": "m", "prompt": "a"}),
    embeddings.OPERATION: (embeddings.decode, {"model": "m", "input": "a"}),
    rerank.OPERATION: (rerank.decode, {"query": "q", "documents": ["a"]}),
    analyze.OPERATION: (analyze.decode, {"inputs": [{"type": "text", "text": "a"}]}),
    document_processing.OPERATION: (
        document_processing.decode,
        {"document": {"type": "pdf", "source": "base64", "content": "YQ=="}},
    ),
}
CASES = [
    pytest.param(operation.path, decode, body, name, schema, id=f"{operation.path} {name}")
    for operation, (decode, body) in ((op, DECODERS[op]) for op in DECODERS)
    for name, schema in operation.body["properties"].items()
]
WRONG = {"integer": 1.5, "number": "a", "boolean": 1, "string": 7, "array": "a", "object": "a"}


async def read(decode, body):
    found = decode(strict(body))
    return await found if inspect.isawaitable(found) else found


def test_the_document_is_openapi():
    found = document(OPERATIONS.values(), version="1")
    assert found["openapi"] == "3.1.0"
    for path, methods in found["paths"].items():
        assert path.startswith("/")
        for operation in methods.values():
            assert operation["summary"]
            assert set(operation["responses"]) == {"200", "default"}
            named = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}
            assert all(f"{{{name}}}" in path for name in named)
            assert path.count("{") == len(named)
            for body in operation.get("requestBody", {}).get("content", {}).values():
                Draft202012Validator.check_schema(body["schema"])


@pytest.mark.parametrize(("path", "decode", "body", "name", "schema"), CASES)
async def test_a_field_is_read_as_it_is_described(path, decode, body, name, schema):
    """Values of another type, beyond a bound or out of no choice are refused, and the field is named."""
    wrong = [schema["minimum"] - 1, schema["maximum"] + 1] if "minimum" in schema else []
    wrong += ["no such choice"] if "enum" in schema else []
    wrong += ["a" * (schema["maxLength"] + 1)] if "maxLength" in schema else []
    wrong += [WRONG[schema["type"]]] if "type" in schema else []
    for value in wrong:
        with pytest.raises(InvalidInput) as caught:
            await read(decode, {**body, name: value})
        assert caught.value.param is not None, (path, value)
        assert caught.value.param.startswith(name), (path, value)


@pytest.mark.parametrize("operation", DECODERS, ids=lambda operation: operation.path)
async def test_what_is_described_as_needed_is_needed_and_the_rest_is_not(operation):
    decode, body = DECODERS[operation]
    assert set(operation.body["required"]) == set(body)
    await read(decode, body)
    Draft202012Validator(operation.body).validate(body)
    for name in body:
        with pytest.raises(InvalidInput, match=f"found no {name}") as caught:
            await read(decode, {other: value for other, value in body.items() if other != name})
        assert caught.value.code == "missing_required_parameter"


@pytest.mark.parametrize("operation", [chat.OPERATION], ids=lambda operation: operation.path)
async def test_a_field_that_is_described_as_refused_is(operation):
    decode, body = DECODERS[operation]
    described = openapi.describe(operation)["requestBody"]["content"]["application/json"]["schema"]
    for name in operation.refused:
        with pytest.raises(InvalidInput, match=f"found (the deprecated )?{name}"):
            await read(decode, {**body, name: {}})
        assert not Draft202012Validator(described).is_valid({**body, name: {}})


class Running:
    def views(self):
        talk = PipelineView("talk", "websocket /v1/realtime", "reply", "at most once", (), "1", "running")
        return [talk, replace(talk, name="shout", source="http GET /shout")]


async def test_what_no_pipeline_serves_is_left_out_and_a_path_of_ones_own_is_in():
    routes, lifecycle = HttpRoutes(), Lifecycle()
    site = ServerContext(Running(), Resources(), routes, lifecycle, HttpMetrics(), lambda: b"", "1.2")
    client = TestClient(Starlette(routes=openapi.routes(site)))
    async with serving(routes, "POST /v1/embeddings", read), serving(routes, "GET /shout", read):
        found = client.get("/openapi.json").json()
    assert found["info"] == {"title": "FastEmbed", "version": "1.2"}
    assert "post" in found["paths"]["/v1/embeddings"]
    assert "get" in found["paths"]["/shout"]
    assert found["x-websockets"] == ["/v1/realtime"]
    assert "/v1/models/{name}" in found["paths"]
    assert "/v1/chat/completions" not in found["paths"]
    assert "/v1/files" not in found["paths"]


def test_every_endpoint_is_in_the_pages():
    page = (Path(__file__).parents[4] / "docs" / "http.md").read_text(encoding="utf-8")
    missing = [name for name in OPERATIONS if name.split(" ")[1].replace("{name:path}", "{id}") not in page]
    assert missing == []
