"""`FastEmbedClient`: OpenAI's asynchronous client, and this server's endpoints."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from openai import APIConnectionError, AsyncOpenAI, AsyncStream, DefaultAsyncHttpxClient

from fastembed.client.answers import (
    Analysis,
    DocumentEntry,
    PipelineStatus,
    ProcessedDocument,
    RankedDocument,
    RouteExplanation,
    SearchHit,
    SqlRows,
    SystemStatus,
)
from fastembed.client.bodies import FileName, analysis_inputs, document_body, given
from fastembed.client.connection import TIMEOUT_S, bypasses_proxy, forget_openai, key_of, path_of, server_root
from fastembed.client.errors import unreachable
from fastembed.client.live import LiveTranscription
from fastembed.client.stream_retries import retry_async_stream


class FastEmbedClient(AsyncOpenAI):
    """Talks to one server; use it as an async context manager, or call `close`.

    base_url: with or without `/v1`; by default $FASTEMBED_URL, else the server that serves this folder, else
    http://127.0.0.1:8000. api_key: $FASTEMBED_API_KEY by default. options: as `openai.AsyncOpenAI` takes them, among
    them `timeout` (seconds a read may take) and `max_retries`, further tries of a request that found no server or a
    busy one, and of a stream until its first event. Errors are OpenAI's (`openai.APIError` is their root);
    `ServerUnreachable` says that no server is there.
    """

    def __init__(
        self, base_url: object = None, api_key: Any = None, *, timeout: Any = TIMEOUT_S, **options: Any
    ) -> None:
        self.root = server_root(None if base_url is None else str(base_url))
        """The server's address, without `/v1`."""
        if options.get("http_client") is None and bypasses_proxy(self.root):
            options["http_client"] = DefaultAsyncHttpxClient(trust_env=False)
        key = api_key if callable(api_key) else key_of(api_key)
        super().__init__(base_url=f"{self.root}/v1", api_key=key, timeout=timeout, **options)
        forget_openai(self, options)

    @cached_property
    def documents(self) -> AsyncDocuments:
        """Documents: read one now, or see what the folder pipelines have read."""
        return AsyncDocuments(self)

    @cached_property
    def multimodal(self) -> AsyncMultimodal:
        """Pictures, sound, videos, documents and text in one question."""
        return AsyncMultimodal(self)

    @cached_property
    def system(self) -> AsyncSystem:
        """The server itself."""
        return AsyncSystem(self)

    async def analyze(
        self,
        text: str | None = None,
        images: Sequence[FileName] | None = None,
        audio: FileName | None = None,
        video: FileName | None = None,
        documents: Sequence[FileName] | None = None,
        **options: Any,
    ) -> Analysis:
        """Ask about any mix of inputs: POST /v1/multimodal/analyze.

        images, audio, video, documents: paths of files, which are read and sent, or URLs. options: `model`,
        `analysis_type`, `focus_areas`, `max_tokens` and the like. `analysis` of the answer is the text.
        """
        inputs = await to_thread(analysis_inputs, text, images, audio, video, documents)
        return await self.multimodal.analyze(inputs=inputs, **options)

    async def search(
        self, query: str, *, limit: int = 10, table: str | None = None, database: str | None = None
    ) -> list[SearchHit]:
        """Return the nearest chunks of the documents that the server's folder pipelines have read, best first.

        table, database: only there, the database by its path or file name; by default in all of them.
        """
        params = {"q": query, "limit": limit, **given(table=table, database=database)}
        found = await self.call("GET", "/v1/search", params=params)
        return [SearchHit.construct(**hit) for hit in found["data"]]

    async def ask(self, question: str, **options: Any) -> dict[str, Any]:
        """Answer a question from the documents that were read, with the passages that say so: POST /v1/ask."""
        return await self.call("POST", "/v1/ask", body={"question": question, **options})

    async def sql(self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None, **options: Any) -> SqlRows:
        """Query what the folder pipelines have read, read only, while the server runs: POST /v1/sql.

        params: for `?`, or by name for `$name`. options: `max_rows`, `timeout`, `database`.
        """
        body = {"query": query, **given(params=params), **options}
        return SqlRows.construct(**await self.call("POST", "/v1/sql", body=body))

    async def rerank(
        self, query: str, documents: Sequence[str | Mapping[str, Any]], *, model: str = "auto", **options: Any
    ) -> list[RankedDocument]:
        """Order documents by how well they answer a query, best first: POST /v1/rerank. options: `top_n`, ..."""
        body = {"model": model, "query": query, "documents": list(documents), **options}
        found = await self.call("POST", "/v1/rerank", body=body)
        return [RankedDocument.construct(**entry) for entry in found["results"]]

    async def route(self, request: Mapping[str, Any], *, endpoint: str = "/v1/chat/completions") -> RouteExplanation:
        """Return which model would answer a request, and why, without running it. endpoint: whose body `request` is."""
        found = await self.call(
            "POST", "/v1/route", body={"endpoint": endpoint, "request": {"model": "auto", **request}}
        )
        return RouteExplanation.construct(**found)

    def transcribe_live(self, audio: AsyncIterable[bytes] | Iterable[bytes], **options: Any) -> LiveTranscription:
        """Transcribe speech while it is spoken: iterate over what it returns; a lost connection is made again.

        audio: 16-bit mono PCM as it is recorded. options: `rate_hz`, `model` and the other ones of `LiveTranscription`.
        """
        return LiveTranscription(self, audio, **options)

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Send a request to any path of the server, such as `/v1/pipelines/reload`; return its JSON object."""
        url, options = path_of(self.root, path), {"params": dict(params)} if params else {}
        send: Any = {"GET": self.get, "POST": self.post, "DELETE": self.delete, "PUT": self.put}[method]
        fields: dict[str, Any] = {"cast_to": object, "options": options}
        if method != "GET":
            fields["body"] = dict(body) if body is not None else None
        return cast("dict[str, Any]", await send(url, **fields))

    if not TYPE_CHECKING:  # its overloads stay those of the official client

        async def request(self, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None) -> Any:
            """Send a request as the official client does; say what to do if no server is there, and retry streams."""

            async def send() -> Any:
                try:
                    return await AsyncOpenAI.request(self, cast_to, options, stream=stream, stream_cls=stream_cls)
                except APIConnectionError as error:
                    raise unreachable(error, self.root) from error.__cause__

            answer = await send()
            if isinstance(answer, AsyncStream):
                retry_async_stream(answer, send, options.get_max_retries(self.max_retries))
            return answer


class AsyncDocuments:
    """`client.documents`."""

    def __init__(self, client: FastEmbedClient) -> None:
        self._client = client

    async def process(
        self, document: Mapping[str, Any] | FileName, *, model: str | None = None, **options: Any
    ) -> ProcessedDocument:
        """Read one document: POST /v1/documents/process.

        document: a path, which is read and sent, or a URL; or `{"type", "path"}`, or as the endpoint takes it.
        options: `extract_tables`, `output_format` and the other processing options.
        """
        body = await to_thread(document_body, document, model, options)
        return ProcessedDocument.construct(**await self._client.call("POST", "/v1/documents/process", body=body))

    async def list(self, *, pipeline: str | None = None) -> list[DocumentEntry]:
        """Return every file that the folder pipelines know, and what became of it."""
        found = await self._client.call("GET", "/v1/documents", params=given(pipeline=pipeline))
        return [DocumentEntry.construct(**row) for row in found["data"]]


class AsyncMultimodal:
    """`client.multimodal`."""

    def __init__(self, client: FastEmbedClient) -> None:
        self._client = client

    async def analyze(self, *, inputs: Sequence[Mapping[str, Any]], **options: Any) -> Analysis:
        """Send inputs to POST /v1/multimodal/analyze: `analysis_type`, `focus_areas`, `model` and the like."""
        body = {"inputs": [dict(entry) for entry in inputs], **options}
        return Analysis.construct(**await self._client.call("POST", "/v1/multimodal/analyze", body=body))


class AsyncSystem:
    """`client.system`."""

    def __init__(self, client: FastEmbedClient) -> None:
        self._client = client

    async def status(self) -> SystemStatus:
        """Return the server's devices, loaded models, pipelines and performance."""
        return SystemStatus.construct(**await self._client.call("GET", "/v1/system/status"))

    async def pipelines(self) -> list[PipelineStatus]:
        """Return the pipelines that run."""
        found = await self._client.call("GET", "/v1/pipelines")
        return [PipelineStatus.construct(**entry) for entry in found["data"]]

    async def reload(self) -> dict[str, Any]:
        """Read pipelines.yaml again; return what changed."""
        return await self._client.call("POST", "/v1/pipelines/reload")
