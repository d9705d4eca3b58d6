"""Answers that are given again: which, to whom, and what is never kept."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastembed.inference.serving.models import Models
from fastembed.pipeline.errors import Unavailable
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.chat import (
    AudioPart,
    ChatDelta,
    ChatFinished,
    ChatRequest,
    ChatStarted,
    DocumentPart,
    ImagePart,
    TextPart,
)
from fastembed.pipeline.payload.embedding import EmbeddingRequest, Embeddings
from fastembed.pipeline.payload.rerank import Ranked, Ranking, RerankRequest
from fastembed.server.app import create_app
from fastembed.server.caching.cached_answers import CachedAnswers, digest, revisions
from fastembed.server.caching.response_cache import CacheLimits, ResponseCache
from fastembed.server.http.lifecycle import Lifecycle
from fastembed.server.observability.http_metrics import HttpMetrics
from fastembed.server.settings import ServerSettings
from fastembed.sources.http import HttpRoutes
from tests.conversation import asked, turn
from tests.unit.server.asgi import call, serving
from tests.unit.server.chatting import COMPLETIONS, chatting, parrot


class Counted:
    """A parrot that counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def answer(self, item: Item[ChatRequest]):
        self.asked += 1
        async for event in parrot(item):
            yield event


def cached_answers(revision: str = "1") -> CachedAnswers:
    return CachedAnswers(ResponseCache(CacheLimits(10**6)), lambda name, task: f"{name} {task} {revision}")


def counting():
    counted = Counted()

    async def answer(item: Item[ChatRequest]):
        async for event in counted.answer(item):
            yield event

    return counted, answer


async def test_a_deterministic_answer_is_given_again_in_one_piece_and_as_a_stream():
    counted, answer = counting()
    async with chatting(answer, cached_answers=cached_answers()) as served:
        first = await served.post(temperature=0)
        again = await served.post(temperature=0)
        streamed = await served.post(temperature=0, stream=True)
    assert [found.headers["x-fastembed-cache"] for found in (first, again, streamed)] == ["miss", "hit", "hit"]
    assert again.json["choices"] == first.json["choices"]
    assert again.json["usage"] == first.json["usage"]
    assert again.json["id"] != first.json["id"]
    assert again.headers["x-fastembed-model"] == "parrot"
    assert streamed.body.count(b'"delta"') >= 3
    assert streamed.body.endswith(b"data: [DONE]\n\n")
    assert counted.asked == 1


async def test_a_stream_is_kept_too():
    counted, answer = counting()
    async with chatting(answer, cached_answers=cached_answers()) as served:
        assert (await served.post(seed=7, stream=True)).headers["x-fastembed-cache"] == "miss"
        assert (await served.post(seed=7)).headers["x-fastembed-cache"] == "hit"
    assert counted.asked == 1


@pytest.mark.parametrize("options", [{}, {"temperature": 0.5}, {"temperature": 1, "n": 2}])
async def test_an_answer_of_chance_is_not_kept(options):
    counted, answer = counting()
    async with chatting(answer, cached_answers=cached_answers()) as served:
        for _ in range(2):
            assert "x-fastembed-cache" not in (await served.post(**options)).headers
    assert counted.asked == 2


async def test_without_a_cache_nothing_is_said_of_one():
    async with chatting() as served:
        assert "x-fastembed-cache" not in (await served.post(temperature=0)).headers


@pytest.mark.parametrize(
    "change",
    [
        {"messages": [{"role": "user", "content": "hello me"}]},
        {"model": "other"},
        {"max_tokens": 5},
        {"seed": 1},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"response_format": {"type": "json_object"}},
        {"n": 2},
    ],
)
async def test_another_request_gets_another_answer(change):
    counted, answer = counting()
    async with chatting(answer, cached_answers=cached_answers()) as served:
        await served.post(temperature=0)
        found = await served.post(**{"temperature": 0, **change})
    assert found.headers["x-fastembed-cache"] == "miss"
    assert counted.asked == 2


