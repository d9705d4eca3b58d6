"""The SDK: an async client for a FastEmbed server.

    client = FastEmbedClient(base_url="http://localhost:8000")
    result = await client.embeddings.create(input=["text1", "text2"], model="bge-small-en-v1.5")
    result.data[0].embedding

Responses are the server's JSON with attributes. The official `openai` client works against the same server; this one
knows FastEmbed's own endpoints too. What the server does not offer (yet) it answers with 404, raised as `ServerError`.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, overload

if TYPE_CHECKING:
    import httpx2

DEFAULT_URL: Final = "http://127.0.0.1:8000"
_RETRIED: Final = frozenset({429, 503})


class ServerError(Exception):
    """The server refused: its error object. status 0: it could not be reached."""

    def __init__(self, status: int, error: Mapping[str, Any], request_id: str | None = None) -> None:
        """Keep the four fields of the error object."""
        self.status = status
        self.message = str(error.get("message", ""))
        self.type = error.get("type")
        self.param = error.get("param")
        self.code = error.get("code")
        self.request_id = request_id
        super().__init__(f"{status}: {self.message}" if status else self.message)


class Answer(dict[str, Any]):
    """A JSON object whose fields are attributes too."""

    def __getattr__(self, name: str) -> Any:
        """Return a field; AttributeError lists those there are."""
        try:
            return _answer(self[name])
        except KeyError:
            raise AttributeError(f"found no field {name!r}, the answer has {', '.join(self) or 'none'}") from None


def _answer(value: Any) -> Any:
    if isinstance(value, dict):
        return Answer(value)
    return [_answer(entry) for entry in value] if isinstance(value, list) and _nests(value) else value


def _nests(value: list[Any]) -> bool:
    return bool(value) and isinstance(value[0], dict)


class FastEmbedClient:
    """Talks to one server; use it as an async context manager, or call `close`.

    api_key: FASTEMBED_API_KEY by default. max_retries: further tries of a request that the server was too busy for.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout_s: float = 600.0,
        max_retries: int = 2,
    ) -> None:
        self.base_url = (base_url or os.environ.get("FASTEMBED_URL") or DEFAULT_URL).rstrip("/").removesuffix("/v1")
        self._api_key = api_key or os.environ.get("FASTEMBED_API_KEY", "").partition(",")[0].strip() or None
        self._timeout_s = timeout_s
        self._max_retries = max_retries
        self._http: httpx2.AsyncClient | None = None
        self.embeddings = EmbeddingsAPI(self)
        self.chat = ChatAPI(self)
        self.documents = DocumentsAPI(self)
        self.multimodal = MultimodalAPI(self)
        self.models = ModelsAPI(self)
        self.system = SystemAPI(self)

    async def analyze(
        self,
        text: str | None = None,
        images: Sequence[str] | None = None,
        audio: str | None = None,
        video: str | None = None,
        documents: Sequence[str] | None = None,
    ) -> Answer:
        """Ask about any mix of inputs: POST /v1/multimodal/analyze.

        images, audio, video, documents: paths of files, which are read and sent, or URLs. `analysis` of the answer is
        what is said.
        """
        from asyncio import to_thread

        inputs: list[dict[str, Any]] = [] if text is None else [{"type": "text", "text": text}]
        files = {"document": documents, "image": images, "audio": audio and [audio], "video": video and [video]}
        for kind, given in files.items():
            for entry in given or ():
                named = {} if kind != "document" or entry.startswith("data:") else {"filename": Path(entry).name}
                inputs.append({"type": kind, **named, **await to_thread(_content, entry)})
        return await self.multimodal.analyze(inputs=inputs)

    async def search(
        self, query: str, *, limit: int = 10, table: str | None = None, database: str | None = None
    ) -> list[Answer]:
        """Return the nearest chunks of the documents that the server's folder pipelines have read.

        table, database: only there, the database by its path or file name; by default in all of them.
        """
        only = {"table": table, "database": database}
        params = {"q": query, "limit": limit, **{key: value for key, value in only.items() if value is not None}}
        found = await self.request("GET", "/v1/search", params=params)
        return [Answer(hit) for hit in found["data"]]

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Send one request; return its JSON. Raises ServerError; waits and tries again while the server is busy."""
        from asyncio import sleep  # here, because `fastembed --help` imports this file and needs no event loop

        for attempt in range(self._max_retries + 1):
            response = await self._send(method, path, body, params)
            if response.status_code not in _RETRIED or attempt == self._max_retries:
                break
            await sleep(_retry_after_s(response.headers, attempt))
        if response.is_success:
            return Answer(response.json() if response.content else {})
        raise _error(response)

    async def events(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[Answer]:
        """Send one request whose answer is a stream; yield its events. Raises ServerError, also in the middle."""
        import httpx2

        http = self._connected()
        try:
            async with http.stream("POST", path, json=body) as response:
                if not response.is_success:
                    await response.aread()
                    raise _error(response)
                async for line in response.aiter_lines():
                    if line.startswith("data: ") and line != "data: [DONE]":
                        yield _event(json.loads(line[6:]), response)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, params: Mapping[str, Any] | None
    ) -> httpx2.Response:
        import httpx2

        http = self._connected()
        try:
            return await http.request(method, path, json=body, params=dict(params) if params else None)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error

    def _connected(self) -> httpx2.AsyncClient:
        import httpx2

        if self._http is None:
            headers = {"authorization": f"Bearer {self._api_key}"} if self._api_key else {}
            self._http = httpx2.AsyncClient(base_url=self.base_url, headers=headers, timeout=self._timeout_s)
        return self._http

    def _unreachable(self, error: Exception) -> ServerError:
        reason = str(error) or type(error).__name__
        return ServerError(0, {"message": f"cannot reach {self.base_url}: {reason}; start it with: fastembed serve"})


class EmbeddingsAPI:
    """`client.embeddings`."""

    def __init__(self, client: FastEmbedClient) -> None:
        self._client = client

    async def create(
        self,
        *,
        input: str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]],  # noqa: A002 - OpenAI's name
        model: str = "auto",
        **options: Any,
    ) -> Answer:
        """Embed: `dimensions`, `encoding_format`, `user`, and ours: `precision`, `normalize`, `batch_size`."""
        body = {"input": input, "model": model, **options}
        return await self._client.request("POST", "/v1/embeddings", body=body)


class ChatAPI:
    """`client.chat`."""

    def __init__(self, client: FastEmbedClient) -> None:
        self.completions = CompletionsAPI(client)


class CompletionsAPI:
    """`client.chat.completions`."""

    def __init__(self, client: FastEmbedClient) -> None:
        self._client = client

    @overload
    async def create(
        self,
        *,
        messages: Sequence[Mapping[str, Any]],
        model: str = ...,
        stream: Literal[False] | None = ...,
        **options: Any,
    ) -> Answer: ...
    @overload
    async def create(
        self, *, messages: Sequence[Mapping[str, Any]], model: str = ..., stream: Literal[True], **options: Any
    ) -> AsyncGenerator[Answer]: ...
    async def create(
        self,
        *,
        messages: Sequence[Mapping[str, Any]],
        model: str = "auto",
        stream: bool | None = None,
        **options: Any,
    ) -> Answer | AsyncGenerator[Answer]:
        """Send a chat to POST /v1/chat/completions; with `stream=True` return its chunks, one after the other.

        A stream raises ServerError when it is read, also for what goes wrong in its middle; leaving it early
        (`contextlib.aclosing`) ends the answer.
        """
        body = {"model": model, "messages": messages, **options}
        if stream:
            return self._client.events("/v1/chat/completions", {**body, "stream": True})
        return await self._client.request("POST", "/v1/chat/completions", body=body)


class DocumentsAPI:
    """`client.documents`."""

    def __init__(self, client: FastEmbedClient) -> None:
        self._client = client

    async def process(self, *, document: Mapping[str, Any], **options: Any) -> Answer:
        """Send one document to POST /v1/documents/process: `{"type", "path"}`, or as the endpoint takes it.

        path: a file, which is read and sent, or a URL. Without a `type` its ending says which it is.
        options: `extract_tables` and the other processing options, and `model`.
        """
        from asyncio import to_thread

        sent = dict(document)
        if "path" in sent:
            path = str(sent.pop("path"))
            sent = {"type": _document_type(path), **sent, **await to_thread(_content, path)}
        model = options.pop("model", None)
        body = {"document": sent, "processing_options": options, **({"model": model} if model else {})}
        return await self._client.request("POST", "/v1/documents/process", body=body)

    async def list(self, *, pipeline: str | None = None) -> list[Answer]:
        """Return every file that the folder pipelines know, and what became of it."""
        found = await self._client.request("GET", "/v1/documents", params={"pipeline": pipeline} if pipeline else None)
        return [Answer(row) for row in found["data"]]


class MultimodalAPI:
    """`client.multimodal`."""

    def __init__(self, client: FastEmbedClient) -> None:
        self._client = client

    async def analyze(self, *, inputs: Sequence[Mapping[str, Any]], **options: Any) -> Answer:
        """Send inputs to POST /v1/multimodal/analyze: `analysis_type`, `focus_areas`, `model` and the like."""
        return await self._client.request("POST", "/v1/multimodal/analyze", body={"inputs": inputs, **options})


class ModelsAPI:
    """`client.models`."""

    def __init__(self, client: FastEmbedClient) -> None:
        self._client = client

    async def list(self) -> list[Answer]:
        """Return the models that the server knows."""
        return [Answer(model) for model in (await self._client.request("GET", "/v1/models"))["data"]]

    async def retrieve(self, model: str) -> Answer:
        """Return one model."""
        return await self._client.request("GET", f"/v1/models/{model}")


class SystemAPI:
    """`client.system`."""

    def __init__(self, client: FastEmbedClient) -> None:
        self._client = client

    async def status(self) -> Answer:
        """Return the server's devices, loaded models and performance."""
        return await self._client.request("GET", "/v1/system/status")


