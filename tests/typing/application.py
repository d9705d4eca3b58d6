"""An application that uses both clients: type checkers know what each answer has, and it runs (tests/e2e)."""

from __future__ import annotations

from pathlib import Path

from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam

from fastembed import FastEmbedClient, SyncFastEmbedClient

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]


def model_names(client: SyncFastEmbedClient) -> list[str]:
    """Return what can be named."""
    return [model.id for model in client.models.list()]


async def count_of(client: AsyncOpenAI, text: str) -> int:
    """Return how long a vector is; takes whatever is an OpenAI client."""
    answer = await client.embeddings.create(model="auto", input=text)
    return len(answer.data[0].embedding)


async def streamed(client: FastEmbedClient) -> str:
    """Return an answer that came in pieces."""
    stream = await client.chat.completions.create(model="auto", messages=HELLO, temperature=0, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


async def title_of(client: FastEmbedClient, document: Path) -> tuple[str, list[list[list[str]]]]:
    """Return a document's title, and the rows of its tables."""
    found = await client.documents.process(document, extract_tables=True)
    return found.title, [table.rows for table in found.tables or ()]


async def chosen(client: FastEmbedClient) -> tuple[str, bool]:
    """Return which model would answer, and whether this machine has an NPU."""
    route = await client.route({"messages": HELLO})
    status = await client.system.status()
    return route.decision.summary.partition(" ")[0], status.npu.available


def rows(client: SyncFastEmbedClient) -> list[dict[str, object]]:
    """Return what a query finds."""
    return client.sql("SELECT $one AS one", {"one": 1}).data
