"""`SyncFastEmbedClient`: OpenAI's synchronous client, and this server's endpoints."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from openai import APIConnectionError, DefaultHttpxClient, OpenAI, Stream

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
from fastembed.client.asynchronous import FastEmbedClient
from fastembed.client.bodies import FileName, analysis_inputs, document_body, given
from fastembed.client.connection import TIMEOUT_S, bypasses_proxy, forget_openai, key_of, path_of, server_root
from fastembed.client.errors import unreachable
from fastembed.client.live import LivePiece
from fastembed.client.stream_retries import retry_stream


class SyncFastEmbedClient(OpenAI):
    """The client for code without `async`; parameters and errors are those of `FastEmbedClient`."""

    def __init__(
        self, base_url: object = None, api_key: Any = None, *, timeout: Any = TIMEOUT_S, **options: Any
    ) -> None:
        self.root = server_root(None if base_url is None else str(base_url))
        """The server's address, without `/v1`."""
        if options.get("http_client") is None and bypasses_proxy(self.root):
            options["http_client"] = DefaultHttpxClient(trust_env=False)
        key = api_key if callable(api_key) else key_of(api_key)
        super().__init__(base_url=f"{self.root}/v1", api_key=key, timeout=timeout, **options)
        forget_openai(self, options)

    @cached_property
    def documents(self) -> Documents:
        """Documents: read one now, or see what the folder pipelines have read."""
        return Documents(self)

    @cached_property
    def multimodal(self) -> Multimodal:
        """Pictures, sound, videos, documents and text in one question."""
        return Multimodal(self)

    @cached_property
    def system(self) -> System:
        """The server itself."""
        return System(self)

    def analyze(
        self,
        text: str | None = None,
        images: Sequence[FileName] | None = None,
        audio: FileName | None = None,
        video: FileName | None = None,
        documents: Sequence[FileName] | None = None,
        **options: Any,
    ) -> Analysis:
        """Ask about any mix of inputs, as `FastEmbedClient.analyze` does."""
        return self.multimodal.analyze(inputs=analysis_inputs(text, images, audio, video, documents), **options)

    def search(
        self, query: str, *, limit: int = 10, table: str | None = None, database: str | None = None
    ) -> list[SearchHit]:
        """Return the nearest chunks of the documents that the folder pipelines have read, best first."""
        params = {"q": query, "limit": limit, **given(table=table, database=database)}
        return [SearchHit.construct(**hit) for hit in self.call("GET", "/v1/search", params=params)["data"]]

    def ask(self, question: str, **options: Any) -> dict[str, Any]:
        """Answer a question from the documents that were read, with the passages that say so: POST /v1/ask."""
        return self.call("POST", "/v1/ask", body={"question": question, **options})

    def sql(self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None, **options: Any) -> SqlRows:
        """Query what the folder pipelines have read, read only, while the server runs: POST /v1/sql.

        params: for `?`, or by name for `$name`. options: `max_rows`, `timeout`, `database`.
        """
        body = {"query": query, **given(params=params), **options}
        return SqlRows.construct(**self.call("POST", "/v1/sql", body=body))

    def rerank(
        self, query: str, documents: Sequence[str | Mapping[str, Any]], *, model: str = "auto", **options: Any
    ) -> list[RankedDocument]:
        """Order documents by how well they answer a query, best first: POST /v1/rerank."""
        body = {"model": model, "query": query, "documents": list(documents), **options}
        return [RankedDocument.construct(**entry) for entry in self.call("POST", "/v1/rerank", body=body)["results"]]

    def route(self, request: Mapping[str, Any], *, endpoint: str = "/v1/chat/completions") -> RouteExplanation:
        """Return which model would answer a request, and why, without running it."""
        found = self.call("POST", "/v1/route", body={"endpoint": endpoint, "request": {"model": "auto", **request}})
        return RouteExplanation.construct(**found)

    def transcribe_live(self, audio: Iterable[bytes], **options: Any) -> Iterator[LivePiece]:
        """Transcribe speech while it is spoken, as `FastEmbedClient` does. Not inside a running event loop."""
        with asyncio.Runner() as runner:
            client = FastEmbedClient(self.root, self.api_key, max_retries=self.max_retries)
            pieces = client.transcribe_live(audio, **options)
            try:
                events = aiter(pieces)
                while (piece := runner.run(_next(events))) is not None:
                    yield piece
            finally:
                runner.run(pieces.aclose())
                runner.run(client.close())

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Send a request to any path of the server, such as `/v1/pipelines/reload`; return its JSON object."""
        send: Any = {"GET": self.get, "POST": self.post, "DELETE": self.delete, "PUT": self.put}[method]
        fields: dict[str, Any] = {"cast_to": object, "options": {"params": dict(params)} if params else {}}
        if method != "GET":
            fields["body"] = dict(body) if body is not None else None
        return cast("dict[str, Any]", send(path_of(self.root, path), **fields))

    if not TYPE_CHECKING:  # its overloads stay those of the official client

        def request(self, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None) -> Any:
            """Send a request as the official client does; say what to do if no server is there, and retry streams."""

            def send() -> Any:
                try:
                    return OpenAI.request(self, cast_to, options, stream=stream, stream_cls=stream_cls)
                except APIConnectionError as error:
                    raise unreachable(error, self.root) from error.__cause__

            answer = send()
            if isinstance(answer, Stream):
                retry_stream(answer, send, options.get_max_retries(self.max_retries))
            return answer


async def _next(pieces: Any) -> LivePiece | None:
    """Return the next piece, None at the end."""
    piece: LivePiece | None = await anext(pieces, None)
    return piece


class Documents:
    """`client.documents`."""

    def __init__(self, client: SyncFastEmbedClient) -> None:
        self._client = client

    def process(
        self, document: Mapping[str, Any] | FileName, *, model: str | None = None, **options: Any
    ) -> ProcessedDocument:
        """Read one document, as `FastEmbedClient.documents.process` does."""
        body = document_body(document, model, options)
        return ProcessedDocument.construct(**self._client.call("POST", "/v1/documents/process", body=body))

    def list(self, *, pipeline: str | None = None) -> list[DocumentEntry]:
        """Return every file that the folder pipelines know, and what became of it."""
        found = self._client.call("GET", "/v1/documents", params=given(pipeline=pipeline))
        return [DocumentEntry.construct(**row) for row in found["data"]]


class Multimodal:
    """`client.multimodal`."""

    def __init__(self, client: SyncFastEmbedClient) -> None:
        self._client = client

    def analyze(self, *, inputs: Sequence[Mapping[str, Any]], **options: Any) -> Analysis:
        """Send inputs to POST /v1/multimodal/analyze: `analysis_type`, `focus_areas`, `model` and the like."""
        body = {"inputs": [dict(entry) for entry in inputs], **options}
        return Analysis.construct(**self._client.call("POST", "/v1/multimodal/analyze", body=body))


class System:
    """`client.system`."""

    def __init__(self, client: SyncFastEmbedClient) -> None:
        self._client = client

    def status(self) -> SystemStatus:
        """Return the server's devices, loaded models, pipelines and performance."""
        return SystemStatus.construct(**self._client.call("GET", "/v1/system/status"))

    def pipelines(self) -> list[PipelineStatus]:
        """Return the pipelines that run."""
        return [PipelineStatus.construct(**entry) for entry in self._client.call("GET", "/v1/pipelines")["data"]]

    def reload(self) -> dict[str, Any]:
        """Read pipelines.yaml again; return what changed."""
        return self._client.call("POST", "/v1/pipelines/reload")