def _content(entry: str) -> dict[str, str]:
    """Return how a URL or a file travels in JSON."""
    if entry.startswith(("http://", "https://")):
        return {"source": "url", "content": entry}
    if entry.startswith("data:"):
        return {"source": "base64", "content": entry}
    from base64 import b64encode

    return {"source": "base64", "content": b64encode(Path(entry).read_bytes()).decode("ascii")}


def _document_type(path: str) -> str:
    """Return what a file's ending says of it."""
    ending = Path(path.partition("?")[0]).suffix.lower().removeprefix(".")
    return {"htm": "html", "png": "image", "jpg": "image", "jpeg": "image"}.get(ending, ending)


def _retry_after_s(headers: Mapping[str, str], attempt: int) -> float:
    """Return how long to wait: as the server says (at most a minute), else half a second, doubling."""
    try:
        return min(60.0, float(headers["retry-after-ms"]) / 1000)
    except (KeyError, ValueError):
        return 0.5 * 2.0**attempt


def _event(event: dict[str, Any], response: httpx2.Response) -> Answer:
    """Return an event of a stream; raise the error that is one."""
    if "error" in event:
        raise ServerError(response.status_code, event["error"], response.headers.get("x-request-id"))
    return Answer(event)


def _error(response: httpx2.Response) -> ServerError:
    try:
        error = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        error = {"message": f"found {response.text[:200]!r}, expected an error object"}
    return ServerError(response.status_code, error, response.headers.get("x-request-id"))