async def test_a_client_may_want_a_fresh_answer():
    counted, answer = counting()
    async with chatting(answer, cached_answers=cached_answers()) as served:
        body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "temperature": 0}
        for _ in range(2):
            await call(served.app, "POST", "/v1/chat/completions", body=body, headers={"cache-control": "no-cache"})
    assert counted.asked == 2


async def test_completions_of_several_prompts_are_a_hit_if_all_are():
    async with chatting(path=COMPLETIONS, cached_answers=cached_answers()) as served:
        await served.post(COMPLETIONS, prompt="a b", temperature=0)
        mixed = await served.post(COMPLETIONS, prompt=["a b", "c d"], temperature=0)
        again = await served.post(COMPLETIONS, prompt=["c d", "a b"], temperature=0)
    assert [mixed.headers["x-fastembed-cache"], again.headers["x-fastembed-cache"]] == ["miss", "hit"]
    assert [choice["text"] for choice in again.json["choices"]] == ["c d", "a b"]


async def test_an_error_is_not_kept():
    asked = 0

    async def fails_first(item: Item[ChatRequest]):
        nonlocal asked
        asked += 1
        yield ChatStarted(item.value.model)
        yield ChatDelta(text="half")
        if asked == 1:
            raise Unavailable("gone")
        yield ChatFinished(0, "stop", 1, 1)

    async with chatting(fails_first, cached_answers=cached_answers()) as served:
        assert (await served.post(temperature=0)).status == 503
        assert (await served.post(temperature=0)).headers["x-fastembed-cache"] == "miss"
        assert (await served.post(temperature=0)).headers["x-fastembed-cache"] == "hit"


async def test_an_answer_without_an_end_is_not_kept():
    async def unfinished(item: Item[ChatRequest]):
        del item
        yield ChatStarted("m")
        yield ChatDelta(text="half")

    kept = cached_answers()
    async with chatting(unfinished, cached_answers=kept) as served:
        assert (await served.post(temperature=0)).status == 500
    assert len(kept.cache) == 0


async def test_an_answer_that_was_cancelled_is_not_kept_and_lets_the_next_one_run():
    gone, started, go_on, asked = asyncio.Event(), asyncio.Event(), asyncio.Event(), 0

    async def slow(item: Item[ChatRequest]):
        nonlocal asked
        asked += 1
        started.set()
        yield ChatStarted("m")
        await go_on.wait()
        async for event in parrot(item):
            if not isinstance(event, ChatStarted):
                yield event

    body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "temperature": 0}
    async with chatting(slow, cached_answers=cached_answers()) as served:
        leaving = asyncio.create_task(call(served.app, "POST", "/v1/chat/completions", body=body, leave=gone))
        await started.wait()
        waiting = asyncio.create_task(served.post(messages=body["messages"], temperature=0))
        await asyncio.sleep(0)
        gone.set()
        await leaving
        go_on.set()
        found = await waiting
    assert (found.status, found.headers["x-fastembed-cache"], asked) == (200, "miss", 2)


async def test_equal_requests_at_the_same_time_are_answered_by_one():
    asked, go_on, started = 0, asyncio.Event(), asyncio.Event()

    async def slow(item: Item[ChatRequest]):
        nonlocal asked
        asked += 1
        started.set()
        await go_on.wait()
        async for event in parrot(item):
            yield event

    kept = cached_answers()
    async with chatting(slow, cached_answers=kept) as served:
        first = asyncio.create_task(served.post(temperature=0))
        await started.wait()
        others = [asyncio.create_task(served.post(temperature=0)) for _ in range(5)]
        await asyncio.sleep(0)
        go_on.set()
        answers = await asyncio.gather(first, *others)
    assert asked == 1
    assert [found.headers["x-fastembed-cache"] for found in answers] == ["miss", *["hit"] * 5]
    assert kept.cache.hit_rate == pytest.approx(5 / 6)


