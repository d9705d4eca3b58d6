"""A server with one chat pipeline, run by the real runner, and the official client on it without sockets."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import orjson

from fastembed.pipeline.component import Resources, operator
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.chat import ChatDelta, ChatEvent, ChatFinished, ChatRequest, ChatStarted, TokenLogprob
from fastembed.pipeline.policy import QueuePolicy
from fastembed.pipeline.runner import Pipeline
from fastembed.pipeline.tasks import Tasks
from fastembed.pipeline.testing import plan_of, step
from fastembed.server.app import create_app
from fastembed.server.caching.cached_answers import CachedAnswers
from fastembed.server.conversations.store import ConversationStore
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.endpoints.registry import OwnEndpoint
from fastembed.server.http.lifecycle import Lifecycle
from fastembed.server.observability.http_metrics import HttpMetrics
from fastembed.server.settings import ServerSettings
from fastembed.sinks.reply import Reply as ReplySink
from fastembed.sources.http import Http, HttpRoutes
from tests.unit.server.asgi import Reply, call

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
STARTED = ChatStarted("parrot", state="pocket", route="asked for auto\r\nx: y")


async def parrot(item: Item[ChatRequest]) -> AsyncIterator[ChatEvent]:
    """Repeat the last message, word for word; call every tool where one is required; twice for n 2."""
    request = item.value
    yield STARTED
    said = request.prompt or request.messages[-1].text
    words = [word + " " for word in said.split(" ")[:-1]] + said.split(" ")[-1:]
    calls = request.tools if request.tool_choice == "required" or request.named_tool else ()
    for word in () if calls else words:
        for index in range(request.count):
            probable = (TokenLogprob(word, -0.5, (("ä", -math.inf),)),) if request.sampling.logprobs else ()
            yield ChatDelta(index, text=word, logprobs=probable)
    for place, tool in enumerate(calls):
        yield ChatDelta(tool_index=place, tool_id=f"call_{place}", tool_name=tool.name)
        for piece in ('{"said":', orjson.dumps(said).decode(), "}"):
            yield ChatDelta(tool_index=place, tool_arguments=piece)
    for index in range(request.count):
        count = len(words) * (index + 1)
        yield ChatFinished(index, "tool_calls" if calls else "stop", 3, count, cached_tokens=2, reasoning_tokens=1)


class Chatting:
    def __init__(self, app: Any, pipeline: Pipeline, lifecycle: Lifecycle) -> None:
        self.app = app
        self.lifecycle = lifecycle
        self.pipeline = pipeline
        self.client = openai.AsyncOpenAI(
            base_url="http://127.0.0.1:8000/v1",
            api_key="-",
            max_retries=0,
            http_client=httpx2.AsyncClient(transport=httpx2.ASGITransport(app)),
        )

    async def post(self, path: str = CHAT, /, **body: Any) -> Reply:
        asked = {"prompt": "hi"} if path == COMPLETIONS else {"messages": [{"role": "user", "content": "hello you"}]}
        return await call(self.app, "POST", path, body={"model": "auto", **asked, **body})

    async def events(self, path: str = CHAT, /, **body: Any) -> list[Any]:
        """Return the stream's objects, and its last word."""
        found = await self.post(path, stream=True, **body)
        assert found.status == 200, found.body
        assert found.headers["content-type"] == "text/event-stream; charset=utf-8"
        lines = found.body.decode().split("\n\n")
        assert lines.pop() == ""
        assert all(line.startswith("data: ") for line in lines)
        return [line[6:] if line == "data: [DONE]" else orjson.loads(line[6:]) for line in lines]


@asynccontextmanager
async def chatting(
    answer: Callable[..., Any] = parrot,
    path: str = CHAT,
    cached_answers: CachedAnswers | None = None,
    *,
    wires: Sequence[OwnEndpoint] = (),
    store: Path | None = None,
    settings: ServerSettings | None = None,
) -> AsyncIterator[Chatting]:
    """Serve one pipeline whose only operator is `answer`. wires: endpoints that lead to it; store: of conversations."""
    routes, lifecycle, crashes = HttpRoutes(), Lifecycle(), []
    lifecycle.serve()
    plan = plan_of(
        Http,
        {"route": f"POST {path}"},
        step(operator(answer), workers=8),
        sink_type=ReplySink,
        queue=QueuePolicy(overflow="reject"),
    )
    pipeline = Pipeline(plan, Resources(routes))
    await pipeline.open()
    tasks = Tasks(crashes.append)
    running = tasks.start(pipeline.run(), name="pipeline")
    conversations = ConversationStore(store / "conversations.sqlite") if store else None
    site = ServerContext(
        None, Resources(routes), routes, lifecycle, HttpMetrics(), bytes, "0", conversations=conversations, tasks=tasks
    )
    app = create_app(
        settings or ServerSettings(),
        routes=routes,
        lifecycle=lifecycle,
        stats=HttpMetrics(),
        cached_answers=cached_answers,
        endpoints=[route for wire in wires for route in wire.routes(site)],
    )
    served = Chatting(app, pipeline, lifecycle)
    try:
        yield served
    finally:
        await served.client.close()
        pipeline.stop()
        await pipeline.drain(1)
        await running
        await tasks.close()
        if conversations is not None:
            conversations.close()
        assert crashes == []
