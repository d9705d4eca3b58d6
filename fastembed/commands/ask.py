"""`fastembed ask` and `fastembed why`: answers from the documents that were read, and where they are from."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import typer

from fastembed.assembly import close_resources, make_resources, only, read_configuration
from fastembed.commands.documents import AnswerSource, print_json
from fastembed.guards import keep_files_private
from fastembed.operators.asking.support import place_of
from fastembed.pipeline.component import Resources
from fastembed.pipeline.engine import Engine
from fastembed.pipeline.errors import ConfigError, FastEmbedError
from fastembed.pipeline.payload.asking import DocumentQuestion, SearchScope
from fastembed.pipeline.payload.chat import ChatDelta, ChatFinished
from fastembed.pipeline.payload.grounding import Citation
from fastembed.pipeline.plan import Configuration
from fastembed.server.endpoints.answers import lineage_of
from fastembed.server.endpoints.ask import answer_object
from fastembed.server.wire.text import printable
from fastembed.sinks.lake.database import Lake, Lakes
from fastembed.sinks.lake.opening import LakeLocked
from fastembed.sources.http import HttpRoutes

if TYPE_CHECKING:
    from fastembed.client import FastEmbedClient

PATH: Final = "/v1/ask"


def ask(source: AnswerSource, question: str, *, options: Mapping[str, Any], as_json: bool) -> int:
    """Print an answer with its sources; 1 if the documents do not hold it."""
    keep_files_private()
    body = {"question": question, **{name: value for name, value in options.items() if value is not None}}
    found = asyncio.run(_ask(source, body))
    if as_json:
        print_json([found])
        return int(not found["found"])
    for sentence in found["sentences"]:
        marks = "".join(f"[{cited['number']}]" for cited in sentence["citations"])
        quoted = f"“{sentence['text']}”" if sentence["quoted"] else sentence["text"]
        typer.echo(f"{printable(quoted)} {marks}")
    if not found["found"]:
        typer.echo(found["answer"])
        for doubt in found["doubts"]:
            typer.echo(f"  {doubt}", err=True)
    for cited in found["sources"]:
        typer.echo(f"  [{cited['number']}] {printable(cited['place'])}")
    for warning in found["warnings"]:
        typer.echo(printable(warning), err=True)
    sure = f"confidence {found['confidence']:.2f}, floor {found['floor']:.2f}"
    typer.echo(f"{sure}; {found['model'] or 'quoted'}; fastembed why {found['id']}", err=True)
    return int(not found["found"])


def why(source: AnswerSource, answer_id: str, *, as_json: bool) -> int:
    """Print where an answer is from: each sentence with its passage, page, file, and what made them."""

    async def offline(lakes: Sequence[Lake], _: Configuration) -> list[dict[str, Any]]:
        found = await lineage_of(lakes, answer_id)
        return [found] if found else []

    async def online(client: FastEmbedClient, _: str | None) -> list[dict[str, Any]]:
        return [await client.call("GET", f"/v1/answers/{answer_id}")]

    rows = source.ask(offline, online)
    if not rows:
        raise FastEmbedError(f"found no answer {answer_id}; the newest 10,000 are remembered")
    if as_json:
        print_json(rows)
        return 0
    found = rows[0]
    typer.echo(printable(f"{found['question']}  ({found['asked_at']})"))
    sure = f"confidence {found['confidence']:.2f}, floor {found['floor']:.2f}"
    typer.echo(f"{'answered' if found['found'] else 'not in your files'}: {sure}; {_by(found['model'])}")
    for sentence in found["sentences"]:
        typer.echo(f"\n{printable(sentence['text'])}")
        for cited in sentence["citations"]:
            _print_citation(cited)
    for text in found["left_out"]:
        typer.echo(printable(f"\nleft out, since nothing supports it: {text}"))
    return 0


def _print_citation(cited: Mapping[str, Any]) -> None:
    place = Citation(**{**cited, "pages": _pair(cited["pages"]), "seconds": _pair(cited["seconds"])})
    for name, value in (
        ("from", place_of(place)),
        ("says", cited["quote"]),
        ("support", f"{cited['support']:.2f}"),
        ("passage", cited["passage_id"]),
        ("file", f"sha256 {cited['sha256']}"),
        ("read by", f"definition {cited['definition']}"),
        ("found by", cited["embedding_model"] or "its words"),
    ):
        typer.echo(f"  {name:<9} {printable(str(value))}")


def _by(model: str) -> str:
    return f"words of {model}, checked" if model else "the documents' own sentences"


def _pair(value: Any) -> Any:
    return tuple(value) if value else None


async def _ask(source: AnswerSource, body: Mapping[str, Any]) -> dict[str, Any]:
    async def online(client: FastEmbedClient, _: str | None) -> dict[str, Any]:
        found: dict[str, Any] = await client.call("POST", PATH, body=body)
        return found

    configuration = read_configuration(source.config)
    paths = source.files(configuration)
    resources = make_resources(configuration)
    try:
        async with AsyncExitStack() as stack:
            for path in paths:
                lake = await resources.get(Lakes).acquire(path)
                stack.push_async_callback(resources.get(Lakes).release, lake)
            return await _answered(configuration, resources, body)
    except LakeLocked as locked:
        return await source.of_server(online, None, locked)
    finally:
        await close_resources(resources)


async def _answered(configuration: Configuration, resources: Resources, body: Mapping[str, Any]) -> dict[str, Any]:
    """Answer by the pipeline that serves the path, in this process."""
    name = next(
        (plan.name for plan in configuration.pipelines.values() if plan.source.options.get("route") == f"POST {PATH}"),
        None,
    )
    if name is None:
        raise ConfigError(
            [f"found no pipeline with the source http: POST {PATH}, expected one, as the built-in file has"]
        )
    engine = Engine(resources)
    try:
        await engine.start(only(configuration, (name,)))
        methods = resources.get(HttpRoutes).methods(PATH) or {}
        events = await (await methods["POST"].submit(question_of(body))).all()
    finally:
        await engine.stop()
    text = "".join(event.text for event in events if isinstance(event, ChatDelta))
    finished = next(event for event in events if isinstance(event, ChatFinished))
    if finished.grounding is None:
        raise FastEmbedError(f"found no sources at the end of {name}, expected the step answer in it")
    return answer_object(finished.grounding, text, finished)


def question_of(body: Mapping[str, Any]) -> DocumentQuestion:
    """Return the question of a request's body."""
    scope = SearchScope(
        pipeline=body.get("folder"),
        database=body.get("database"),
        tables=tuple(body.get("tables", ())),
        files=tuple(body.get("files", ())),
    )
    return DocumentQuestion(body["question"], scope, body.get("model", "auto"), body.get("limit"), body.get("floor"))
