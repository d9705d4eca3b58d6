"""What `fastembed check` says of files whose pipelines would not work: each with the place of the fault."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fastembed import models
from fastembed.assembly import lint_configuration, read_configuration
from fastembed.pipeline.config.load import Report
from fastembed.pipeline.errors import ConfigError

PLUGIN = """
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel

from fastembed.pipeline.component import operator, sink, source
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.chat import ChatRequest, Message, TextPart
from fastembed.pipeline.payload.document import Chunk, Document


@dataclass
class Order:
    number: int


class Reading(BaseModel):
    degrees: float


class Pair(NamedTuple):
    first: int
    second: int


class Opaque:
    pass


@operator
def echo(message: Any) -> dict:
    return {"got": message}


@operator
def shout(text: str) -> str:
    return text.upper()


@operator
def count(order: Order) -> int:
    return order.number


@operator
def ask(question: dict) -> ChatRequest:
    return ChatRequest()


@operator
def opaque(message: Any) -> Opaque:
    return Opaque()


@operator
def reading(message: Any) -> Reading:
    return Reading(degrees=1.0)


@operator
def look(opaque: Opaque) -> dict:
    return {}


@operator
def pair(message: Any) -> Pair:
    return Pair(1, 2)


@operator
def untyped(message):
    return message


@operator
def halves(document: Document) -> Chunk:
    raise NotImplementedError


@operator
async def total(numbers: AsyncIterator[dict]) -> AsyncIterator[dict]:
    count = 0
    async for _ in numbers:
        count += 1
    yield {"count": count}


@sink
async def keep(value: Any) -> None:
    pass


@source
async def ticks() -> AsyncIterator[Item[int]]:
    yield Item(1)
