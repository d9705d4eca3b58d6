"""Every operation of the server's own description, with right, wrong and mutated requests over real sockets.

No answer is a 5xx but one that names what passes (503), none hangs, every error has the one shape, and what answers is
what /openapi.json says. `pytest tests/e2e/test_mutated_requests.py --requests 20000` sends more.
"""

from __future__ import annotations

import asyncio
import copy
import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator

from tests.e2e.serving import Serving, serving

PIPELINES = """
version: 1
pipelines:
  chat:
    source: {http: POST /v1/chat/completions, queue: 64, overflow: reject}
    operators: [read, {generate: {max_tokens: 8}}]
    sink: reply
  completions:
    source: {http: POST /v1/completions, queue: 64, overflow: reject}
    operators: [{generate: {max_tokens: 8}}]
    sink: reply
  embeddings:
    source: {http: POST /v1/embeddings, queue: 64, overflow: reject}
    operators: [embed]
    sink: reply
  rerank:
    source: {http: POST /v1/rerank, queue: 64, overflow: reject}
    operators: [rerank]
    sink: reply
  documents:
    source: {http: POST /v1/documents/process, queue: 16, overflow: reject}
    operators: [{parse: {ahead: false}}]
    sink: reply
  shout:
    source: {http: POST /shout}
    operators: [{map: item.value}]
    sink: reply
  batches:
    source: {batches: {}, queue: 4}
    operators: [request]
    sink: reply
  papers:
    source: {folder: inbox}
    operators: [parse, chunk, embed]
    sink: {duckdb: data/lake.duckdb, table: chunks}
"""
TIMEOUT_S = 120  # a parser process that starts anew on a busy machine takes half a minute
SIDE_BY_SIDE = 12
LEFT_OUT = ("/mcp", "/v1/models/pull", "/api/pull")
"""What speaks another protocol, and what asks the network."""
VALUES = [
    *(None, True, False, 0, -1, 1, 2**40, 2**64, 1.5, 1e308, 5e-324, "", "x", "a" * 300, "\x00", "auto", "none"),
    *([], {}, [[]], [{}], {"a": 1}, [1], ["x"], {"type": "x"}, [None]),
    *(
        "data:image/png;base64,AAAA",
        f"file-{'0' * 32}",
        "resp_x",
        "../../etc/passwd",
        "SELECT 1",
        "http://127.0.0.1:1/",
    ),
]
RIGHT = {"model": "auto", "content": "hi", "role": "user", "url": "http://127.0.0.1:1/", "query": "ferry"}
BODIES = {
    "/v1/chat/completions": {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4},
    "/v1/embeddings": {"model": "auto", "input": ["a", "b"], "encoding_format": "float"},
    "/v1/responses": {"model": "auto", "input": "hi", "max_output_tokens": 4},
    "/v1/messages": {"model": "auto", "max_tokens": 4, "messages": [{"role": "user", "content": "hi"}]},
    "/api/chat": {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "options": {"num_predict": 4}},
    "/v1/documents/process": {"document": {"type": "md", "source": "base64", "content": "IyBoaQ=="}},
    "/v1/convert/source": {"sources": [{"kind": "file", "base64_string": "IyBoaQ==", "filename": "a.md"}]},
    "/v1/sql": {"query": "SELECT 1 AS one"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("mutated")
    (folder / "pipelines.yaml").write_text(PIPELINES)
    with serving(folder, environ={"FASTEMBED_HOME": str(folder / "home")}) as running:
        yield running


def sample(schema: Any, chance: random.Random, name: str = "") -> Any:
    """Return a value of a schema: what is required, and some of the rest."""
    if not isinstance(schema, dict) or "not" in schema:
        return None
    if "anyOf" in schema:
        return sample(chance.choice(schema["anyOf"]), chance, name)
    kind = "enum" if "enum" in schema else schema.get("type")
    if kind == "object":
        needed = set(schema.get("required", ()))
        fields = schema.get("properties", {})
        return {key: sample(fields[key], chance, key) for key in fields if key in needed or chance.random() < 0.15}
    if kind == "array":
        return [sample(schema.get("items", {}), chance, name) for _ in range(chance.choice([0, 1, 1, 2]))]
    simple = {"enum": schema.get("enum", [None])[0], "boolean": chance.random() < 0.5}
    simple |= dict.fromkeys(("integer", "number"), schema.get("minimum", 0))
    return simple.get(str(kind), RIGHT.get(name, "a"))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield from places(inner, (*path, key))


def mutated(body: Any, chance: random.Random) -> Any:
    """Return a body with up to three values that are lost, doubled or others."""
    body = copy.deepcopy(body)
    for _ in range(chance.choice([0, 1, 1, 2, 3])):
        if not (paths := list(places(body))):
            return copy.deepcopy(chance.choice(VALUES))
        *outer, last = chance.choice(paths)
        holder = body
        for key in outer:
            holder = holder[key]
        if chance.random() < 0.2 and isinstance(holder, dict):
            del holder[last]
        else:
            holder[last] = copy.deepcopy(chance.choice(VALUES))
    return body


def request_of(method: str, path: str, operation: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Return the arguments of a request to an operation."""
    given = operation["parameters"]
    for one in (one for one in given if one["in"] == "path"):
        path = path.replace(f"{{{one['name']}}}", chance.choice(["x", "file-" + "0" * 32, "%00", "auto", "a" * 300]))
    query = {one["name"]: chance.choice([1, "x", -1, "", 2**70]) for one in given if one["in"] == "query"}
    sent: dict[str, Any] = {"method": method.upper(), "url": path}
    sent["params"] = {name: value for name, value in query.items() if chance.random() < 0.4}
    content = operation.get("requestBody", {}).get("content", {})
    for media, described in content.items():
        body = BODIES[path] if path in BODIES and chance.random() < 0.5 else sample(described["schema"], chance)
        if media == "application/json":
            raw = json.dumps(mutated(body, chance)).encode()
            if chance.random() < 0.05:
                raw = raw[: chance.randrange(len(raw))]
            sent |= {"content": raw, "headers": {"content-type": media}}
        else:
            fields = {key: str(value)[:200] for key, value in body.items()} if isinstance(body, dict) else {}
            file = chance.choice([b"", b"# hi", b"%PDF-1.4", b"RIFF", bytes(50)])
            name = chance.choice(["file", "data", "files", "x"])
            sent |= {"data": fields, "files": {name: (chance.choice(["a.md", "a.pdf", "", "../a"]), file)}}
    return sent


def wrong_with(reply: httpx2.Response, operation: dict[str, Any], components: dict[str, Any]) -> str:
    """Return what is wrong with an answer; "" for nothing."""
    if reply.status_code >= 500 and reply.status_code != 503:
        return f"status {reply.status_code}"
    media = reply.headers.get("content-type", "").partition(";")[0]
    if reply.status_code >= 400:
        error = operation["responses"]["default"]["content"]["application/json"]["schema"]
        right = media == "application/json" and Draft202012Validator({**error, "components": components}).is_valid(
            reply.json()
        )
        return "" if right and "error" in reply.json() else "the error's shape"
    described = operation["responses"]["200"]["content"]
    if media and media != "application/x-ndjson" and media not in described and media != "text/event-stream":
        return f"{media}, described are {', '.join(described)}"
    if media == "application/json" and reply.content:
        problem = next(Draft202012Validator(described.get(media, {}).get("schema", {})).iter_errors(reply.json()), None)
        return "" if problem is None else f"the description: {problem.message}"
    return ""


@pytest.mark.timeout(7200)
async def test_no_request_makes_the_server_fail_hang_or_answer_otherwise_than_described(
    server: Serving, request: pytest.FixtureRequest
) -> None:
    count = int(request.config.getoption("--requests"))
    chance = random.Random(20261130)
    wrong: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    async with httpx2.AsyncClient(base_url=server.url, timeout=TIMEOUT_S) as client:
        description = (await client.get("/openapi.json")).json()
        paths, components = description["paths"], description["components"]
        path = "/v1/documents/process"  # its process takes seconds to start
        assert (await client.post(path, json=BODIES[path], timeout=120)).status_code == 200
        operations = [
            (method, path, operation)
            for path, methods in paths.items()
            if path not in LEFT_OUT
            for method, operation in methods.items()
        ]
        turns = iter(range(count))

        async def send_some() -> None:
            for turn in turns:
                method, path, operation = operations[turn % len(operations)]
                sent = request_of(method, path, operation, chance)
                try:
                    reply = await client.request(**sent)
                except httpx2.TimeoutException:
                    wrong[f"{method} {path}: hangs: {sent}"] += 1
                    continue
                except (httpx2.InvalidURL, ValueError):  # the client itself sends no such thing
                    continue
                statuses[reply.status_code] += 1
                if said := wrong_with(reply, operation, components):
                    wrong[f"{method} {path}: {said}: {str(sent)[:600]}: {reply.text[:300]}"] += 1

        await asyncio.gather(*(send_some() for _ in range(SIDE_BY_SIDE)))
        assert (await client.get("/readyz")).status_code == 200
    assert wrong == {}, "\n".join(list(wrong)[:20])
    assert "internal error" not in server.errors()
    assert statuses[200] > count / 20
    assert statuses[400] > count / 20