async def test_embeddings_are_always_kept():
    asked, routes, lifecycle = 0, HttpRoutes(), Lifecycle()

    async def embed(item: Item[EmbeddingRequest]) -> None:
        nonlocal asked
        asked += 1
        count = len(item.value.inputs)
        await item.reply.send(Embeddings(np.ones((count, 4), np.float32), [2] * count, "m"))

    lifecycle.serve()
    app = create_app(
        ServerSettings(), routes=routes, lifecycle=lifecycle, stats=HttpMetrics(), cached_answers=cached_answers()
    )
    async with serving(routes, "POST /v1/embeddings", embed):
        body = {"model": "auto", "input": ["a", "b"]}
        first = await call(app, "POST", "/v1/embeddings", body=body)
        again = await call(app, "POST", "/v1/embeddings", body={**body, "encoding_format": "base64"})
        other = await call(app, "POST", "/v1/embeddings", body={**body, "dimensions": 2})
    assert [found.headers["x-fastembed-cache"] for found in (first, again, other)] == ["miss", "hit", "miss"]
    assert again.json["usage"] == first.json["usage"]
    assert asked == 2


async def test_rankings_are_always_kept():
    asked, routes, lifecycle = 0, HttpRoutes(), Lifecycle()

    async def rank(item: Item[RerankRequest]) -> None:
        nonlocal asked
        asked += 1
        await item.reply.send(Ranking((Ranked(1, 0.9), Ranked(0, 0.1)), "m", "CPU", 7))

    lifecycle.serve()
    app = create_app(
        ServerSettings(), routes=routes, lifecycle=lifecycle, stats=HttpMetrics(), cached_answers=cached_answers()
    )
    async with serving(routes, "POST /v1/rerank", rank):
        body = {"model": "auto", "query": "q", "documents": ["a", "b"]}
        first, again = [await call(app, "POST", "/v1/rerank", body=body) for _ in range(2)]
        other = await call(app, "POST", "/v1/rerank", body={**body, "query": "p"})
    assert [found.headers["x-fastembed-cache"] for found in (first, again, other)] == ["miss", "hit", "miss"]
    assert again.json["results"] == first.json["results"]
    assert asked == 2


def test_pictures_and_sound_are_part_of_what_is_asked():
    def asking(part) -> bytes:
        return digest("p", asked(turn("what?", part)))

    pixels = np.zeros((2, 2, 3), np.uint8)
    different = [
        ImagePart(pixels),
        ImagePart(pixels + 1),
        ImagePart(pixels.reshape(1, 4, 3)),
        ImagePart(pixels, "low"),
        DocumentPart(b"%PDF-1", "a.pdf"),
        DocumentPart(b"%PDF-2", "a.pdf"),
        AudioPart(np.zeros(12, np.float32)),
        TextPart("p"),
    ]
    assert len({asking(part) for part in different}) == len(different)
    assert asking(ImagePart(pixels.copy())) == asking(ImagePart(pixels))


def test_every_field_of_a_request_is_part_of_what_is_asked():
    request = EmbeddingRequest(["a"], dimensions=3)
    assert (
        len({digest("p", r) for r in (request, replace(request, normalize=False), replace(request, inputs=[[1]]))}) == 3
    )
    assert digest("p", request) != digest("q", request)


def test_a_model_whose_files_changed_is_another(tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(Path(__file__).parents[4] / "models" / "chat-pocket", folder)
    revision = revisions(Models.from_sections({"models": {"mine": {"from": str(folder)}}}, tmp_path).catalog)
    before = revision("mine", "chat")
    assert revision("mine", "chat") == before
    (folder / "config.json").rename(folder / "old.json")
    (folder / "old.json").rename(folder / "config.json")
    assert revision("mine", "chat") != before
    assert revision("auto", "embedding") == revision("all-MiniLM-L6-v2", "embedding")
    assert revision("nothing of this name", "chat") == "nothing of this name"