"""


def lint(folder: Path, pipelines: str) -> Report:
    """Lint a file of these pipelines, which begin in its line 4."""
    (folder / "ops.py").write_text(PLUGIN)
    indented = "".join(f"  {line}\n" for line in pipelines.strip().splitlines())
    (folder / "pipelines.yaml").write_text(f"version: 1\nplugins: [./ops.py]\npipelines:\n{indented}")
    return lint_configuration(folder / "pipelines.yaml")


def http(route: str, steps: str = "[echo]") -> str:
    return f"a:\n  source: {{http: {route}}}\n  operators: {steps}\n  sink: reply"


def websocket(path: str, steps: str) -> str:
    return f"a:\n  source: {{websocket: {path}}}\n  operators: {steps}\n  sink: reply"


def papers(steps: str) -> str:
    return f"a:\n  source: {{folder: in}}\n  operators: {steps}\n  sink: {{duckdb: x.duckdb}}"


def folders(one: str, other: str = "", *, sinks: tuple[str, str] = ("{duckdb: x.duckdb}", "{duckdb: x.duckdb}")) -> str:
    text = f"a:\n  source: {{folder: {one}}}\n  operators: [parse, chunk, embed]\n  sink: {sinks[0]}\n"
    if other:
        text += f"b:\n  source: {{folder: {other}}}\n  operators: [parse, chunk, embed]\n  sink: {sinks[1]}\n"
    return text


REFUSED = [
    # what a path of one's own gives
    (http("POST /ask", "[generate]"), "6:17: found http POST /ask before generate, which gives dict"),
    (http("POST /ask", "[generate]"), "expected ChatRequest; a path of one's own takes JSON as it is"),
    (http("POST /ask", "[generate]"), "or serve POST /v1/chat/completions"),
    (http("POST /ask", "[route: [{if: value.x, operators: [generate]}, {else: [generate]}]]"), "expected ChatRequest"),
    (http("POST /ask", "[fork: {a: [generate], b: [echo]}]"), "expected ChatRequest"),
    (http("POST /ask", "[rerank]"), "expected RerankRequest"),
    (http("POST /ask", "[parse]"), "expected File | DocumentRequest"),
    (http("PUT /ask", "[listen]"), "expected SpeechFile"),
    (http("GET /ask", "[shout]"), "6:17: found http GET /ask before shout, which gives dict"),
    (http("POST /ask", "[count]"), "expected Order"),
    (http("GET /v1/chat/completions", "[generate]"), "which gives dict"),
    (
        http("POST /ask", "[opaque]"),
        "6:17: found opaque, which gives Opaque, before reply, expected what JSON",
    ),
    # what a folder for failures can hold
    (
        http("POST /ask", "[opaque, look]") + "\n  on_error: {folder: failed}",
        "6:25: found look, which takes Opaque: `on_error: folder` cannot hold one; expected text, bytes, JSON",
    ),
    # what a path of OpenAI's clients takes and answers
    (http("POST /v1/chat/completions", "[echo]"), "7:11: found echo before reply, which gives dict"),
    (http("POST /v1/chat/completions", "[parse]"), "expected File | DocumentRequest"),
    (http("POST /v1/chat/completions", "[]"), "which gives ChatRequest"),
    (http("POST /v1/embeddings", "[analyze]"), "found analyze before reply, which gives EmbeddingRequest"),
    (http("POST /v1/rerank", "[embed]"), "expected Ranking"),
    (http("POST /v1/chat/completions", "[{if: value.pages > 3, read: }, generate]"), "found 'pages' in"),
    # websockets
    (websocket("/chat", "[echo]"), "7:11: found echo before reply, which gives dict"),
    (websocket("/chat", "[]"), "found websocket /chat before reply, which gives Audio"),
    (websocket("/chat", "[shout]"), "found websocket /chat before shout"),
    (websocket("/chat", "[decode]"), "found decode before reply, which gives AudioFrame"),
    # clients that wait for what never comes
    (
        "a:\n  source: {http: POST /v1/documents/process}\n  operators: [parse]\n  sink: {duckdb: x.duckdb}",
        "7:11: found duckdb at the end of POST /v1/documents/process, expected reply",
    ),
    (websocket("/listen", "[decode, vad]").replace("reply", "keep"), "found keep at the end of websocket /listen"),
    (http("POST /x").replace("POST /x", "POST /x, max_body: 0"), "found max_body 0, expected at least one byte"),
    # nobody waits
    (folders("in", sinks=("reply", "")), "7:11: found reply behind folder, which has no callers to reply to"),
    ("a:\n  source: ticks\n  sink: reply", "found reply behind ticks, which has no callers to reply to"),
    (papers("[route: [{if: value.pages, sink: reply}, {else: [chunk]}]]"), "found reply behind folder"),
    (http("POST /x") + "\n  on_error: reply", "8:15: found reply as on_error"),
    # the server's own paths, and paths that no request has
    (http("GET /metrics"), "5:13: found GET /metrics in a, expected another path: the server itself answers at /met"),
    (http("POST /metrics"), "the server itself answers at /metrics"),
    (http("GET /metrics/"), "the server itself answers at /metrics"),
    (http("POST /"), "the server itself answers at /"),
    (http("GET /v1/models/mine/too"), "the server itself answers at /v1/models/{name:path}"),
    (http("GET /v1/files/file-1"), "the server itself answers at /v1/files/{id}"),
    (http("DELETE /v1/files/file-1/content/"), "the server itself answers at /v1/files/{id}/content"),
    (http("POST /v1/search"), "the server itself answers at /v1/search"),
    (websocket("/healthz", "[decode, vad]"), "the server itself answers at /healthz"),
    (
        http('"POST /items/{id}"'),
        "5:14: found options that http refuses: found path '/items/{id}', expected",
    ),
    (http("GET /a%20b"), "found path '/a%20b'"),
    (http("GET /a/../b"), "found path '/a/../b'"),
    (websocket('"/chat?x=1"', "[decode, vad]"), "found path '/chat?x=1'"),
    (http("POST /x") + "\n" + http("POST /x").replace("a:", "b:", 1), "9:13: found POST /x in b and in a"),
    (
        websocket("/x", "[decode, vad]") + "\n" + websocket("/x", "[decode, vad]").replace("a:", "b:", 1),
        "9:13: found websocket /x in b and in a",
    ),
    # globs
    (folders("in, match: '*.{pdf'"), "5:14: found options that folder refuses: found the pattern '*.{pdf'"),
    (folders("in, match: '*.pdf}'"), "has no partner"),
    (folders("in, match: '[a-.pdf'"), "is not closed"),
    (folders("in, match: '[z-a].pdf'"), "found the pattern '[z-a].pdf'"),
    (folders("in, match: ''"), "it is empty"),
    (folders("in, match: '*.{pdf, docx}'"), "begins or ends with a blank"),
    (folders("in, match: '/tmp/*.pdf'"), "names start from the folder"),
    (folders("in, match: './*.pdf'"), "names have no . and no .. in them"),
    (folders("in, match: 'a\\*.pdf'"), "folders are separated by /"),
    (folders("in, match: '*.part'"), "which takes no file"),
    (folders("in, match: '.hidden/*.pdf'"), "which takes no file"),
    (folders("in, match: 'failed/*.pdf'"), "which takes no file"),
    (folders("in, match: '**/'"), "which takes no file"),
    (folders("in, ignore: ['[']"), "is not closed"),
    # one folder, one table
    (folders("in", "in"), "9:13: found a and b on the files of one folder"),
    (folders("in", "./x/../in"), "for one table, chunks of x.duckdb"),
    (folders("in", "in/deep"), "for one table"),
    (folders("in/deep", "in"), "for one table"),
    (folders("in, match: '*.pdf'", "in, match: '*.{md,PDF}'"), "for one table"),
    (folders("in", "in", sinks=("{duckdb: x.duckdb}", "{duckdb: ./x.duckdb, table: chunks}")), "for one table"),
    (folders("in, done: away", "in", sinks=("{duckdb: x.duckdb}", "{duckdb: y.duckdb}")), "`done`, which takes them"),
    (folders("in, done: in"), "5:13: found done:"),
    (folders("in") + "  on_error: {folder: in}\n", "8:15: found on_error:"),
    (folders("in") + "  on_error: {folder: x/../in/}\n", "the watched folder itself"),
    (folders("in, done: away") + "  on_error: {folder: away}\n", "where `done` puts files too"),
    (folders(".", sinks=("{duckdb: x.duckdb}", "")), "7:11: found the database x.duckdb among the files that a reads"),
    (
        folders("in", "other", sinks=("{duckdb: a.duckdb}", "{duckdb: in/b.duckdb}")),
        "11:11: found the database b.duckdb",
    ),
    # tables and ids
    (folders("in", sinks=("{duckdb: x.duckdb, table: 'a b'}", "")), "found the table name 'a b'"),
    (folders("in", sinks=("{duckdb: x.duckdb, table: ledger}", "")), "found the table name 'ledger'"),
    (http("POST /x", "[{echo: , id: x}, {echo: , id: x}]"), "found the id 'x' again"),
    # fields that a payload lacks
    (papers("[parse, {if: value.author == 'x', chunk: }, embed]"), "found 'author' in"),
]


@pytest.mark.parametrize(("pipelines", "problem"), REFUSED)
def test_what_cannot_work_is_refused_at_its_place(pipelines: str, problem: str, tmp_path: Path) -> None:
    report = lint(tmp_path, pipelines)
    assert report.configuration is None
    assert any(problem in line for line in report.errors), report.errors
    assert all(re.search(r"pipelines\.yaml:\d+:\d+: ", line) for line in report.errors)
    with pytest.raises(ConfigError) as refusal:  # the same way for `serve` and `run`
        read_configuration(tmp_path / "pipelines.yaml")
    assert tuple(refusal.value.problems) == report.errors


WARNED = [
    (
        papers("[parse, embed]"),
        "6:24: found embed behind whole documents, which it passes on as they are",
    ),
    (papers("[parse, embed, chunk]"), "6:24: found embed behind whole documents"),
    (papers("[parse]"), "7:11: found whole documents before duckdb, expected chunk before it"),
    (
        papers("[parse, route: [{if: value.page_count > 3, operators: [chunk]}, {else: [embed]}]]"),
        "found embed behind whole documents",
    ),
    (
        papers("[parse, chunk: {tokens: 400}, embed]"),
        "6:46: found chunks of up to 400 tokens before embed, expected at most 256, the window of all-MiniLM-L6-v2",
    ),
    (
        folders("in, overflow: drop_oldest"),
        "5:13: found overflow: drop_oldest at folder, expected none: its files wait",
    ),
    (folders("in, queue: 64MiB"), "5:13: found a queue in bytes or seconds at folder, expected a number of files"),
    (
        http("POST /sum", "[total]"),
        "found total, which works on a stream, behind POST /sum: all requests are one stream",
    ),
]


@pytest.mark.parametrize(("pipelines", "warning"), WARNED)
def test_what_is_hardly_meant_is_warned_of_at_its_place(pipelines: str, warning: str, tmp_path: Path) -> None:
    report = lint(tmp_path, pipelines)
    assert report.configuration is not None, report.errors
    assert any(warning in line for line in report.warnings), report.warnings


ACCEPTED = [
    http("POST /ask"),
    http("POST /ask", "[untyped]"),
    http("POST /ask", "[shout]"),
    http("POST /ask", "[embed]"),
    http("POST /ask", "[reading]"),
    http("POST /ask", "[pair]"),
    http("POST /ask", "[]"),
    http("POST /ask", "[ask, generate]"),
    http("POST /größe"),
    http("GET /get"),
    http("POST /v1/modelsx"),
    http("POST /v1/embeddings", "[analyze, embed]"),
    http("POST /v1/chat/completions", "[untyped]"),
    http("POST /v1/chat/completions", "[{if: value.whole, hear: }, generate]"),
    websocket("/listen", "[decode, vad]"),
    websocket("/listen", "[decode, vad, untyped, transcribe]"),
    websocket("/listen", "[decode, vad, transcribe]") + "\n" + http("GET /listen").replace("a:", "b:", 1),
    folders("in", "other"),
    folders("in, match: '*.pdf'", "in, match: '*.docx'"),
    folders("in, match: 'a/*'", "in, match: 'b/*'"),
    folders("in, ignore: ['deep/**']", "in/deep"),
    folders("in", "in", sinks=("{duckdb: x.duckdb}", "{duckdb: x.duckdb, table: more}")),
    folders("in", "in", sinks=("{duckdb: x.duckdb}", "{duckdb: y.duckdb}")),
    folders("in, done: away", "away", sinks=("{duckdb: x.duckdb}", "{duckdb: x.duckdb, table: more}")),
    folders("in, match: '[[]*.pdf'"),
    folders("., match: '**/*.md'"),
    folders("in, queue: 4"),
    folders("., ignore: ['*.duckdb', '*.yaml', '*.py']"),
    "a:\n  source: {http: POST /keep}\n  operators: [echo]\n  sink: keep",
    folders("in") + "  on_error: {folder: in/failed}\n",
    papers("[parse, halves, embed]"),
    papers("[parse, chunk]"),
    papers("[parse, chunk: {tokens: 256}, embed]"),
]


@pytest.mark.parametrize("pipelines", ACCEPTED)
def test_what_works_is_accepted_without_a_word(pipelines: str, tmp_path: Path) -> None:
    report = lint(tmp_path, pipelines)
    assert (report.errors, report.warnings) == ((), ())


def test_the_path_of_the_metrics_is_the_one_that_is_set(tmp_path: Path) -> None:
    assert lint(tmp_path, http("GET /meters")).errors == ()
    with pytest.raises(ConfigError, match="the server itself answers at /meters"):
        read_configuration(tmp_path / "pipelines.yaml", metrics_path="/meters")
    (tmp_path / "pipelines.yaml").write_text((tmp_path / "pipelines.yaml").read_text().replace("/meters", "/metrics"))
    assert read_configuration(tmp_path / "pipelines.yaml", metrics_path=None).pipelines


def tables(folder: Path, one: str, other: str) -> Report:
    """Lint two pipelines that embed for one table, beside a copy of the shipped model and another one."""
    shipped = Path(models.__file__).parent / "minilm"
    (folder / "other").mkdir()
    for file in shipped.iterdir():
        (folder / "other" / file.name).symlink_to(file)
    lint(folder, folders("in", "out"))
    text = (folder / "pipelines.yaml").read_text().replace("embed]", f"embed: {{model: {one}}}]", 1)
    text = text.replace("embed]", f"embed: {{model: {other}}}]")
    declared = (
        "models:\n  same: {from: 'built-in:minilm', task: embedding}\n  other: {from: ./other, task: embedding}\n"
    )
    (folder / "pipelines.yaml").write_text(text + declared)
    return lint_configuration(folder / "pipelines.yaml")


def test_a_table_holds_the_vectors_of_one_model(tmp_path: Path) -> None:
    (problem,) = tables(tmp_path, "auto", "other").errors
    assert "11:11: found vectors of other and, in a, of " in problem
    assert "expected one table for each model" in problem


def test_one_model_under_two_names_is_one(tmp_path: Path) -> None:
    assert tables(tmp_path, "all-MiniLM-L6-v2", "same").errors == ()
