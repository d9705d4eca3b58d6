"""Questions to the real process: POST /v1/ask, `fastembed ask` and `why`, any OpenAI client, and the search."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import pytest

from tests.e2e.serving import Serving, fastembed, serving

PIPELINES = """
version: 1
pipelines:
  chat:
    source: {http: POST /v1/chat/completions}
    operators: [{generate: {model: auto}}]
    sink: reply
  ask:
    source: {http: POST /v1/ask}
    operators: [{retrieve: {limit: 3}}, prompt, answer]
    sink: reply
  words:
    source: {http: POST /shout}
    operators: [{embed: {model: auto}}]
    sink: reply
  papers:
    source: {folder: inbox, settle: 100ms}
    operators: [parse, {chunk: {tokens: 64, overlap: 0}}, embed]
    sink: {duckdb: lake.duckdb}
    on_error: {folder: bad}
"""
LEASE = """# Lease of office space

## Term

The lease begins on 1 April and runs for five years.

## Rent

The rent is 2,450 a month, payable by the third working day.
"""
CHOIR = (
    "# Riverside choir\n\nWe rehearse on Wednesdays in the gym of the primary school. The soloist is Mateus Andrade.\n"
)
QUESTION = "When does the lease begin?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ask")
    (folder / "pipelines.yaml").write_text(PIPELINES)
    (folder / "inbox").mkdir()
    (folder / "inbox" / "lease.md").write_text(LEASE)
    (folder / "inbox" / "choir.txt").write_text(CHOIR)
    assert fastembed(folder, "run", "--once").returncode == 0
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Serving]:
    with serving(folder) as server:
        yield server


def posted(server: Serving, path: str, **body: object) -> httpx2.Response:
    return httpx2.post(f"{server.url}{path}", json=body, timeout=60)


def test_an_answer_names_passage_page_and_file_of_each_sentence(server: Serving) -> None:
    answer = posted(server, "/v1/ask", question=QUESTION).json()
    assert (answer["object"], answer["found"], answer["model"]) == ("answer", True, None)
    assert answer["answer"] == "The lease begins on 1 April and runs for five years. [1]"
    (sentence,) = answer["sentences"]
    assert (sentence["quoted"], sentence["citations"][0]["file"]) == (True, "lease.md")
    (source,) = answer["sources"]
    assert source["place"] == "lease.md, Lease of office space > Term"
    assert source["embedding_model"] == "all-MiniLM-L6-v2"
    assert len(source["sha256"]) == 64
    assert answer["confidence"] >= answer["floor"] == 0.5


@pytest.mark.parametrize("question", ["What is the capital of Mongolia?", "Which insurance covers the aeroplane?"])
def test_what_the_documents_do_not_say_is_not_answered(server: Serving, question: str) -> None:
    answer = posted(server, "/v1/ask", question=question).json()
    assert (answer["found"], answer["answer"], answer["sources"]) == (False, "This is not in your files.", [])
    assert answer["confidence"] < answer["floor"]


def test_the_floor_and_the_scope_are_the_requests(server: Serving) -> None:
    assert not posted(server, "/v1/ask", question=QUESTION, floor=1.0).json()["found"]
    elsewhere = posted(server, "/v1/ask", question=QUESTION, files=["choir*"], floor=0.0).json()
    assert [source["file"] for source in elsewhere["sources"]] == ["choir.txt"]
    refused = posted(server, "/v1/ask", question=QUESTION, table="nope")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "table")
    assert posted(server, "/v1/ask", question="").json()["error"]["param"] == "question"
    assert "did you mean question" in posted(server, "/v1/ask", qestion="x").json()["error"]["message"]


def test_a_stream_ends_with_the_whole_answer(server: Serving) -> None:
    lines = posted(server, "/v1/ask", question=QUESTION, stream=True).text.split("\n\n")
    assert lines[-2] == "data: [DONE]"
    events = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
    text = "".join(event["text"] for event in events if event["type"] == "answer.delta")
    assert text.endswith("\n\n[1] lease.md, Lease of office space > Term")
    assert events[-1]["type"] == "answer.done"
    assert text.startswith(events[-1]["answer"]["answer"])


@pytest.mark.parametrize("stream", [False, True])
def test_any_openai_client_asks_a_pipeline_by_its_name(client: openai.OpenAI, stream: bool) -> None:  # noqa: FBT001
    messages = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
    messages.append({"role": "user", "content": QUESTION})
    answer = client.chat.completions.create(model="pipeline:ask", messages=messages, stream=stream)
    if stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in answer)
    else:
        text = answer.choices[0].message.content
    assert text.startswith("The lease begins on 1 April and runs for five years. [1]")
    assert text.endswith("[1] lease.md, Lease of office space > Term")


def test_a_pipeline_that_is_not_there_or_takes_no_chat_is_refused(client: openai.OpenAI) -> None:
    messages = [{"role": "user", "content": QUESTION}]
    with pytest.raises(openai.NotFoundError, match="found no pipeline 'nope' that serves a path"):
        client.chat.completions.create(model="pipeline:nope", messages=messages)
    with pytest.raises(openai.BadRequestError, match="the pipeline words takes no conversations"):
        client.chat.completions.create(model="pipeline:words", messages=messages)


def test_the_commands_answer_and_say_why(folder: Path, server: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTEMBED_URL", server.url)
    ended = fastembed(folder, "ask", "Who", "is", "the", "soloist?")
    answer, source, *_ = ended.stdout.splitlines()
    assert "The soloist is Mateus Andrade." in answer
    assert source.startswith("  [1] choir.txt")
    why = fastembed(folder, "why", ended.stderr.split()[-1])
    assert why.returncode == 0, why.stderr
    for part in ("Who is the soloist?", "choir.txt", "sha256 ", "definition ", "all-MiniLM-L6-v2"):
        assert part in why.stdout
    unknown = fastembed(folder, "why", "ans-0")
    assert unknown.returncode == 1
    assert "found no answer" in unknown.stderr


def test_without_a_server_the_same_question_is_answered(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "pipelines.yaml").write_text(PIPELINES)
    (own / "inbox").mkdir()
    (own / "inbox" / "lease.md").write_text(LEASE)
    assert fastembed(own, "run", "--once").returncode == 0
    ended = fastembed(own, "ask", QUESTION)
    assert ended.stdout.startswith("“The lease begins on 1 April and runs for five years.” [1]"), ended.stderr


def test_the_search_takes_a_scope_a_floor_and_explains_its_scores(server: Serving) -> None:
    body = {"query": "begin of the lease", "limit": 2, "explain": True}
    (best, *_) = posted(server, "/v1/search", **body, types=["md"]).json()["data"]
    assert best["document"] == "lease.md"
    assert best["explain"]["places"] == {"similarity": 1, "words": 1}
    assert best["score"] == pytest.approx(sum(best["explain"]["parts"].values()))
    start, end = best["highlights"][0]
    assert best["snippet"][start:end].lower() in ("lease", "the", "begin", "of", "begins")
    assert {hit["document"] for hit in posted(server, "/v1/search", **body, files=["c*"]).json()["data"]} == {
        "choir.txt"
    }
    assert posted(server, "/v1/search", **body, since="2999-01-01").json()["data"] == []
    assert posted(server, "/v1/search", **body, floor=0.999).json()["data"] == []
    wrong = posted(server, "/v1/search", **body, until="yesterday").json()["error"]
    assert wrong["param"] == "until"
    assert httpx2.get(f"{server.url}/v1/search", params={"q": "lease"}).json()["data"][0]["document"] == "lease.md"
