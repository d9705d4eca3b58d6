"""Components to configure, and a way to read a text with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from fastembed.pipeline.component import Batch, Failure, operator, sink, source
from fastembed.pipeline.config.load import parse
from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.document import Chunk, Document, File
from fastembed.pipeline.plan import Configuration
from fastembed.pipeline.registry import Registry
from fastembed.pipeline.units import Duration, Size


@source
class Folder:
    """Yields the files of a folder.

    Args:
        path: the folder to watch.
        match: which files,
            as a glob.
    """

    replayable = True

    def __init__(self, path: Path, *, match: str = "*", settle: Duration = 2.0) -> None:
        self.path, self.match, self.settle = path, match, settle

    async def items(self) -> AsyncIterator[Item[File]]:
        return
        yield


@source
class Http:
    """Takes requests."""

    order: Literal["none"] = "none"

    def __init__(self, route: str) -> None:
        if route == "nowhere":
            raise ValueError(f"found route {route!r}, expected METHOD /path")
        self.route = route

    async def items(self) -> AsyncIterator[Item[Any]]:
        return
        yield


@source
class Websocket:
    """Takes sessions."""

    def __init__(self, path: str) -> None:
        self.path = path

    async def items(self) -> AsyncIterator[Item[Any]]:
        return
        yield


@operator
def analyze(value: Any) -> Any:
    """Look at it."""
    return value


@operator
async def parse_file(file: File, *, ocr: Literal["auto", "never", "always"] = "auto") -> Document:
    """Read a file."""
    raise NotImplementedError(file, ocr)


@operator
class Chunker:
    """Cuts documents."""

    def __init__(self, tokens: Annotated[int, Field(ge=1)] = 400, *, overlap: int = 40) -> None:
        self.tokens, self.overlap = tokens, overlap

    def __call__(self, document: Document) -> Iterator[Chunk]:
        raise NotImplementedError(document)


@operator
class Embed:
    """Gives chunks a vector."""

    def __init__(self, *, model: str = "auto", key: SecretStr | None = None, token: str = "") -> None:
        self.model, self.key, self.token = model, key, token

    async def __call__(self, chunks: Batch[Chunk]) -> list[Chunk]:
        return list(chunks)


@operator
class Vad:
    """Finds speech."""

    def __init__(self, *, silence: Duration = 0.5, buffer: Size = 0) -> None:
        self.silence, self.buffer = silence, buffer

    async def __call__(self, stream: AsyncIterator[Item[Any]]) -> AsyncIterator[Any]:
        async for item in stream:
            yield item.value


@operator
def decode(value: Any, *, rate: int = 16_000) -> Any:
    """Make samples of it."""
    return value, rate


@operator
async def transcribe(value: Any, *, model: str = "auto") -> Any:
    """Write speech down."""
    return value, model


@operator
def tokenize(text: str, *, names: list[str] | None = None, home: Path = Path("cache"), ratio: float = 0.5) -> list[int]:
    """Turn text into numbers."""
    return [len(text), len(names or ()), len(str(home)), int(ratio)]


@operator
def total(numbers: list[int]) -> int:
    """Add up."""
    return sum(numbers)


@sink
async def reply(value: Any) -> None:
    """Send it back."""
    raise NotImplementedError(value)


@sink
class Duckdb:
    """Keeps rows."""

    transactional = True

    def __init__(self, path: Path, *, table: str = "chunks", password: str = "") -> None:
        self.path, self.table, self.password = path, table, password

    async def write(self, item: Item[Chunk]) -> None:
        raise NotImplementedError(item)

    async def commit(self, origin: Item[Any]) -> None:
        raise NotImplementedError(origin)

    async def abort(self, origin: Item[Any]) -> None:
        raise NotImplementedError(origin)


@sink
class FolderSink:
    """Keeps what failed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def write(self, item: Item[Failure | File]) -> None:
        raise NotImplementedError(item)


COMPONENTS = (Folder, Http, Websocket, analyze, decode, Embed, Vad, transcribe, tokenize, total, reply, Duckdb)


class Device(BaseModel):
    model_config = ConfigDict(extra="forbid")
    memory: Size | None = None
    inflight: int = 1


class Model(BaseModel):
    task: str
    source: str = Field(alias="from")
    on: list[str]
    fallback: str | None = None
    cache: Path | None = None


SECTIONS: Mapping[str, Any] = {"devices": dict[str, Device], "models": dict[str, Model]}


@pytest.fixture
def registry() -> Registry:
    known = Registry({}, group="fastembed.none")
    for component in COMPONENTS:
        known.add(component)
    known.add(parse_file, name="parse")
    known.add(Chunker, name="chunk")
    known.add(FolderSink, name="folder")
    return known


Read = Callable[..., Configuration]


@pytest.fixture
def read(registry: Registry, tmp_path: Path) -> Read:
    """Read a text; keywords are the environment."""

    def read_text(text: str, **environ: str) -> Configuration:
        return parse(text, registry=registry, sections=SECTIONS, environ=environ, file="p.yaml", base=tmp_path)

    return read_text


@pytest.fixture
def problems(read: Read) -> Callable[..., list[str]]:
    """Return the problems of a text."""

    def find(text: str, **environ: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            read(text, **environ)
        return caught.value.problems

    return find


@pytest.fixture
def step(read: Read) -> Callable[..., Any]:
    """Return the one step that a YAML list entry makes."""

    def read_step(text: str, before: str = "", **environ: str) -> Any:
        return read(pipeline_of(text, before), **environ).pipelines["p"].steps[-1]

    return read_step


@pytest.fixture
def step_problems(problems: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """Return the problems of a list entry: what stands behind the place."""

    def find(text: str, **environ: str) -> list[str]:
        return [problem.split(": ", 1)[1] for problem in problems(pipeline_of(text), **environ)]

    return find


def pipeline_of(step: str, before: str = "") -> str:
    """Return a file with these steps between a source and a sink that take and give anything."""
    lines = [line for part in (before, step) for line in part.strip("\n").split("\n") if line]
    body = "\n".join(f"      {line}" for line in lines)
    return f"version: 1\npipelines:\n  p:\n    source: {{http: POST /x}}\n    operators:\n{body}\n    sink: reply\n"
