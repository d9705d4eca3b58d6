"""`chat`, `embed`, `process`, `status` as typed, beside a running server whose port nobody names."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner, Result

from fastembed import FastEmbedClient, SyncFastEmbedClient
from fastembed.cli import _guarded, app
from tests.e2e.serving import Serving, fastembed, serving
from tests.typing import application


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("asking")) as running:
        yield running


@pytest.fixture
def folder(server: Serving, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = Path(server.log.name).parent
    monkeypatch.chdir(folder)
    monkeypatch.delenv("FASTEMBED_URL", raising=False)
    return folder


def typed(*arguments: str, stdin: str | None = None) -> Result:
    """Run a command in this process: a new one would load its libraries each time."""
    return CliRunner().invoke(app, list(arguments), input=stdin, catch_exceptions=False)


def test_one_question_is_answered_and_printed(folder: Path) -> None:
    ended = fastembed(folder, "chat", "what is 3 + 4?", "--temperature", "0")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "3 + 4 = 7\n", "")


@pytest.mark.usefixtures("folder")
def test_piped_input_is_the_question_or_goes_with_it() -> None:
    assert typed("chat", stdin="what is 3 + 4?\n").stdout == "3 + 4 = 7\n"
    answer = json.loads(typed("chat", "--json", "-m", "chat-pocket", "hello", stdin="").stdout)
    assert answer["choices"][0]["message"]["content"] == "Hello! How can I help you?"
    assert typed("chat", "--json", "what is", stdin="3 + 4?").exit_code == 0


def test_a_picture_is_shown_and_a_file_that_is_not_there_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    image = Image.new("RGB", (200, 200), (235, 235, 235))
    ImageDraw.Draw(image).ellipse([40, 40, 160, 160], fill=(215, 35, 35))
    image.save(folder / "photo.png")
    shown = typed("chat", "What is in this image?", "-f", "photo.png", "--temperature", "0", stdin="")
    assert shown.stdout == "a red circle\n"
    assert _guarded(lambda: app(["chat", "What?", "-f", "nothing.png"])) == 1
    assert "found no file nothing.png, expected a picture" in capsys.readouterr().err


def test_a_conversation_remembers_shows_files_and_goes_on_after_an_error(folder: Path) -> None:
    (folder / "note.md").write_text("# Ferry\n\nThe ferry leaves at seven.\n")
    terminal, other = pty.openpty()
    command = [sys.executable, "-m", "fastembed", "chat", "--temperature", "0"]
    with subprocess.Popen(
        command, cwd=folder, stdin=other, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        lines = ["my name is Anna", "/file no.md", "/file note.md", "/model nobody", "hello", "/model auto", "/clear"]
        os.write(terminal, "".join(f"{line}\n" for line in [*lines, "what is 3 + 4?", "/what", "/exit"]).encode())
        assert running.stdout is not None
        said = running.stdout.read()
    os.close(terminal)
    os.close(other)
    assert running.returncode == 0
    assert "Nice to meet you, Anna." in said
    assert "found no file no.md" in said
    assert "note.md goes with the next question" in said
    assert "found no model 'nobody'" in said
    assert "3 + 4 = 7" in said
    assert "chat-pocket is a tiny model that ships: fastembed pull smollm2-135m" in said
    assert "found /what, expected one of:" in said


@pytest.mark.usefixtures("folder")
def test_vectors_are_printed_a_line_each() -> None:
    one = typed("embed", "snow", "--dimensions", "4").stdout
    assert len(json.loads(one)) == 4
    lines = typed("embed", "-", "--json", "--dimensions", "4", stdin="snow\n\nrain\n").stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["text"] for row in rows] == ["snow", "rain"]
    assert rows[0]["model"] == "all-MiniLM-L6-v2"
    assert rows[0]["embedding"] == pytest.approx(json.loads(one), abs=0.02)  # INT8 weights, other company


def test_nothing_to_embed_is_told(folder: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "fastembed", "embed", "-"],
        cwd=folder,
        input="",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "found no text, expected one" in ended.stderr


def test_a_document_is_printed_as_markdown(folder: Path) -> None:
    (folder / "wind.html").write_text("<h1>Wind</h1><table><tr><th>a</th></tr><tr><td>1</td></tr></table>")
    assert typed("process", "wind.html").stdout.startswith("# Wind\n")
    assert json.loads(typed("process", "wind.html", "--json").stdout)["title"] == "Wind"


@pytest.mark.usefixtures("folder")
def test_the_state_is_printed_once_where_no_terminal_is() -> None:
    text = typed("status").stdout
    assert text.startswith("FastEmbed ")
    assert "serving" in text
    assert "http POST /v1/embeddings" in text
    assert "all-MiniLM-L6-v2" in text
    found = json.loads(typed("status", "--json").stdout)
    assert found["phase"] == "serving"
    assert {"name", "waiting", "in_flight", "state"} <= found["pipelines"][0].keys()


def test_on_a_terminal_the_state_is_kept_up_to_date_until_ctrl_c(folder: Path) -> None:
    terminal, other = pty.openpty()
    command = [sys.executable, "-m", "fastembed", "status", "--every", "0.2"]
    with subprocess.Popen(
        command,
        cwd=folder,
        stdin=other,
        stdout=other,
        stderr=other,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm"},
    ) as running:
        os.close(other)
        seen = b""
        until_s = time.monotonic() + 60
        while seen.count(b"FastEmbed 0") < 3 and time.monotonic() < until_s:
            seen += os.read(terminal, 65536)
        running.send_signal(2)
        assert running.wait(20) == 130
    os.close(terminal)
    assert b"items/s" in seen


@pytest.mark.parametrize("command", [["chat", "hello"], ["embed", "a"], ["process", "a.md"], ["status", "--json"]])
def test_where_no_server_is_it_says_what_to_type(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    (tmp_path / "a.md").write_text("a")
    assert _guarded(lambda: app([*command, "--url", "http://127.0.0.1:1"])) == 1
    assert capsys.readouterr().err == (
        "fastembed: no server answers at http://127.0.0.1:1 (Connection refused); start one with: fastembed serve; "
        "a server elsewhere is named with --url or FASTEMBED_URL\n"
    )


async def test_the_typed_application_runs(server: Serving, folder: Path) -> None:
    (folder / "rain.html").write_text("<h1>Rain</h1><table><tr><th>a</th></tr><tr><td>1</td></tr></table>")
    async with FastEmbedClient() as client:  # the server of this folder
        assert client.root == server.url
        assert await application.count_of(client, "snow") == 384
        assert await application.streamed(client) == "Hello! How can I help you?"
        assert await application.title_of(client, folder / "rain.html") == ("Rain", [[["a"], ["1"]]])
        assert await application.chosen(client) == ("chat-pocket", False)
    with SyncFastEmbedClient() as twin:
        assert "chat-pocket" in application.model_names(twin)
        assert application.rows(twin) == [{"one": 1}]
